"""Keys on their way into meters: kept, sealed, from before they are sent until they are proved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from headend import keys
from headend.control_kinds import ControlError
from headend.keys import sealed_name
from headend.vault import Vault
from schemas import parameters, statements
from schemas.database import Connection

_SQL = statements.load("headend", "pending_keys.sql")


def take(
    connection: Connection, rows: Iterable[Mapping[str, str]], *, mrid: str, now: datetime
) -> list[str]:
    """Take keys of a file that are to be sent to a meter; give their kinds.

    Parameters
    ----------
    rows : as ``keys.import_keys`` takes them; those of other meters are left alone

    Raises
    ------
    ControlError
        if one of the meter's keys cannot be, or there is none.
    VaultError
    """
    mine = [row for row in rows if (row.get("end_device") or "").strip() == mrid]
    found, rejected = keys.checked(connection, mine)
    if rejected:
        raise ControlError(f"{mrid}: {rejected[0]}")
    if not found:
        raise ControlError(
            f"the file has no key of {mrid}; its columns are end_device,kind,key_hex"
        )
    vault = keys.open_vault()
    for row in found:
        put(connection, row.end_device_id, mrid, {row.kind: row.key}, vault=vault, now=now)
    return sorted(row.kind for row in found)


def put(
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
        connection.execute(_SQL["put"], row)


def opened(
    connection: Connection, end_device_id: int, mrid: str, *, vault: Vault
) -> dict[str, bytes]:
    """Open the keys of a meter that are on their way into it.

    Raises
    ------
    VaultError
    """
    rows = connection.execute(_SQL["of_device"], {"end_device": end_device_id}).fetchall()
    return {kind: vault.unseal(sealed_name(mrid, kind), sealed) for kind, sealed in rows}


def sealed_of(connection: Connection, end_device_ids: Sequence[int]) -> dict[int, dict[str, bytes]]:
    """Give keys that are on their way into meters, sealed, by end device and kind."""
    found: dict[int, dict[str, bytes]] = {}
    rows = connection.execute(
        _SQL["of_devices"], {"end_devices": parameters.numbers(end_device_ids)}
    )
    for number, kind, sealed in rows:
        found.setdefault(number, {})[kind] = sealed
    return found


def promote(
    connection: Connection, end_device_id: int, kinds: Iterable[str], *, now: datetime
) -> None:
    """Put pending keys in the place of those in use: the meter has proved that it took them."""
    row = {"end_device": end_device_id, "kinds": list(kinds), "now": now}
    connection.execute(_SQL["promote"], row)


def drop(connection: Connection, end_device_id: int, kinds: Iterable[str]) -> None:
    """Forget pending keys that the meter certainly does not have."""
    row = {"end_device": end_device_id, "kinds": list(kinds)}
    connection.execute(_SQL["drop"], row)
