"""Writes down conversations: what they gave, how they went, and how the meter is doing now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from drivers import errors
from headend import control_ledger, landing, quarantine, retry
from headend.exchange import Result
from headend.landing import Answer, Landed
from schemas import statements
from schemas.database import Connection

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
    with connection.cursor() as cursor:
        rows = [_session_row(*pair, batch_id, landed) for pair in pairs]
        cursor.executemany(_SQL["record_session"], rows)
        statuses = [_status_row(result, landed) for result in results]
        cursor.executemany(_SQL["record_status"], statuses)
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


def _session_row(
    number: int, result: Result, batch_id: int | None, landed: dict[int, Landed]
) -> dict[str, Any]:
    new = landed[result.request.device.id]
    return {
        "id": number,
        "end_device": result.request.device.id,
        "batch": batch_id,
        "reads": list(result.request.reads),
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "outcome": result.outcome,
        "error": _class_name(result),
        "message": _message(result),
        "attempts": max(result.attempts, 1),
        "intervals": new.intervals,
        "registers": new.registers,
        "events": new.events,
        "seconds": result.seconds,
    }


def _status_row(result: Result, landed: dict[int, Landed]) -> dict[str, Any]:
    device = result.request.device
    clock = result.clock
    return {
        "end_device": device.id,
        "started_at": result.started_at,
        "ended_at": result.ended_at,
        "failing": result.failing,
        "error": _class_name(result),
        "message": _message(result),
        **_next_attempt(result, landed[device.id]),
        "history_until": result.history_until,
        "events_until": result.events_until,
        "clock_deviation": clock.deviation.total_seconds() if clock else None,
        "clock_read_at": clock.reference if clock else None,
        "identity": Jsonb(asdict(result.identity)) if result.identity else None,
    }


def _next_attempt(result: Result, landed: Landed) -> dict[str, Any]:
    """Decide what comes next: a retry, going on with the backlog, or just the next schedule."""
    nothing = {"next_attempt": None, "next_reads": None, "backlog": False, "held": False}
    device = result.request.device
    if result.failing and result.error is not None:
        decision = retry.decide(
            type(result.error), attempt=10**6, failures=device.failures, now=result.ended_at,
            end_device_id=device.id,
        )  # fmt: skip
        reads = sorted({*result.request.reads, *device.next_reads})
        held = decision.kind == "hold"
        return {**nothing, "next_attempt": decision.at, "next_reads": reads, "held": held}
    if not result.request.reads and device.next_reads:
        # It was only controlled: what waits to be read still does, and the meter talks.
        at = min(device.next_attempt or result.ended_at, result.ended_at)
        return {**nothing, "next_attempt": at, "next_reads": list(device.next_reads)}
    # A meter that gives nothing new for its gaps is not asked again at once.
    if result.request.remaining and landed.intervals:
        more = {"next_attempt": result.ended_at, "next_reads": ["intervals"], "backlog": True}
        return {**nothing, **more}
    return nothing


def _class_name(result: Result) -> str | None:
    return type(result.error).__name__ if result.error else None


def _message(result: Result) -> str | None:
    return str(result.error) if result.error else "; ".join(result.notes) or None
