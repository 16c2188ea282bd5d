"""The work queue: batches of meters as procrastinate's jobs, and the workers that read them.

A worker that dies leaves its batch to the others: its heart stops beating, and whoever notices puts
the batch back into the queue. What it had landed stays, and the batch goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import procrastinate
import psycopg
import structlog
from procrastinate.jobs import Job
from procrastinate.retry import BaseRetryStrategy, RetryDecision

from drivers.driver import Driver
from headend import clock, collector, dispatch, stopping
from headend.capacity import Limits
from headend.collector import Collected, Collector
from headend.exchange import Clock
from schemas import database, queue_pool
from schemas.database import Connection

_log = structlog.get_logger(__name__)
QUEUE = "collect"
_TASK = "headend.collect"
# A reading that somebody waits for goes first; a backlog takes what is left.
_PRIORITIES = {"control": 5, "schedule": 0, "retry": -5, "backlog": -10}
_MOST_ATTEMPTS = 5
_LONGEST_PAUSE = 600
_LOCKED_PAUSE = 0.05
# What is raised when the database is away, by ourselves and by the queue.
_AWAY = (psycopg.OperationalError, procrastinate.exceptions.ConnectorException)
_FIRST_PAUSE, _LONGEST_WAIT = 1.0, 30.0
# A batch lasts as long as its slowest meter: others must not wait for that. Conversations are
# bounded by the process's capacity, however many batches there are.
_CONCURRENT_BATCHES = 8
# Whoever failed last time comes after those who did not.
_FAILING = -3


@dataclass(frozen=True, slots=True)
class Pulse:
    """How soon a dead worker is noticed: seconds between beats, and silence that means death."""

    beat: float = 10.0
    silence: float = 30.0


class _Patience(BaseRetryStrategy):
    """A batch waits for the database as long as that takes; our own defects end it after some."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        patient = isinstance(exception, psycopg.OperationalError | asyncio.CancelledError)
        if not patient and job.attempts + 1 >= _MOST_ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": min(2 ** min(job.attempts, 10), _LONGEST_PAUSE)})


async def collect(context: procrastinate.JobContext, batch_id: int) -> None:
    """Read the meters of one batch."""
    work: _Work = context.additional_context["work"]
    try:
        await work.collect(batch_id)
    except (psycopg.OperationalError, asyncio.CancelledError):
        raise
    except Exception:
        if context.job.attempts + 1 >= _MOST_ATTEMPTS:
            # Its meters must not wait for it any longer.
            await asyncio.to_thread(work.finish, batch_id)
        raise


class _Work:
    """What a batch needs of the process that it runs in."""

    def __init__(self, url: str, reader: Collector, tell_time: Clock | None) -> None:
        self._url = url
        self._reader = reader
        self.tell_time = tell_time
        self.done = Collected()

    async def collect(self, batch_id: int) -> None:
        """Read a batch's meters and mark it as done."""
        with database.connect(self._url) as connection:
            order = await asyncio.to_thread(dispatch.order, connection, batch_id)
            time = self.tell_time or clock_of(connection)
            if order is not None:
                done = await self._reader.collect(order, clock=time, connection=connection)
                _add(self.done, done)
                dispatch.finish(connection, batch_id, now=time())

    def finish(self, batch_id: int) -> None:
        """Mark a batch as done, although it is not."""
        with database.connect(self._url) as connection:
            now = self.tell_time() if self.tell_time else clock.now(connection)
            dispatch.finish(connection, batch_id, now=now)


def clock_of(connection: Connection) -> Clock:
    """Give a clock: one that stands while a simulated time is in force, else the machine's."""
    simulated = clock.simulated(connection)
    return (lambda: simulated) if simulated else (lambda: datetime.now(UTC))


def hand_over(connection: Connection, now: datetime) -> int:
    """Plan what is due by now and queue it, in the caller's transaction; give how many batches."""
    released = dispatch.advance(connection, now)
    if not released:
        return 0
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
    for batch in released:
        # Whatever the number of workers, a segment's limit is kept by one of them at a time.
        lock = None if batch.segment_id is None else f"segment {batch.segment_id}"
        app.configure_task(
            _TASK, queue=QUEUE, lock=lock, connection=connection,
            priority=_PRIORITIES[batch.reason] + (_FAILING if batch.failing else 0),
        ).defer(batch_id=batch.batch_id)  # fmt: skip
    return len(released)


