"""Keys of simulated meters: made of the fleet's seed, worth nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from simulators.meter import Meter

KINDS: Final = {
    "none": (),
    "lls": ("password",),
    "hls-gmac": ("encryption", "authentication"),
}
"""Which keys a meter has, by its security."""


def of(meter: Meter, kind: str) -> bytes:
    """Give a key that a meter has: 16 bytes; a password is 8 printable characters."""
    return _key(meter, kind, "")


def told(meter: Meter, *, right: bool = False) -> Iterator[tuple[str, bytes]]:
    """Give the kinds and keys that a head-end is told; wrong ones by the fault ``wrong_key``.

    Parameters
    ----------
    right : give the meter's own in any case
    """
    wrong = not right and any(meter.having("wrong_key"))
    for kind in KINDS.get(meter.security, ()):
        yield kind, _key(meter, kind, "/wrong" if wrong else "")


def _key(meter: Meter, kind: str, variant: str) -> bytes:
    text = f"{meter.load.key}/{meter.mrid}/{kind}{variant}"
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return digest.hex()[:8].encode() if kind == "password" else digest
