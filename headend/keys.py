"""The key store: meter keys from files into the database, sealed; never shown, never logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

from drivers.dlms import security_settings
from drivers.dlms.security_settings import Wanted
from drivers.errors import LocalProtocolError
from headend.vault import Vault, VaultError
from schemas import statements
from schemas.database import Connection
from schemas.settings import Settings

_SQL = statements.load("headend", "keys.sql")
COLUMNS = ("end_device", "kind", "key_hex")
# Rows that are looked up and written together.
_BATCH: Final = 2_000

Numbered = tuple[int, Mapping[str, str]]
"""A row's line, and its cells by column."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken: what is wrong, where. A key's value is never shown."""

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column} {self.value!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What an import of keys did."""

    added: int
    changed: int
    unchanged: int
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True)
class _Owner:
    id: int
    security: str
    address: Mapping[str, int | str]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an end device as a row gave it, checked."""

    end_device_id: int
    name: str
    kind: str
    key: bytes = field(repr=False)


def open_vault() -> Vault:
    """Open the vault of this installation's master key, making the key the first time.

    Raises
    ------
    VaultError
    """
    return Vault.open(Settings().key_file())


def vault_opener() -> Callable[[], Vault]:
    """Give what opens the vault, as ``open_vault`` does; where its key is, is asked only now.

    Reading the settings takes 20 ms, which a batch of some meters should not.
    """
    return partial(Vault.open, Settings().key_file())


def sealed_name(end_device: str, kind: str) -> str:
    """Name what a key is sealed for: a key copied to another meter's row does not open."""
    return f"{kind} key of {end_device}"


def import_keys(
    connection: Connection,
    rows: Iterable[Mapping[str, str]],
    *,
    now: datetime,
    vault: Vault | None = None,
) -> KeyReport:
    """Put keys into the store, sealed; every good row lands, each bad one is reported.

    A meter that was held because of its key or its counter is tried again. Importing the same
    rows again changes nothing.

    Parameters
    ----------
    rows : ``end_device`` (mRID), ``kind`` (of ``drivers.dlms.security_settings.KINDS``) and
        ``key_hex``; how long a key is and of which curve, the device's security suite says
    vault : the installation's own when None

    Raises
    ------
    VaultError
        if the master key cannot be used.
    """
    return import_numbered(connection, enumerate(rows, start=2), now=now, vault=vault)


def import_numbered(
    connection: Connection, rows: Iterable[Numbered], *, now: datetime, vault: Vault | None = None
) -> KeyReport:
    """Put keys into the store as ``import_keys`` does; ``rows`` say which line they are of."""
    vault = vault or open_vault()
    done: Counter[str] = Counter()
    rejected: list[Rejected] = []
    waiting = iter(rows)
    while part := list(islice(waiting, _BATCH)):
        found, bad = _checked(connection, part)
        done += _put(connection, found, vault, now)
        rejected += bad
    return KeyReport(done["added"], done["changed"], done["unchanged"], tuple(rejected))


def checked(
    connection: Connection, rows: Iterable[Mapping[str, str]]
) -> tuple[list[Key], list[Rejected]]:
    """Read rows of keys: those that are good, and those that are not, with the reason."""
    return _checked(connection, list(enumerate(rows, start=2)))


def _checked(
    connection: Connection, numbered: Sequence[Numbered]
) -> tuple[list[Key], list[Rejected]]:
    known = _known(connection, [row.get("end_device") or "" for _, row in numbered])
    read = [_read(line, row, known) for line, row in numbered]
    good = [one for one in read if isinstance(one, Key)]
    return good, [one for one in read if isinstance(one, Rejected)]


def _known(connection: Connection, mrids: list[str]) -> dict[str, _Owner]:
    rows = connection.execute(_SQL["owners"], {"mrids": mrids})
    return {mrid: _Owner(number, security, address) for mrid, number, security, address in rows}


def _read(line: int, row: Mapping[str, str], known: Mapping[str, _Owner]) -> Key | Rejected:
    texts = {column: (row.get(column) or "").strip() for column in COLUMNS}
    name, kind = texts["end_device"], texts["kind"]
    if name not in known:
        return Rejected(line, "end_device", name, "no such end device; import the registry first")
    if kind not in security_settings.KINDS:
        return Rejected(line, "kind", kind, f"must be one of {', '.join(security_settings.KINDS)}")
    try:
        key = bytes.fromhex(texts["key_hex"])
    except ValueError:
        return Rejected(line, "key_hex", "…", "must be hexadecimal digits, two a byte")
    try:
        suite = Wanted.of(known[name].security, known[name].address).suite
    except LocalProtocolError as error:
        return Rejected(line, "end_device", name, str(error))
    try:
        security_settings.check(kind, key, suite)
    except LocalProtocolError as error:
        return Rejected(line, "key_hex", "…", str(error))
    return Key(known[name].id, name, kind, key)


def _put(connection: Connection, rows: Sequence[Key], vault: Vault, now: datetime) -> Counter[str]:
    """Store keys as if they came one after another; count what became of them."""
    wanted = {"end_devices": sorted({one.end_device_id for one in rows})}
    stored = {(row[0], row[1]): row[2] for row in connection.execute(_SQL["sealed_keys"], wanted)}
    done: Counter[str] = Counter()
    opened: dict[tuple[int, str], bytes | None] = {}
    put: dict[tuple[int, str], Key] = {}
    for one in rows:
        place = (one.end_device_id, one.kind)
        if place not in opened and place in stored:
            opened[place] = _opens_to(vault, sealed_name(one.name, one.kind), stored[place])
        if place in opened and opened[place] == one.key:
            done["unchanged"] += 1
            continue
        done["changed" if place in opened else "added"] += 1
        opened[place], put[place] = one.key, one
    if put:
        _write(connection, put.values(), vault, now)
    return done


def _write(connection: Connection, rows: Iterable[Key], vault: Vault, now: datetime) -> None:
    """Seal keys and keep them; meters that were held for theirs are tried again."""
    found = list(rows)
    columns = {
        "end_devices": [one.end_device_id for one in found],
        "kinds": [one.kind for one in found],
        "sealed": [vault.seal(sealed_name(one.name, one.kind), one.key) for one in found],
        "now": now,
    }
    connection.execute(_SQL["put_keys"], columns)
    connection.execute(_SQL["release_key_holds"], columns)


def _opens_to(vault: Vault, name: str, sealed: bytes) -> bytes | None:
    """Open a key that is to be replaced; one sealed with a lost master key is just replaced."""
    try:
        return vault.unseal(name, sealed)
    except VaultError:
        return None
