"""Turns schedules and next attempts into batches, and hands over those whose time has come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from headend import controls, plan, schedule
from headend.exchange import Order
from headend.schedule import Schedule
from schemas import parameters, statements
from schemas.database import Connection

_log = structlog.get_logger(__name__)
_SQL = statements.load("headend", "dispatch.sql")


@dataclass(frozen=True, slots=True)
class Released:
    """A batch whose time has come; ``failing`` if its meters failed last time."""

    batch_id: int
    reason: str
    segment_id: int | None
    failing: bool


@dataclass(frozen=True, slots=True)
class Queue:
    """Batches that wait for their time, those handed over, their end devices, the oldest's time."""

    planned: int
    released: int
    end_devices: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class _Member:
    """An end device that is due; ``line`` is what it may share with others."""

    device: int
    segment: int | None
    failing: bool
    line: str | None


def advance(connection: Connection, now: datetime) -> list[Released]:
    """Decide every fire time up to now and plan its batches; give the batches to be handed over.

    Call it inside a transaction, and hand the batches over in the same one: then no fire is lost
    and none fires twice, whatever dies. While another process is at it, nothing is given.

    What an earlier fire of the same schedule still has in the queue is not queued again:
    ``read_schedule_fire.still_queued`` counts it, and its missing periods are fetched by the batch
    that waits.
    """
    mine = connection.execute(_SQL["only_one"]).fetchone()
    if mine is None or not mine[0]:
        return []
    rows = connection.execute(_SQL["pending_schedules"], {"now": now}).fetchall()
    for row in rows:
        _decide(connection, _schedule(row), row[-1], now)
    if rows:
        decided = {"now": now, "schedules": [row[0] for row in rows]}
        connection.execute(_SQL["decided"], decided)
    _plan_again(connection, now)
    controls.expire(connection, now=now)
    _plan_controls(connection, now)
    return [Released(*row) for row in connection.execute(_SQL["release_batches"], {"now": now})]


def order(connection: Connection, batch_id: int) -> Order | None:
    """Give the order of a batch; None if it is finished or gone."""
    row = connection.execute(_SQL["batch"], {"batch": batch_id}).fetchone()
    if row is None:
        return None
    keep = None if row[4] is None else timedelta(seconds=row[4])
    by = f"schedule {row[5]}" if row[5] else "miqyas"
    return Order(
        tuple(row[2]), tuple(row[3]), reason=row[1], batch_id=row[0], keep_clock=keep, by=by
    )


def finish(connection: Connection, batch_id: int, *, now: datetime) -> None:
    """Mark a batch as done."""
    connection.execute(_SQL["finish_batch"], {"batch": batch_id, "now": now})


def queue(connection: Connection) -> Queue:
    """Tell how much waits: a queue that grows reads meters slower than their schedules ask."""
    [row] = connection.execute(_SQL["queue"]).fetchall()
    return Queue(*row)


def has_jobs(connection: Connection, queue_name: str) -> bool:
    """Tell whether a worker would find a job in a queue now."""
    row = connection.execute(_SQL["has_jobs"], {"queue": queue_name}).fetchone()
    return bool(row and row[0])


def has_more(connection: Connection, queue_name: str, now: datetime) -> bool:
    """Tell whether a job waits, or a meter or a control may be due again: a cheap question."""
    row = connection.execute(_SQL["has_more"], {"queue": queue_name, "now": now}).fetchone()
    return bool(row and row[0])


def _decide(connection: Connection, one: Schedule, since: datetime, now: datetime) -> None:
    since = max(since, now - schedule.LONGEST_LOOK_BACK)
    due = list(schedule.fires(one, since, now))
    chosen = schedule.decide(due, now, one.misfire, timedelta(seconds=one.grace_seconds))
    for due_at in chosen.missed:
        _record_fire(connection, one, due_at, now=now, outcome="missed")
    for due_at in chosen.run:
        _fire(connection, one, due_at, now)


def _fire(connection: Connection, one: Schedule, due_at: datetime, now: datetime) -> None:
    members = connection.execute(
        _SQL["members_due"], {"schedule": one.id, "due_at": due_at}
    ).fetchall()
    fresh = [_Member(*row[:-1]) for row in members if not row[-1]]
    left = len(members) - len(fresh)
    if not _record_fire(
        connection, one, due_at, now=now, outcome="batched", end_devices=len(fresh),
        still_queued=left,
    ):  # fmt: skip
        return
    if left:
        _log.warning("schedule.overload", schedule=one.name, still_queued=left, due_at=due_at)
    stagger = timedelta(seconds=one.stagger_seconds)
    # Of a line that somebody answers on nobody goes apart: two workers would both want it.
    answering = {member.line for member in fresh if member.line and not member.failing}
    for failing in (False, True):
        chosen = [
            member
            for member in fresh
            if (member.failing and member.line not in answering) == failing
        ]
        made = plan.batches(
            ((member.device, member.segment) for member in chosen), due_at, stagger=stagger,
            lines={member.device: member.line for member in chosen if member.line},
        )  # fmt: skip
        _add(
            connection, made, reason="schedule", reads=one.reads, due_at=due_at,
            schedule_id=one.id, failing=failing,
        )  # fmt: skip


def _record_fire(
    connection: Connection,
    one: Schedule,
    due_at: datetime,
    *,
    now: datetime,
    outcome: str,
    end_devices: int = 0,
    still_queued: int = 0,
) -> bool:
    """Write a fire down; False if it had been."""
    row = {
        "schedule": one.id, "due_at": due_at, "now": now, "outcome": outcome,
        "end_devices": end_devices, "still_queued": still_queued,
    }  # fmt: skip
    return bool(connection.execute(_SQL["record_fire"], row).rowcount)


def _plan_again(connection: Connection, now: datetime) -> None:
    """Plan batches of meters whose next attempt has come, apart by what they are to give."""
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[int, int | None]]] = defaultdict(list)
    for device, segment, backlog, reads in connection.execute(
        _SQL["devices_due_again"], {"now": now}
    ):
        reason = "backlog" if backlog else "retry"
        alike[reason, tuple(sorted(reads))].append((device, segment))
    for (reason, reads), devices in alike.items():
        _add(connection, plan.batches(devices, now), reason=reason, reads=reads, due_at=now)


def _plan_controls(connection: Connection, now: datetime) -> None:
    """Plan batches for meters with controls that are due and that no batch will reach soon."""
    due = connection.execute(_SQL["devices_with_controls_due"], {"now": now}).fetchall()
    made = plan.batches([(row[0], row[1]) for row in due], now)
    _add(connection, made, reason="control", reads=(), due_at=now)


def _add(
    connection: Connection,
    batches: Sequence[plan.Batch],
    *,
    reason: str,
    reads: Iterable[str],
    due_at: datetime,
    schedule_id: int | None = None,
    failing: bool = False,
) -> None:
    rows = [
        {
            "reason": reason, "schedule": schedule_id, "segment": batch.segment_id,
            "end_devices": parameters.numbers(batch.end_device_ids), "reads": list(reads),
            "due_at": due_at, "not_before": batch.not_before, "failing": failing,
        }
        for batch in batches
    ]  # fmt: skip
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_SQL["add_batch"], rows)


def _schedule(row: tuple[Any, ...]) -> Schedule:
    values = list(row[:-1])
    values[6] = tuple(values[6])
    return Schedule(*values)
