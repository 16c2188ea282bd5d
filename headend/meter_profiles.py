"""What meters said they offer: kept, so that none is asked for what it does not have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from psycopg.types.json import Jsonb

from drivers import kept
from drivers.meter_profile import MeterProfile
from schemas import parameters, statements
from schemas.database import Connection

_SQL = statements.load("headend", "meter_profiles.sql")
# A fleet has as many as it has kinds of meters and firmware; what has a digest never changes.
_MOST_READ = 256
_read: dict[bytes, MeterProfile] = {}
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
    """Keep what a meter says it offers; tell whether that is something new.

    How many rows its profiles have just now is left out: it changes by itself.
    """
    lasting = replace(offers, profiles=tuple(replace(one, rows=None) for one in offers.profiles))
    plain = kept.dumped(lasting)
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).digest()
    row = {"end_device": end_device_id, "now": now, "digest": digest}
    known = connection.execute(_SQL["newest"], row).fetchone()
    if known is not None and bytes(known[2]) == digest:
        connection.execute(_SQL["confirm"], {**row, "read_at": known[0]})
        return False
    said = {"offers": Jsonb(plain), "capture_seconds": capture_seconds(offers)}
    connection.execute(_SQL["add_offers"], {**row, **said})
    connection.execute(_SQL["add"], row)
    return True


def newest(connection: Connection, end_device_id: int) -> Known | None:
    """Give what a meter last said that it offers; None if it was never asked."""
    row = connection.execute(_SQL["newest"], {"end_device": end_device_id}).fetchone()
    return None if row is None else Known(row[0], row[1], _offers(connection, bytes(row[2])))


def of_devices(connection: Connection, end_device_ids: Sequence[int]) -> dict[int, MeterProfile]:
    """Give what meters last said that they offer, by end device; those never asked are left out."""
    wanted = {"end_devices": parameters.numbers(end_device_ids)}
    rows = connection.execute(_SQL["newest_of"], wanted).fetchall()
    return {number: _offers(connection, bytes(digest)) for number, digest in rows}


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


def _offers(connection: Connection, digest: bytes) -> MeterProfile:
    """Give what has a digest; it is made of its JSON once, which takes some milliseconds."""
    if digest in _read:
        return _read[digest]
    [[plain]] = connection.execute(_SQL["offers"], {"digest": digest}).fetchall()
    offers = kept.loaded(MeterProfile, plain)
    if len(_read) >= _MOST_READ:
        _read.clear()
    _read[digest] = offers
    return offers
