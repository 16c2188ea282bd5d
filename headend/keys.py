"""The key store: meter keys from files into the database, sealed; never shown, never logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from drivers.dlms import security_settings
from drivers.dlms.security_settings import Wanted
from drivers.errors import LocalProtocolError
from headend.vault import Vault, VaultError
from schemas import statements
from schemas.database import Connection
from schemas.settings import Settings

_SQL = statements.load("headend", "keys.sql")
COLUMNS = ("end_device", "kind", "key_hex")


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
    vault = vault or open_vault()
    found, rejected = checked(connection, rows)
    done = Counter(_put(connection, one, vault, now) for one in found)
    return KeyReport(done["added"], done["changed"], done["unchanged"], tuple(rejected))


def checked(
    connection: Connection, rows: Iterable[Mapping[str, str]]
) -> tuple[list[Key], list[Rejected]]:
    """Read rows of keys: those that are good, and those that are not, with the reason."""
    numbered = list(enumerate(rows, start=2))
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


def _put(connection: Connection, row: Key, vault: Vault, now: datetime) -> str:
    name = sealed_name(row.name, row.kind)
    place = {"end_device": row.end_device_id, "kind": row.kind}
    before = connection.execute(_SQL["sealed_key"], place).fetchone()
    if before is not None and _opens_to(vault, name, before[0]) == row.key:
        return "unchanged"
    connection.execute(_SQL["put_key"], {**place, "sealed": vault.seal(name, row.key), "now": now})
    connection.execute(_SQL["release_key_hold"], {"end_device": row.end_device_id, "now": now})
    return "added" if before is None else "changed"


def _opens_to(vault: Vault, name: str, sealed: bytes) -> bytes | None:
    """Open a key that is to be replaced; one sealed with a lost master key is just replaced."""
    try:
        return vault.unseal(name, sealed)
    except VaultError:
        return None
