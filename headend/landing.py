"""Puts what was read into the raw store; landing the same answer again changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime

from psycopg.pq import TransactionStatus

from headend import landing_rows, quarantine
from headend.landing_rows import Answer, Unplaced
from schemas import parameters, quality, reading_type, statements
from schemas.database import Connection

_SQL = statements.load("headend", "landing.sql")
_INT64 = 2**63
_SOUND = (quality.VALID, quality.LATE_SAMPLE)


@dataclass(frozen=True, slots=True)
class Landed:
    """How much of an answer was new, and how many values went to the quarantine.

    ``missing`` counts the new intervals that have no value: the meter was asked, and has none.
    """

    intervals: int = 0
    registers: int = 0
    events: int = 0
    quarantined: int = 0
    missing: int = 0


def land(
    connection: Connection, answers: Sequence[Answer], *, source: str, now: datetime
) -> dict[int, Landed]:
    """Put many end devices' answers into the raw store, and say to the record what is new.

    Blocks are cut at 00:00 UTC. A value that the store cannot hold goes to the quarantine, and its
    slot is MISSING. The caller owns the transaction: what is new and its ``arrival`` rows become
    visible together.

    Parameters
    ----------
    source : where it came from, such as ``dlms``, ``mqtt:TOPIC`` or ``file:NAME``
    now : collection time

    Returns
    -------
    what was new, by end device id; an end device with nothing new has zeros

    Raises
    ------
    KeyError
        if a reading type is not in the table.
    psycopg.errors.ForeignKeyViolation
        if an end device is not in the registry.
    """
    unplaced: list[Unplaced] = []
    stamps = {"source": source, "now": now}
    told = landing_rows.events(answers)
    with _transaction(connection):
        intervals = _land_blocks(connection, landing_rows.blocks(answers, unplaced), stamps)
        readings = landing_rows.registers(answers, unplaced)
        registers = _counts(connection, "put_registers", readings, stamps)
        _keep_wraps(connection, answers, now)
        _keep_ratios(connection, answers)
        events = _counts(connection, "land_events", told, {"now": now})
        quarantine.put(connection, [_aside(one, source, now) for one in unplaced])
    outside = Counter(one.end_device_id for one in unplaced)
    return {
        device: Landed(
            intervals=intervals[device][0] if device in intervals else 0,
            registers=registers.get(device, 0),
            events=events.get(device, 0),
            quarantined=outside[device],
            missing=intervals[device][1] if device in intervals else 0,
        )
        for device in dict.fromkeys(answer.end_device_id for answer in answers)
    }


def _transaction(connection: Connection) -> AbstractContextManager[object]:
    """Give the caller's transaction, or one of our own where there is none."""
    if connection.pgconn.transaction_status == TransactionStatus.INTRANS:
        return nullcontext()
    return connection.transaction()


def _land_blocks(
    connection: Connection, blocks: Iterable[dict[str, object]], stamps: dict[str, object]
) -> dict[int, tuple[int, int]]:
    """Give how many intervals were new, and how many of these have no value."""
    found: dict[int, tuple[int, int]] = {}
    for columns in blocks:
        row = {**columns, **stamps, "missing": quality.MISSING}
        for device, intervals, missing in connection.execute(_SQL["put_blocks"], row):
            before = found.get(device, (0, 0))
            found[device] = before[0] + intervals, before[1] + missing
    return found


def _counts(
    connection: Connection,
    statement: str,
    columns: dict[str, object] | None,
    stamps: dict[str, object],
) -> dict[int, int]:
    """Land columns, if there are any; give how many of each end device were new."""
    if columns is None:
        return {}
    return dict(connection.execute(_SQL[statement], {**columns, **stamps}).fetchall())


def _keep_wraps(connection: Connection, answers: Sequence[Answer], now: datetime) -> None:
    """Note where registers start again from 0, as their drivers told."""
    told = {
        (answer.end_device_id, reading_type.named(one.reading_type).id): one.modulus
        for answer in answers
        for one in answer.registers
        if one.modulus is not None
    }
    if told:
        columns = {
            "end_devices": parameters.numbers(device for device, _ in told),
            "reading_types": parameters.numbers(kind for _, kind in told),
            "moduli": parameters.numbers(told.values()),
        }
        connection.execute(_SQL["keep_wraps"], {**columns, "now": now})


def _keep_ratios(connection: Connection, answers: Sequence[Answer]) -> None:
    """Note the transformer ratios that meters are set to, where they are not what they were."""
    told: dict[tuple[int, datetime], dict[str, int]] = {}
    for answer in answers:
        for one in answer.registers:
            sound = one.quality in _SOUND and 0 < one.value < _INT64
            if one.reading_type in reading_type.RATIOS and sound:
                key = (answer.end_device_id, one.read_at)
                told.setdefault(key, {})[one.reading_type] = one.value
    # Of several moments of a meter the earlier ones first: each is held against the one before.
    rounds: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for device, moment in sorted(told, key=lambda key: key[1]):
        rounds[seen[device]].append((device, moment))
        seen[device] += 1
    for keys in rounds.values():
        current, voltage = ([told[key].get(name) for key in keys] for name in reading_type.RATIOS)
        columns = {
            "end_devices": parameters.numbers(device for device, _ in keys),
            "told_at": parameters.moments(moment for _, moment in keys),
            "currents": parameters.numbers(current),
            "voltages": parameters.numbers(voltage),
        }
        connection.execute(_SQL["keep_ratios"], columns)


def _aside(one: Unplaced, source: str, now: datetime) -> quarantine.Aside:
    subject = f"end device {one.end_device_id}"
    return quarantine.Aside(source, subject, one.encoded(), one.reason, now)
