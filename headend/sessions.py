"""Writes down conversations: what they gave, how they went, and how the meter is doing now."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

import psycopg
import structlog

from drivers import errors
from headend import control_ledger, landing, quarantine, retry
from headend.exchange import Result
from headend.landing import Landed
from headend.landing_rows import Answer
from schemas import parameters, statements
from schemas.database import Connection
from schemas.parameters import moments, numbers

_log = structlog.get_logger(__name__)
_SQL = statements.load("headend", "sessions.sql")
# A single answer that breaks a rule of the store.
_UNFIT = (KeyError, ValueError, psycopg.DataError, psycopg.IntegrityError)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A conversation as it was written down."""

    session_id: int
    result: Result
    landed: Landed


def already_read(connection: Connection, batch_id: int) -> set[int]:
    """List the end devices of a batch that have been read: a batch taken up again goes on."""
    return {row[0] for row in connection.execute(_SQL["already_read"], {"batch": batch_id})}


def record(
    connection: Connection, results: Sequence[Result], *, batch_id: int | None, now: datetime
) -> list[Recorded]:
    """Land what conversations gave and write down how they went, in one transaction.

    If one of them cannot be landed, the others still are; that one goes to the quarantine, and its
    session has failed as a defect of ours.
    """
    try:
        with connection.transaction():
            return _record(connection, results, batch_id, now)
    except _UNFIT as error:
        if len(results) == 1:
            return [_set_aside(connection, results[0], error, batch_id, now)]
    single = (record(connection, [one], batch_id=batch_id, now=now) for one in results)
    return [recorded for group in single for recorded in group]


def put_off(connection: Connection, ids: Collection[int], reads: Iterable[str]) -> None:
    """Add what was due to the next attempt of meters that wait for theirs."""
    connection.execute(_SQL["put_off"], {"ids": list(ids), "reads": list(reads)})


def put_off_busy(
    connection: Connection, ids: Collection[int], reads: Iterable[str], at: datetime
) -> None:
    """Have meters that somebody else is talking to read at a moment."""
    connection.execute(_SQL["put_off_busy"], {"ids": list(ids), "reads": list(reads), "at": at})


def release(connection: Connection, end_device_id: int, *, now: datetime) -> bool:
    """Let a held meter be tried again; tell whether it was held."""
    row = {"end_device": end_device_id, "now": now}
    return bool(connection.execute(_SQL["release"], row).rowcount)


def _record(
    connection: Connection, results: Sequence[Result], batch_id: int | None, now: datetime
) -> list[Recorded]:
    numbers = connection.execute(_SQL["session_ids"], {"count": len(results)})
    ids = [row[0] for row in numbers]
    landed: dict[int, Landed] = {}
    sources: dict[str, list[Answer]] = defaultdict(list)
    for number, result in zip(ids, results, strict=True):
        sources[result.request.device.protocol].append(_answer(number, result))
    for source, answers in sources.items():
        landed |= landing.land(connection, answers, source=source, now=now)
    pairs = list(zip(ids, results, strict=True))
    connection.execute(_SQL["record_sessions"], _session_columns(pairs, batch_id, landed))
    connection.execute(_SQL["record_statuses"], _status_columns(results, landed))
    for number, result in pairs:
        if result.controls:
            control_ledger.in_session(connection, result.controls, number)
    return [Recorded(n, result, landed[result.request.device.id]) for n, result in pairs]


def _set_aside(
    connection: Connection, result: Result, cause: Exception, batch_id: int | None, now: datetime
) -> Recorded:
    """Keep an answer that the store refused, as text, and record the session without it."""
    device = result.request.device
    _log.error("landing.refused", end_device=device.mrid, reason=str(cause))
    payload = repr((result.blocks, result.registers, result.events)).encode()
    error = errors.LocalProtocolError(f"{device.mrid}: its answer could not be stored: {cause}")
    bare = replace(
        result, blocks=[], registers=[], events=[], history_until=None, events_until=None,
        error=error, failing=True,
    )  # fmt: skip
    with connection.transaction():
        aside = quarantine.Aside(
            device.protocol, f"end device {device.id}", payload, str(cause), now
        )
        quarantine.put(connection, [aside])
        return _record(connection, [bare], batch_id, now)[0]


