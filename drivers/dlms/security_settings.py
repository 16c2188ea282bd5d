"""What the registry says of a meter's security, and which keys that takes.

======================  ====================================================  ====================
``address``             meaning                                               otherwise
======================  ====================================================  ====================
``suite``               security suite: 0, 1, 2                               0; 1 where a curve
                                                                              is needed
``ciphering``           none, global, dedicated, general, general-dedicated,  global for hls-gmac,
                        identified, wrapped, one-pass, static                 else none
``protection``          authenticated, encrypted, both                        both
``title``               the client's system title, 16 hexadecimal digits      Miqyas' own
======================  ====================================================  ====================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeVar

from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import AUTHENTICATED, BOTH, ENCRYPTED, KEY_SIZES, TITLE_SIZE, Keys
from drivers.dlms.elliptic import CURVES, PrivateKey, PublicKey
from drivers.dlms.security import CLIENT_TITLE, Ciphering, Pairs, Security
from drivers.errors import LocalProtocolError

T = TypeVar("T")

_ORDER: Final = ("suite", "ciphering", "protection", "title")
ADDRESS: Final = frozenset(_ORDER)
"""What the address says about security."""

MECHANISMS: Final = {
    "none": Mechanism.NONE,
    "lls": Mechanism.LOW,
    "hls-md5": Mechanism.HIGH_MD5,
    "hls-sha1": Mechanism.HIGH_SHA1,
    "hls-gmac": Mechanism.HIGH_GMAC,
    "hls-sha256": Mechanism.HIGH_SHA256,
    "hls-ecdsa": Mechanism.HIGH_ECDSA,
}
"""Names of the registry's column ``security``."""

_PROTECTIONS: Final = {"authenticated": AUTHENTICATED, "encrypted": ENCRYPTED, "both": BOTH}
_SUITES: Final = {str(suite): suite for suite in KEY_SIZES}
_CIPHERINGS: Final = {one.value: one for one in Ciphering}
_WITH_PASSWORD: Final = frozenset(
    {Mechanism.LOW, Mechanism.HIGH_MD5, Mechanism.HIGH_SHA1, Mechanism.HIGH_SHA256}
)
_FOR_CIPHERING: Final = {
    Ciphering.WRAPPED: ("master",),
    Ciphering.ONE_PASS: (
        "client_agreement", "client_signing", "meter_agreement", "meter_signing"
    ),
    Ciphering.STATIC: ("client_agreement", "meter_agreement"),
}  # fmt: skip
_LONGEST_PASSWORD: Final = 64
_SYMMETRIC: Final = frozenset({"encryption", "authentication", "broadcast", "master"})
_PRIVATE: Final = frozenset({"client_signing", "client_agreement"})
_PUBLIC: Final = frozenset({"meter_signing", "meter_agreement"})
KINDS: Final = ("password", *sorted(_SYMMETRIC), *sorted(_PRIVATE), *sorted(_PUBLIC))
"""Kinds of key in the key store."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A meter's security as the registry says it, without the keys.

    Attributes
    ----------
    name : as in the column ``security``
    kinds : of the keys that it takes
    """

    name: str
    mechanism: Mechanism
    suite: int
    ciphering: Ciphering
    policy: int
    title: bytes
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, name: str, address: Mapping[str, int | str]) -> Wanted:
        """Read column ``security`` and the address.

        Raises
        ------
        LocalProtocolError
            saying which of them is wrong, and what it may be.
        """
        said = (str(address[one]) if one in address else None for one in _ORDER)
        return _read(name, *said)

    @property
    def ciphered(self) -> bool:
        """Whether messages are protected."""
        return self.ciphering is not Ciphering.NONE

    @property
    def counted(self) -> bool:
        """Whether invocation counters are used."""
        return self.ciphered or self.mechanism is Mechanism.HIGH_GMAC


# Thousands of meters are secured in a few ways, and each session asks.
@lru_cache(maxsize=1024)
def _read(
    name: str, suite: str | None, ciphering: str | None, protection: str | None, title: str | None
) -> Wanted:
    mechanism = _one_of(MECHANISMS, "security", name)
    usual = "global" if mechanism is Mechanism.HIGH_GMAC else "none"
    form = _one_of(_CIPHERINGS, "address ciphering", ciphering or usual)
    curved = mechanism is Mechanism.HIGH_ECDSA or form.agreed
    number = _one_of(_SUITES, "address suite", suite or ("1" if curved else "0"))
    policy = _one_of(_PROTECTIONS, "address protection", protection or "both")
    if curved and number not in CURVES:
        what = f"ciphering {form.value}" if form.agreed else f"security {name}"
        raise LocalProtocolError(f"{what} takes suite 1 or 2: correct the registry")
    own = _title(title or CLIENT_TITLE.hex())
    kinds = _kinds(mechanism, form, policy)
    return Wanted(name, mechanism, number, form, policy, own, kinds)


