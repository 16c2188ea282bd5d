"""How a client shows a meter who it is, and what protects its messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import BOTH, Keys
from drivers.dlms.elliptic import PrivateKey, PublicKey

# "MIQ" is no registered manufacturer; a client's title only has to be its own on this meter.
CLIENT_TITLE: Final = b"MIQ\x00\x00\x00\x00\x01"


class Ciphering(StrEnum):
    """Which messages carry what is protected, and under which key; by the registry's names."""

    NONE = "none"
    GLOBAL = "global"
    """Service-specific messages (glo-) under the global key."""
    DEDICATED = "dedicated"
    """Service-specific messages (ded-) under a key for this association alone."""
    GENERAL = "general"
    """General-glo-ciphering."""
    GENERAL_DEDICATED = "general-dedicated"
    """General-ded-ciphering."""
    IDENTIFIED = "identified"
    """General-ciphering under the global key, by its number."""
    WRAPPED = "wrapped"
    """General-ciphering under a key that comes with the message, wrapped under the master key."""
    ONE_PASS = "one-pass"  # noqa: S105
    """General-ciphering under a key agreed by One-Pass Diffie-Hellman, C(1e, 1s)."""
    STATIC = "static"
    """General-ciphering under a key agreed by the Static Unified Model, C(0e, 2s)."""

    @property
    def dedicated(self) -> bool:
        """Whether a key is made for the association."""
        return self in (Ciphering.DEDICATED, Ciphering.GENERAL_DEDICATED)

    @property
    def general(self) -> bool:
        """Whether the meter must grant general protection."""
        return self not in (Ciphering.NONE, Ciphering.GLOBAL, Ciphering.DEDICATED)

    @property
    def enveloped(self) -> bool:
        """Whether messages say who sends them to whom, and under which key."""
        return self in (
            Ciphering.IDENTIFIED,
            Ciphering.WRAPPED,
            Ciphering.ONE_PASS,
            Ciphering.STATIC,
        )

    @property
    def agreed(self) -> bool:
        """Whether keys are agreed on over an elliptic curve."""
        return self in (Ciphering.ONE_PASS, Ciphering.STATIC)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Elliptic-curve keys: our private ones, and the meter's public ones."""

    signing: PrivateKey | None = field(default=None, repr=False)
    agreement: PrivateKey | None = field(default=None, repr=False)
    meter_signing: PublicKey | None = None
    meter_agreement: PublicKey | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """How a client shows who it is, and what protects its messages.

    Attributes
    ----------
    mechanism : how the client shows who it is
    password : password of mechanism low, or the secret of those with a digest
    keys : the meter's global keys, None if it has none
    ciphering : how messages are protected where there are keys
    policy : what protects them: authenticated, encrypted or both; an answer with less is refused
    suite : security suite
    title : the client's system title, 8 octets
    pairs : for signatures and agreed keys
    master : the meter's master key, for wrapped keys
    take_counter : gives an invocation counter that was never used and never will be again
    """

    mechanism: Mechanism = Mechanism.NONE
    password: bytes = field(default=b"", repr=False)
    keys: Keys | None = None
    ciphering: Ciphering = Ciphering.GLOBAL
    policy: int = BOTH
    suite: int = 0
    title: bytes = CLIENT_TITLE
    pairs: Pairs = Pairs()
    master: bytes = field(default=b"", repr=False)
    take_counter: Callable[[], int] = field(default=lambda: 0, repr=False)

    @property
    def ciphered(self) -> bool:
        """Whether messages are protected at all."""
        return self.keys is not None and self.ciphering is not Ciphering.NONE

    @property
    def titled(self) -> bool:
        """Whether the client's system title goes into the association's request."""
        return self.ciphered or self.mechanism.titled
