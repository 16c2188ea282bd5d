"""The key store: meter keys from files into the database, sealed; never shown, never logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
class _Row:
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
    numbered = list(enumerate(rows, start=2))
    known = _known(connection, [row.get("end_device") or "" for _, row in numbered])
    done: Counter[str] = Counter()
    rejected: list[Rejected] = []
    for line, row in numbered:
        read = _read(line, row, known)
        if isinstance(read, Rejected):
            rejected.append(read)
        else:
            done[_put(connection, read, vault, now)] += 1
    return KeyReport(done["added"], done["changed"], done["unchanged"], tuple(rejected))


def _known(connection: Connection, mrids: list[str]) -> dict[str, _Owner]:
    rows = connection.execute(_SQL["owners"], {"mrids": mrids})
    return {mrid: _Owner(number, security, address) for mrid, number, security, address in rows}


def _read(line: int, row: Mapping[str, str], known: Mapping[str, _Owner]) -> _Row | Rejected:
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
    return _Row(known[name].id, name, kind, key)


def _put(connection: Connection, row: _Row, vault: Vault, now: datetime) -> str:
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


def put_pending(
    connection: Connection,
    end_device_id: int,
    mrid: str,
    new: Mapping[str, bytes],
    *,
    vault: Vault,
    now: datetime,
) -> None:
    """Keep keys that are about to be sent to a meter, sealed; they are not in force yet."""
    for kind, key in new.items():
        row = {
            "end_device": end_device_id, "kind": kind, "now": now,
            "sealed": vault.seal(sealed_name(mrid, kind), key),
        }  # fmt: skip
        connection.execute(_SQL["put_pending"], row)


def pending(
    connection: Connection, end_device_id: int, mrid: str, *, vault: Vault
) -> dict[str, bytes]:
    """Open the keys of a meter that are on their way into it.

    Raises
    ------
    VaultError
    """
    rows = connection.execute(_SQL["pending"], {"end_device": end_device_id}).fetchall()
    return {kind: vault.unseal(sealed_name(mrid, kind), sealed) for kind, sealed in rows}


def pending_of(
    connection: Connection, end_device_ids: Sequence[int]
) -> dict[int, dict[str, bytes]]:
    """Give keys that are on their way into meters, sealed, by end device and kind."""
    found: dict[int, dict[str, bytes]] = {}
    rows = connection.execute(_SQL["pending_of"], {"end_devices": list(end_device_ids)})
    for number, kind, sealed in rows:
        found.setdefault(number, {})[kind] = sealed
    return found


def promote(
    connection: Connection, end_device_id: int, kinds: Iterable[str], *, now: datetime
) -> None:
    """Put pending keys in the place of those in use: the meter has proved that it took them."""
    row = {"end_device": end_device_id, "kinds": list(kinds), "now": now}
    connection.execute(_SQL["promote"], row)


def drop_pending(connection: Connection, end_device_id: int, kinds: Iterable[str]) -> None:
    """Forget pending keys that the meter certainly does not have."""
    row = {"end_device": end_device_id, "kinds": list(kinds)}
    connection.execute(_SQL["drop_pending"], row)