def _answer(session_id: int, result: Result) -> Answer:
    device = result.request.device
    return Answer(device.id, result.blocks, result.registers, result.events, session_id)


def _session_columns(
    pairs: Sequence[tuple[int, Result]], batch_id: int | None, landed: Mapping[int, Landed]
) -> dict[str, object]:
    ids, results = zip(*pairs, strict=True)
    new = [landed[result.request.device.id] for result in results]
    return {
        "ids": numbers(ids),
        "batch": batch_id,
        "reads": parameters.names(result.request.reads for result in results),
        "outcomes": [result.outcome for result in results],
        "attempts": numbers(max(result.attempts, 1) for result in results),
        "intervals": numbers(one.intervals for one in new),
        "registers": numbers(one.registers for one in new),
        "events": numbers(one.events for one in new),
        "seconds": numbers(result.seconds for result in results),
        **_went(results),
    }


def _went(results: Sequence[Result]) -> dict[str, object]:
    """Give what sessions and statuses say alike."""
    return {
        "end_devices": numbers(result.request.device.id for result in results),
        "started_at": moments(result.started_at for result in results),
        "ended_at": moments(result.ended_at for result in results),
        "errors": [_class_name(result) for result in results],
        "messages": [_message(result) for result in results],
    }


def _status_columns(results: Sequence[Result], landed: Mapping[int, Landed]) -> dict[str, object]:
    then = [_next(result, landed[result.request.device.id]) for result in results]
    return {
        "failing": numbers(result.failing for result in results),
        "next_attempts": moments(one.attempt for one in then),
        "next_reads": parameters.names(one.reads for one in then),
        "backlogs": numbers(one.backlog for one in then),
        "held": numbers(one.held for one in then),
        "history_until": moments(result.history_until for result in results),
        "events_until": moments(result.events_until for result in results),
        "clock_deviations": numbers(
            one.clock.deviation.total_seconds() if one.clock else None for one in results
        ),
        "clock_read_at": moments(one.clock.reference if one.clock else None for one in results),
        "identities": [
            json.dumps(asdict(result.identity)) if result.identity else None for result in results
        ],
        **_went(results),
    }


@dataclass(frozen=True, slots=True)
class _Next:
    """What comes next of a meter, other than the next schedule."""

    attempt: datetime | None = None
    reads: Sequence[str] | None = None
    backlog: bool = False
    held: bool = False


def _next(result: Result, landed: Landed) -> _Next:
    """Decide what comes next: a retry, going on with the backlog, or just the next schedule."""
    device = result.request.device
    if result.failing and result.error is not None:
        decision = retry.decide(
            type(result.error), attempt=10**6, failures=device.failures, now=result.ended_at,
            end_device_id=device.id,
        )  # fmt: skip
        reads = sorted({*result.request.reads, *device.next_reads})
        return _Next(decision.at, reads, held=decision.kind == "hold")
    if not result.request.reads and device.next_reads:
        # It was only controlled: what waits to be read still does, and the meter talks.
        at = min(device.next_attempt or result.ended_at, result.ended_at)
        return _Next(at, device.next_reads)
    # A meter that gives nothing new for its gaps is not asked again at once.
    if result.request.remaining and landed.intervals:
        return _Next(result.ended_at, ["intervals"], backlog=True)
    return _Next()


def _class_name(result: Result) -> str | None:
    return type(result.error).__name__ if result.error else None


def _message(result: Result) -> str | None:
    return str(result.error) if result.error else "; ".join(result.notes) or None