def _kinds(mechanism: Mechanism, ciphering: Ciphering, policy: int) -> tuple[str, ...]:
    kinds = set(_FOR_CIPHERING.get(ciphering, ()))
    ciphered = ciphering is not Ciphering.NONE
    if mechanism in _WITH_PASSWORD:
        kinds.add("password")
    if ciphered or mechanism is Mechanism.HIGH_GMAC:
        kinds.add("encryption")
    # A key that nothing is authenticated with is not asked for.
    if mechanism is Mechanism.HIGH_GMAC or (ciphered and policy & AUTHENTICATED):
        kinds.add("authentication")
    if mechanism is Mechanism.HIGH_ECDSA:
        kinds |= {"client_signing", "meter_signing"}
    return tuple(sorted(kinds))


def security(
    wanted: Wanted, secrets: Mapping[str, bytes], take_counter: Callable[[], int]
) -> Security:
    """Make the security of a meter, keys ready for use.

    Parameters
    ----------
    secrets : keys by kind; those that are not needed now are not looked at
    take_counter : gives an invocation counter that was never used and never will be again

    Raises
    ------
    LocalProtocolError
        if a key is missing or is none of its kind and suite.
    """
    for kind in wanted.kinds:
        if kind not in secrets:
            raise LocalProtocolError(
                f"security {wanted.name} needs the secret {kind!r}: import the meter's keys"
            )
        check(kind, secrets[kind], wanted.suite)
    return Security(
        wanted.mechanism,
        password=secrets["password"] if "password" in wanted.kinds else b"",
        keys=_keys(wanted, secrets),
        ciphering=wanted.ciphering,
        policy=wanted.policy,
        suite=wanted.suite,
        title=wanted.title,
        pairs=pairs(wanted.suite, secrets, wanted.kinds),
        master=secrets["master"] if "master" in wanted.kinds else b"",
        take_counter=take_counter,
    )


def pairs(suite: int, secrets: Mapping[str, bytes], kinds: Sequence[str]) -> Pairs:
    """Make the elliptic-curve keys of some kinds."""
    private = {one: PrivateKey(suite, secrets[one]) for one in kinds if one in _PRIVATE}
    public = {one: PublicKey(suite, secrets[one]) for one in kinds if one in _PUBLIC}
    return Pairs(
        signing=private.get("client_signing"),
        agreement=private.get("client_agreement"),
        meter_signing=public.get("meter_signing"),
        meter_agreement=public.get("meter_agreement"),
    )


def check(kind: str, key: bytes, suite: int) -> None:
    """Look whether a key can be one of its kind in a suite; the message never shows it.

    Raises
    ------
    LocalProtocolError
    """
    if kind == "password":
        if not 1 <= len(key) <= _LONGEST_PASSWORD:
            raise LocalProtocolError(f"a password has 1 to {_LONGEST_PASSWORD} bytes")
    elif kind in _PRIVATE:
        PrivateKey(suite, key)
    elif kind in _PUBLIC:
        PublicKey(suite, key)
    elif kind not in _SYMMETRIC:
        raise LocalProtocolError(f"a key's kind is one of {', '.join(KINDS)}")
    elif len(key) != KEY_SIZES[suite]:
        raise LocalProtocolError(
            f"the {kind} key has {len(key)} bytes; security suite {suite} takes {KEY_SIZES[suite]} "
            f"bytes ({2 * KEY_SIZES[suite]} digits)"
        )


def _keys(wanted: Wanted, secrets: Mapping[str, bytes]) -> Keys | None:
    if not wanted.counted:
        return None
    return Keys(
        secrets["encryption"],
        secrets["authentication"] if "authentication" in wanted.kinds else None,
        suite=wanted.suite,
        broadcast=secrets.get("broadcast"),
    )


def _one_of(table: Mapping[str, T], what: str, text: str) -> T:
    if text not in table:
        raise LocalProtocolError(
            f"{what} {text!r} is none of {', '.join(table)}: correct the registry"
        )
    return table[text]


def _title(text: str) -> bytes:
    try:
        title = bytes.fromhex(text)
    except ValueError:
        title = b""
    if len(title) != TITLE_SIZE:
        raise LocalProtocolError(
            f"address title {text!r} is no system title of 16 hexadecimal digits: "
            "correct the registry"
        )
    return title
