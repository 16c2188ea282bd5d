"""Keys of simulated meters: made of the fleet's seed, worth nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from simulators.dlms_curve import Pair
from simulators.meter import Meter

MECHANISMS: Final = {
    "none": 0,
    "lls": 1,
    "hls-md5": 3,
    "hls-sha1": 4,
    "hls-gmac": 5,
    "hls-sha256": 6,
    "hls-ecdsa": 7,
}
"""Authentication mechanisms, by the meter's security."""

CIPHERINGS: Final = (
    "none", "global", "dedicated", "general", "general-dedicated", "identified", "wrapped",
    "one-pass", "static",
)  # fmt: skip
"""What ``ciphering`` of the address can be."""

PROTECTIONS: Final = ("authenticated", "encrypted", "both")
"""What ``protection`` of the address can be."""

_OF_MECHANISM: Final = {
    1: ("password",),
    3: ("password",),
    4: ("password",),
    5: ("encryption", "authentication"),
    6: ("password",),
    7: ("client_signing", "meter_signing"),
}
_OF_CIPHERING: Final = {
    "wrapped": ("master",),
    "one-pass": ("client_signing", "client_agreement", "meter_signing", "meter_agreement"),
    "static": ("client_agreement", "meter_agreement"),
}
_PAIRS: Final = ("client_signing", "client_agreement", "meter_signing", "meter_agreement")


def suite(meter: Meter) -> int:
    """Tell a meter's security suite."""
    curved = meter.security == "hls-ecdsa" or ciphering(meter) in ("one-pass", "static")
    return int(meter.address.get("suite", 1 if curved else 0))


def ciphering(meter: Meter) -> str:
    """Tell how a meter wants messages ciphered."""
    usual = "global" if meter.security == "hls-gmac" else "none"
    return str(meter.address.get("ciphering", usual))


def kinds(meter: Meter) -> tuple[str, ...]:
    """List the kinds of key that a head-end needs for a meter."""
    needed = list(_OF_MECHANISM.get(MECHANISMS[meter.security], ()))
    if ciphering(meter) != "none":
        # The master key wraps new keys, whatever the messages are ciphered with.
        needed += [
            "encryption",
            "authentication",
            "master",
            *_OF_CIPHERING.get(ciphering(meter), ()),
        ]
    return tuple(dict.fromkeys(needed))


def of(meter: Meter, kind: str) -> bytes:
    """Give a key as a head-end has it.

    A password is 8 printable characters, a key of the client its private key, one of the meter its
    public key.
    """
    return _key(meter, kind, "")


def pair(meter: Meter, kind: str, variant: str = "") -> Pair:
    """Give both halves of an elliptic-curve key."""
    return _pair(suite(meter), _text(meter, kind, variant))


def told(meter: Meter, *, right: bool = False) -> Iterator[tuple[str, bytes]]:
    """Give the kinds and keys that a head-end is told; wrong ones by the fault ``wrong_key``.

    Parameters
    ----------
    right : give the meter's own in any case
    """
    wrong = not right and any(meter.having("wrong_key"))
    for kind in kinds(meter):
        yield kind, _key(meter, kind, "/wrong" if wrong else "")


def _key(meter: Meter, kind: str, variant: str) -> bytes:
    if kind in _PAIRS:
        both = pair(meter, kind, variant)
        return both.private if kind.startswith("client") else both.public
    size = 32 if suite(meter) == 2 and kind != "password" else 16
    digest = hashlib.blake2b(_text(meter, kind, variant).encode(), digest_size=size).digest()
    return digest.hex()[:8].encode() if kind == "password" else digest


def _text(meter: Meter, kind: str, variant: str) -> str:
    return f"{meter.load.key}/{meter.mrid}/{kind}{variant}"


@lru_cache(maxsize=4096)
def _pair(number: int, text: str) -> Pair:
    # 31 bytes are below the order of either curve.
    return Pair(number, int.from_bytes(hashlib.blake2b(text.encode(), digest_size=31).digest()))
