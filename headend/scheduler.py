"""The clock of collection: APScheduler turns schedules into batches, second by second."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import psycopg
import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from headend import clock, jobs
from schemas import database

_log = structlog.get_logger(__name__)


def turn(url: str) -> int:
    """Hand over every batch that is due by now; give how many.

    What was due is remembered in the database, so a scheduler that was down decides by the misfire
    policy of each schedule, and two at the same time fire nothing twice.
    """
    with database.connect(url) as connection:
        return jobs.hand_over(connection, clock.now(connection))


async def run_scheduler(url: str, *, seconds: float = 1.0, signals: bool = True) -> None:
    """Turn schedules into batches until asked to stop (SIGINT, SIGTERM) or cancelled.

    Parameters
    ----------
    seconds : time between two looks at the schedules [s]
    signals : False where something else in the process, such as a worker, takes them
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM) if signals else ():
        # Only the main thread may; elsewhere the caller cancels.
        with suppress(RuntimeError, ValueError):
            loop.add_signal_handler(number, asked.set)
    scheduler = AsyncIOScheduler(timezone="UTC")
    # One look at a time, and one after a stall: what fell due meanwhile is in the database.
    scheduler.add_job(
        _look, "interval", [url], seconds=seconds, max_instances=1, coalesce=True,
        misfire_grace_time=None,
    )  # fmt: skip
    scheduler.start()
    try:
        await asked.wait()
    finally:
        scheduler.shutdown(wait=False)


async def _look(url: str) -> None:
    """Look once; without the database there is nothing to decide, and the next look does."""
    try:
        await asyncio.to_thread(turn, url)
    except psycopg.OperationalError as error:
        _log.warning("scheduler.database.away", reason=str(error).strip())
