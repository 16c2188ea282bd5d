"""Who pushes: end devices of the registry, by the names and addresses that a push can tell.

An end device is known by its system title (address ``system_title=…`` in the registry), by its
mRID, serial number or logical device name (``serial=…``, ``device_name=…``, and the serial that it
gave in a session), and by its host if no other end device is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from drivers.dlms import companion, push, security_settings
from drivers.dlms.ciphering import AUTHENTICATED, Header, Keys
from drivers.dlms.message_keys import MessageKeys
from drivers.dlms.push_buffer import KnownColumn, KnownProfile
from drivers.dlms.push_content import Terms
from drivers.dlms.security import Security
from drivers.dlms.security_settings import Wanted
from drivers.errors import LocalProtocolError, WrongKey
from headend import keys as key_store
from headend.vault import Vault
from schemas import statements
from schemas.database import Connection
from schemas.obis import Obis

_SQL = statements.load("headend", "push_senders.sql")
# The registry is asked again for a sender after this, and for one that it does not know.
_FRESH_SECONDS: Final = 30.0
# Names of senders that are remembered; a sender with its keys takes about 3 kB.
_MOST: Final = 100_000
_PROFILE: Final = "generic"

PROTECTIONS: Final = ("plain", "encrypted", "authenticated")
"""What a sender may be held to, the weakest first (address ``push=…`` in the registry)."""


@dataclass(eq=False, slots=True)
class Sender:
    """An end device that may push.

    Attributes
    ----------
    title : system title, empty if the registry does not have it
    names : what it may call itself
    serials : those of them that the registry has as its serial number or device name
    protection : the least that its pushes must have, of ``PROTECTIONS``
    sealed : its sealed keys by kind
    suite : security suite
    noted : whether the head-end has written down lately that it was heard
    secured : its keys, once they are opened, and those that its messages named
    """

    id: int
    mrid: str
    title: bytes
    names: frozenset[str]
    serials: frozenset[str]
    host: str
    terms: Terms
    protection: str
    sealed: Mapping[str, bytes] = field(repr=False)
    suite: int = 0
    noted: bool = False
    secured: tuple[Security, MessageKeys] | None = field(default=None, repr=False)

    def opened(self, apdu: bytes, title: bytes, vault: Vault) -> tuple[bytes, Header]:
        """Take the protection off a ciphered push; give it plain, and its security header.

        Raises
        ------
        VaultError
            if a key does not open.
        drivers.errors.DriverError
            if there is no key, it does not fit, or the bytes are no ciphered push.
        """
        if self.secured is None:
            secured = self._made(vault)
            self.secured = secured, MessageKeys(secured)
        secured, named = self.secured
        return push.opened(apdu, secured, title, named)

    def keys(self) -> Keys | None:
        """Give its global keys, once a push of it was opened."""
        return self.secured[0].keys if self.secured else None

    def take_over(self, before: Sender | None) -> None:
        """Take the opened keys of the same end device, if they are the same."""
        if before and (before.mrid, before.suite, before.sealed) == (
            self.mrid, self.suite, self.sealed
        ):  # fmt: skip
            self.secured = before.secured

    def _made(self, vault: Vault) -> Security:
        """Open what the store has of its keys; which of them a push is under, the push says."""
        if "encryption" not in self.sealed:
            raise WrongKey("it pushes ciphered, and the key store has no encryption key for it")
        secrets = {
            kind: vault.unseal(key_store.sealed_name(self.mrid, kind), secret)
            for kind, secret in self.sealed.items()
        }
        keys = Keys(
            secrets["encryption"], secrets.get("authentication"), suite=self.suite,
            broadcast=secrets.get("broadcast"),
        )  # fmt: skip
        return Security(
            keys=keys,
            policy=0,
            suite=self.suite,
            pairs=security_settings.pairs(self.suite, secrets, list(secrets)),
            master=secrets.get("master", b""),
        )


class Senders:
    """The senders that were asked for lately; the registry is asked for the others."""

    def __init__(self) -> None:
        self._by: dict[tuple[str, str], tuple[Sender, ...]] = {}
        self._before: dict[int, Sender] = {}
        self._asked = time.monotonic()

    def load(
        self,
        connection: Connection,
        *,
        titles: Iterable[bytes] = (),
        names: Iterable[str] = (),
        hosts: Iterable[str] = (),
    ) -> None:
        """Ask the registry for what is not known yet, all in one question."""
        if time.monotonic() - self._asked > _FRESH_SECONDS or len(self._by) > _MOST:
            # Keys that are still the same need not be opened again.
            self._before = {one.id: one for found in self._by.values() for one in found}
            self._by.clear()
            self._asked = time.monotonic()
        wanted = {
            "title": {title.hex().upper() for title in titles},
            "name": {name for name in names if "\0" not in name},
            "host": set(hosts),
        }
        missing = {
            kind: sorted(one for one in keys if (kind, one) not in self._by)
            for kind, keys in wanted.items()
        }
        if any(missing.values()):
            self._ask(connection, missing)

    def of_title(self, title: bytes) -> tuple[Sender, ...]:
        """Give who has a system title."""
        return self._by.get(("title", title.hex().upper()), ())

    def of_name(self, name: str) -> tuple[Sender, ...]:
        """Give who has a name."""
        return self._by.get(("name", name), ())

    def of_host(self, host: str) -> tuple[Sender, ...]:
        """Give who alone is at an address."""
        return self._by.get(("host", host), ())

    def _ask(self, connection: Connection, missing: Mapping[str, Sequence[str]]) -> None:
        rows = connection.execute(
            _SQL["senders"],
            {"titles": missing["title"], "names": missing["name"], "hosts": missing["host"]},
        )
        found: dict[tuple[str, str], list[Sender]] = {
            (kind, one): [] for kind, ones in missing.items() for one in ones
        }
        for sender in map(_sender, rows):
            sender.take_over(self._before.get(sender.id))
            for key in _keys_of(sender):
                if key in found:
                    found[key].append(sender)
        self._by.update((key, tuple(senders)) for key, senders in found.items())


def advance(connection: Connection, highest: Mapping[int, int]) -> dict[int, int]:
    """Move the counters of senders' pushes up; give for each what it was before, -1 at first.

    The caller's transaction makes it last; until it ends nobody else can move the same counters.

    Parameters
    ----------
    highest : invocation counter that came, by end device id
    """
    wanted = {"ids": list(highest), "highest": list(highest.values())}
    return dict(connection.execute(_SQL["counters"], wanted).fetchall()) if highest else {}


@lru_cache(maxsize=1024)
def terms(
    profile: str,
    interval_seconds: int,
    deviation: int | None,
    profiles: tuple[KnownProfile, ...] = (),
) -> Terms:
    """Give how pushes are read; the same terms are the same object.

    Raises
    ------
    drivers.errors.LocalProtocolError
        if there is no such profile.
    """
    return Terms(companion.named(profile), interval_seconds, deviation, profiles)


def _keys_of(sender: Sender) -> list[tuple[str, str]]:
    keys = [("name", name) for name in sender.names]
    return [*keys, ("title", sender.title.hex().upper()), ("host", sender.host)]


def _sender(row: tuple[Any, ...]) -> Sender:
    number, mrid, profile, interval, security, host, address, serial, kinds, sealed, offers = row
    own = {str(address[key]) for key in ("serial", "device_name") if key in address}
    suite, least = _protection(security, address)
    return Sender(
        id=number,
        mrid=mrid,
        title=_title(str(address.get("system_title", ""))),
        names=frozenset(filter(None, {mrid, serial, *own})),
        serials=frozenset(own),
        host=host or "",
        terms=_terms(profile, interval, _deviation(address), _profiles(offers)),
        protection=least,
        sealed=dict(zip(kinds, sealed, strict=True)),
        suite=suite,
    )


def _protection(security: str, address: Mapping[str, Any]) -> tuple[int, str]:
    """Give the security suite, and the least protection that pushes must have."""
    asked = str(address.get("push", ""))
    try:
        wanted = Wanted.of(security, address)
    except LocalProtocolError:
        # It shows when the meter is read; until then nothing weaker than usual is taken.
        return 0, asked if asked in PROTECTIONS else "authenticated"
    if asked not in PROTECTIONS:
        authenticated = "authenticated" if wanted.policy & AUTHENTICATED else "encrypted"
        asked = authenticated if wanted.ciphered else "plain"
    return wanted.suite, asked


def _terms(
    profile: str,
    interval_seconds: int,
    deviation: int | None,
    profiles: tuple[KnownProfile, ...],
) -> Terms:
    """Give a sender's terms; a profile that nobody knows shows when the meter is read."""
    try:
        return terms(profile, interval_seconds, deviation, profiles)
    except LocalProtocolError:
        return terms(_PROFILE, interval_seconds, deviation, profiles)


def _profiles(offers: Any) -> tuple[KnownProfile, ...]:
    """Give the profiles of a meter's association view, as it is kept (``MeterProfile``)."""
    return tuple(
        KnownProfile(
            Obis.parse(one["source"].split("/")[1]),
            int(one["period_seconds"]),
            tuple(map(_column, one["captures"])),
        )
        for one in offers or ()
    )


def _column(capture: Mapping[str, Any]) -> KnownColumn:
    scaler, unit = capture["scaler"], capture["unit"]
    scale = None if scaler is None or unit is None else (int(scaler), int(unit))
    return KnownColumn(capture["source"], capture["reading_type"], scale)


def _title(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _deviation(address: Mapping[str, Any]) -> int | None:
    text = str(address.get("deviation", ""))
    return int(text) if text.removeprefix("-").isdecimal() else None
