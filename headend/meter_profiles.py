"""What meters said they offer: kept, so that none is asked for what it does not have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from drivers import kept
from drivers.meter_profile import MeterProfile
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "meter_profiles.sql")
# Reads of which a meter's profile says whether there is anything to read.
_STORED = frozenset({"intervals", "register_history", "events"})


@dataclass(frozen=True, slots=True)
class Known:
    """A meter's profile, when the meter first said so and when it last said the same."""

    read_at: datetime
    confirmed_at: datetime
    offers: MeterProfile


def store(
    connection: Connection, end_device_id: int, offers: MeterProfile, *, now: datetime
) -> bool:
    """Keep what a meter says it offers; tell whether that is something new."""
    known = newest(connection, end_device_id)
    row = {"end_device": end_device_id, "now": now}
    if known is not None and _alike(known.offers, offers):
        connection.execute(_SQL["confirm"], {**row, "read_at": known.read_at})
        return False
    plain = {"offers": Jsonb(kept.dumped(offers)), "capture_seconds": capture_seconds(offers)}
    connection.execute(_SQL["add"], {**row, **plain})
    return True


def newest(connection: Connection, end_device_id: int) -> Known | None:
    """Give what a meter last said that it offers; None if it was never asked."""
    row = connection.execute(_SQL["newest"], {"end_device": end_device_id}).fetchone()
    return None if row is None else Known(row[0], row[1], kept.loaded(MeterProfile, row[2]))


def of_devices(connection: Connection, end_device_ids: Sequence[int]) -> dict[int, MeterProfile]:
    """Give what meters last said that they offer, by end device; those never asked are left out."""
    rows = connection.execute(_SQL["newest_of"], {"end_devices": list(end_device_ids)})
    return {number: kept.loaded(MeterProfile, offers) for number, offers in rows}


def has(offers: MeterProfile | None, read: str) -> bool:
    """Tell whether a meter may be asked for a read; True as long as it is not known not to be."""
    if offers is None or not offers.objects or read not in _STORED:
        return True
    return bool(offers.serves(read))


def capture_seconds(offers: MeterProfile | None) -> int | None:
    """Give how often the meter stores its intervals [s]; None if that is not known."""
    found = () if offers is None else offers.serves("intervals")
    return found[0].period_seconds or None if found else None


def registers(offers: MeterProfile | None, wanted: Sequence[str]) -> tuple[str, ...]:
    """Leave out registers that the meter does not have; all stay while that is not known."""
    if offers is None or not offers.registers:
        return tuple(wanted)
    return tuple(name for name in wanted if name in offers.registers)


def _alike(one: MeterProfile, other: MeterProfile) -> bool:
    """Compare but for the number of rows, which grows by itself."""
    return _still(one) == _still(other)


def _still(offers: MeterProfile) -> Mapping[str, object]:
    plain = kept.dumped(offers)
    for profile in plain["profiles"]:
        profile.pop("rows", None)
    return plain
