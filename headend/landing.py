"""Puts what was read into the raw store; landing the same answer again changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from headend import pieces, quarantine
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.event import EndDeviceEvent
from schemas.reading import IntervalBlock, RegisterReading

_SQL = statements.load("headend", "landing.sql")
_BLOCK_TYPES = ("int4", "int2", "timestamptz", "int4", "int8", "int8", "int4[]", "int2[]", "text")
_REGISTER_TYPES = ("int4", "int2", "timestamptz", "int8", "int2", "int8")
_INT64 = 2**63
_SOUND = (quality.VALID, quality.LATE_SAMPLE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one end device gave, by its id in the registry.

    ``session_id`` names the row of ``collection_session`` it came from; None from elsewhere.
    """

    end_device_id: int
    blocks: Sequence[IntervalBlock] = ()
    registers: Sequence[RegisterReading] = ()
    events: Sequence[EndDeviceEvent] = ()
    session_id: int | None = None


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


@dataclass(frozen=True, slots=True)
class _Unplaced:
    end_device_id: int
    payload: dict[str, str | int]
    reason: str


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
    unplaced: list[_Unplaced] = []
    stamps = {"source": source, "now": now}
    # Staging empties itself at each commit, so a connection in autocommit mode needs this.
    with connection.transaction():
        intervals = _land_blocks(connection, answers, stamps, unplaced)
        registers = _land_registers(connection, answers, stamps, unplaced)
        _keep_wraps(connection, answers, now)
        _keep_ratios(connection, answers)
        events = _land_events(connection, answers, now)
        quarantine.put(connection, [_aside(one, source, now) for one in unplaced])
    outside = [one.end_device_id for one in unplaced]
    return {
        device: Landed(
            intervals=intervals.get(device, (0, 0))[0],
            registers=registers.get(device, 0),
            events=events.get(device, 0),
            quarantined=outside.count(device),
            missing=intervals.get(device, (0, 0))[1],
        )
        for device in dict.fromkeys(answer.end_device_id for answer in answers)
    }


def _land_blocks(
    connection: Connection,
    answers: Sequence[Answer],
    stamps: dict[str, object],
    unplaced: list[_Unplaced],
) -> dict[int, tuple[int, int]]:
    """Give how many intervals were new, and how many of these have no value."""
    rows = _block_rows(answers, unplaced)
    if not _copy(connection, "block", _BLOCK_TYPES, rows):
        return {}
    landed = connection.execute(_SQL["land_blocks"], {**stamps, "missing": quality.MISSING})
    return {device: (intervals, missing) for device, intervals, missing in landed}


def _land_registers(
    connection: Connection,
    answers: Sequence[Answer],
    stamps: dict[str, object],
    unplaced: list[_Unplaced],
) -> dict[int, int]:
    rows = _register_rows(answers, unplaced)
    if not _copy(connection, "register", _REGISTER_TYPES, rows):
        return {}
    return dict(connection.execute(_SQL["land_registers"], stamps).fetchall())


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
            "end_devices": [device for device, _ in told],
            "reading_types": [kind for _, kind in told],
            "moduli": list(told.values()),
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
    for (device, moment), values in sorted(told.items(), key=lambda item: item[0][1]):
        current, voltage = (values.get(name) for name in reading_type.RATIOS)
        row = {"end_device": device, "told_at": moment, "current": current, "voltage": voltage}
        connection.execute(_SQL["keep_ratio"], row)


def _copy(
    connection: Connection, what: str, types: Sequence[str], rows: Iterable[tuple[object, ...]]
) -> int:
    """COPY rows into the connection's own staging table, which empties itself at commit."""
    pending = list(rows)
    if pending:
        connection.execute(_SQL[f"create_{what}_staging"])
        # Of an earlier call in the same transaction.
        connection.execute(_SQL[f"empty_{what}_staging"])
        with connection.cursor().copy(_SQL[f"copy_{what}s"]) as copy:
            copy.set_types(types)
            for row in pending:
                copy.write_row(row)
    return len(pending)


def _block_rows(
    answers: Sequence[Answer], unplaced: list[_Unplaced]
) -> Iterator[tuple[object, ...]]:
    for answer in answers:
        for whole in answer.blocks:
            type_id = reading_type.named(whole.reading_type).id
            fitted, overflows = pieces.fit(whole)
            unplaced += [_overflow(answer.end_device_id, overflow) for overflow in overflows]
            for block in pieces.cut(fitted):
                codes = block.quality
                yield (
                    answer.end_device_id, type_id, block.start, block.interval_seconds,
                    pieces.digest(block), answer.session_id, block.values.tolist(),
                    codes.tolist() if codes is not None and codes.any() else None,
                    block.annotation,
                )  # fmt: skip


def _overflow(end_device_id: int, overflow: pieces.Overflow) -> _Unplaced:
    payload: dict[str, str | int] = {
        "reading_type": overflow.reading_type,
        "starts_at": overflow.starts_at.astimezone(UTC).isoformat(),
        "value": overflow.value,
    }
    reason = "an interval's value does not fit into 32 bits; is the scaler or the unit wrong?"
    return _Unplaced(end_device_id, payload, reason)


def _aside(one: _Unplaced, source: str, now: datetime) -> quarantine.Aside:
    payload = json.dumps(one.payload, sort_keys=True).encode()
    return quarantine.Aside(source, f"end device {one.end_device_id}", payload, one.reason, now)


def _register_rows(
    answers: Sequence[Answer], unplaced: list[_Unplaced]
) -> Iterator[tuple[object, ...]]:
    for answer in answers:
        for one in answer.registers:
            if -_INT64 <= one.value < _INT64:
                yield (
                    answer.end_device_id, reading_type.named(one.reading_type).id, one.read_at,
                    one.value, one.quality, answer.session_id,
                )  # fmt: skip
            else:
                payload: dict[str, str | int] = {
                    "reading_type": one.reading_type,
                    "read_at": one.read_at.astimezone(UTC).isoformat(),
                    "value": one.value,
                }
                reason = "a register's value does not fit into 64 bits; is the scaler wrong?"
                unplaced.append(_Unplaced(answer.end_device_id, payload, reason))


def _land_events(
    connection: Connection, answers: Sequence[Answer], now: datetime
) -> dict[int, int]:
    found = [(answer, event) for answer in answers for event in answer.events]
    if not found:
        return {}
    columns = {
        "end_devices": [answer.end_device_id for answer, _ in found],
        "occurred_at": [event.occurred_at for _, event in found],
        "categories": [event.category for _, event in found],
        "codes": [event.code for _, event in found],
        "descriptions": [event.description for _, event in found],
        "sessions": [answer.session_id for answer, _ in found],
    }
    return dict(connection.execute(_SQL["land_events"], {**columns, "now": now}).fetchall())