@dataclass(slots=True)
class Pool:
    """Workers of one process, open for running; made by ``opened``."""

    url: str
    app: procrastinate.App
    work: _Work
    pulse: Pulse
    rescue_at: float = 0.0

    async def run(self) -> None:
        """Work off batches until the process is asked to stop (SIGINT, SIGTERM) or cancelled.

        While the database is away it is waited for. What was being read then is read by whoever
        finds its batch first.
        """
        watch = asyncio.create_task(self._watch())
        try:
            with stopping.asked() as asked:
                await self._work_until(asked)
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _work_until(self, asked: asyncio.Event) -> None:
        pause = _FIRST_PAUSE
        while not asked.is_set():
            began = time.monotonic()
            ended = await self._worked(asked)
            if asked.is_set():
                return
            if ended is not None and not isinstance(ended, _AWAY):
                raise ended
            # Where it ended by itself, the connection that hears of new jobs was lost.
            reason = _words(ended) or "its connection was lost"
            _log.warning("worker.database.away", reason=reason)
            pause = _FIRST_PAUSE if time.monotonic() - began > _LONGEST_PAUSE else pause
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asked.wait(), pause)
            pause = min(pause * 2, _LONGEST_WAIT)

    async def _worked(self, asked: asyncio.Event) -> BaseException | None:
        """Work until asked to stop or the database is lost; give what was raised then."""
        work = asyncio.create_task(self._worker(wait=True))
        stop = asyncio.create_task(asked.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            work.cancel()
            [ended] = await asyncio.gather(work, return_exceptions=True)
        return ended

    async def drain(self, now: datetime) -> Collected:
        """Plan what is due by now, read it all, and give what was collected.

        Backlogs that a meter left are gone on with until there is none.
        """
        self.work.done = Collected()
        self.work.tell_time = lambda: now
        if time.monotonic() >= self.rescue_at:
            await self.rescue()
        with database.connect(self.url) as connection:
            while True:
                handed, waiting = await asyncio.to_thread(_turn, connection, now)
                if not handed and not waiting:
                    return self.work.done
                await self._worker(wait=False)
                if handed and not await asyncio.to_thread(_has_more, connection, now):
                    return self.work.done
                if not handed:
                    # What waits may be locked by a worker that died and is not yet missed.
                    await asyncio.sleep(_LOCKED_PAUSE)
                    await self.rescue()

    async def rescue(self) -> int:
        """Put the batches of dead workers back into the queue; give how many."""
        manager = self.app.job_manager
        stalled = await manager.get_stalled_jobs(
            queue=QUEUE, seconds_since_heartbeat=self.pulse.silence
        )
        found = list(stalled)
        self.rescue_at = time.monotonic() + self.pulse.beat
        for job in found:
            _log.warning("worker.died", job=job.id, batch=job.task_kwargs.get("batch_id"))
            await manager.retry_job(job, retry_at=datetime.now(UTC))
        return len(found)

    async def _worker(self, *, wait: bool) -> None:
        await self.app.run_worker_async(
            queues=[QUEUE],
            wait=wait,
            concurrency=_CONCURRENT_BATCHES,
            listen_notify=wait,
            install_signal_handlers=False,
            delete_jobs="successful",
            update_heartbeat_interval=self.pulse.beat,
            stalled_worker_timeout=self.pulse.silence,
            fetch_job_polling_interval=min(5.0, self.pulse.beat),
            additional_context={"work": self.work},
        )

    async def _watch(self) -> None:
        while True:
            # While the database is away nobody can be rescued; when it is back, the dead still are.
            with contextlib.suppress(*_AWAY):
                await self.rescue()
            await asyncio.sleep(self.pulse.beat)


def _turn(connection: Connection, now: datetime) -> tuple[int, bool]:
    """Hand over what is due, and tell whether jobs wait: those of others before us count too."""
    handed = hand_over(connection, now)
    waiting = dispatch.has_jobs(connection, QUEUE)
    connection.commit()
    return handed, waiting


def _words(error: BaseException | None) -> str:
    """Give what was really wrong: the queue's own error says no more than that there was one."""
    cause = error.__cause__ if error is not None else None
    return str(cause or error or "").strip()


def _has_more(connection: Connection, now: datetime) -> bool:
    found = dispatch.has_more(connection, QUEUE, now)
    connection.commit()
    return found


@asynccontextmanager
async def opened(
    url: str,
    drivers: Mapping[str, Driver] | None = None,
    *,
    limits: Limits | None = None,
    pulse: Pulse | None = None,
) -> AsyncIterator[Pool]:
    """Open a process's workers: the queue's connections, and one collector.

    Parameters
    ----------
    drivers : by protocol; all that ``drivers.catalogue`` has when None
    """
    # Jobs of this process never wait on each other's connections.
    connector = procrastinate.PsycopgConnector(
        conninfo=url, min_size=1, max_size=6, pool_factory=queue_pool.made
    )
    app = procrastinate.App(connector=connector)
    app.task(name=_TASK, queue=QUEUE, pass_context=True, retry=_Patience())(collect)
    async with app.open_async(), collector.running(url, drivers, limits) as reader:
        yield Pool(url, app, _Work(url, reader, None), pulse or Pulse())


async def run_worker(
    url: str,
    drivers: Mapping[str, Driver] | None = None,
    *,
    limits: Limits | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Run a worker until it is asked to stop (SIGINT, SIGTERM)."""
    async with opened(url, drivers, limits=limits, pulse=pulse) as pool:
        await pool.run()


def drain(
    url: str,
    now: datetime,
    drivers: Mapping[str, Driver] | None = None,
    *,
    limits: Limits | None = None,
) -> Collected:
    """Plan what is due by now, read it all, and return when nothing is left to do now."""

    async def run() -> Collected:
        async with opened(url, drivers, limits=limits) as pool:
            return await pool.drain(now)

    return asyncio.run(run())


def _add(total: Collected, more: Collected) -> None:
    counts: list[str] = [name for name in Collected.__slots__ if name != "recorded"]
    for name in counts:
        value: Any = getattr(total, name) + getattr(more, name)
        setattr(total, name, value)
