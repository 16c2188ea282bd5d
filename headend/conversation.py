"""Reads one meter: what was asked, step by step, with the immediate retries that the error allows.

What was read before a link broke is kept, and the next attempt goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import structlog

from drivers import errors
from drivers.driver import ClockReading, Driver, Endpoint, Identity, Session
from headend import gaps, retry, sampling
from headend.devices import Device
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

_log = structlog.get_logger(__name__)
# A reset line is often back at once; a second attempt in the same instant finds it as it was.
_PAUSE_SECONDS = 0.2
# A slot that ended longer ago than this, and that the meter does not have, will not come any more.
_SETTLING = timedelta(hours=6)

Outcome = Literal["ok", "partial", "failed"]
Clock = Callable[[], datetime]
Step = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversation has come: a step begins, or ``step`` is ``done`` or ``failed``."""

    step: str
    done: int
    total: int
    detail: str = ""


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask one meter.

    Attributes
    ----------
    reads : names of ``headend.schedule.READS``
    registers : reading types whose present value is asked
    intervals : periods of the load profile, oldest first, one request each
    stored_types : interval types that the meter is known to have
    history, events : periods of stored registers and of the event log; None to leave them
    remaining : True if more periods are missing than are asked now
    """

    device: Device
    reads: tuple[str, ...]
    registers: tuple[str, ...] = ()
    intervals: tuple[Period, ...] = ()
    stored_types: tuple[str, ...] = ()
    history: Period | None = None
    events: Period | None = None
    remaining: bool = False


@dataclass(slots=True)
class Result:
    """What one meter gave, and how it went.

    Attributes
    ----------
    error : what ended it, or what was refused in part; None when all is well
    failing : True if the error ended the conversation
    notes : what the meter does not offer
    """

    request: Request
    started_at: datetime
    ended_at: datetime
    attempts: int = 0
    seconds: float = 0.0
    blocks: list[IntervalBlock] = field(default_factory=list)
    registers: list[RegisterReading] = field(default_factory=list)
    events: list[EndDeviceEvent] = field(default_factory=list)
    identity: Identity | None = None
    clock: ClockReading | None = None
    history_until: datetime | None = None
    events_until: datetime | None = None
    error: errors.DriverError | None = None
    failing: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """``ok``, ``partial`` if something was read in spite of the error, or ``failed``."""
        if self.error is None:
            return "ok"
        got = self.blocks or self.registers or self.events or self.identity or self.clock
        return "partial" if got else "failed"


async def converse(
    driver: Driver,
    endpoint: Endpoint,
    request: Request,
    *,
    clock: Clock,
    budget: timedelta,
    listener: Listener | None = None,
) -> Result:
    """Read one meter; a failure is part of the result, never an exception.

    Parameters
    ----------
    clock : gives the time, aware, UTC
    budget : longest time for everything, retries included
    listener : is told of every step
    """
    begun, at = time.monotonic(), clock()
    result = Result(request, at, at)
    steps = _steps(request, result, clock, memory="intervals" in driver.offers)
    tell = _teller(listener, len(steps))
    try:
        async with asyncio.timeout(budget.total_seconds()):
            await _attempts(driver, endpoint, steps, result, clock, tell)
    except TimeoutError:
        spent = f"{endpoint.end_device}: not done within {budget.total_seconds():g} s"
        result.error, result.failing = errors.TimedOut(f"{spent}; the rest is fetched later"), True
    result.ended_at = max(clock(), result.started_at)
    result.seconds = time.monotonic() - begun
    tell("failed" if result.failing else "done", len(steps), str(result.error or ""))
    return result


async def _attempts(
    driver: Driver,
    endpoint: Endpoint,
    steps: deque[tuple[str, Step]],
    result: Result,
    clock: Clock,
    tell: Callable[[str, int, str], None],
) -> None:
    while True:
        result.attempts += 1
        error = await _attempt(driver, endpoint, steps, result, tell)
        if error is None:
            return
        decision = retry.decide(
            type(error), attempt=result.attempts, failures=result.request.device.failures, now=clock()
        )
        if decision.kind != "now":
            result.error, result.failing = error, True
            return
        tell("retry", len(steps), str(error))
        await asyncio.sleep(_PAUSE_SECONDS * result.attempts)


async def _attempt(
    driver: Driver,
    endpoint: Endpoint,
    steps: deque[tuple[str, Step]],
    result: Result,
    tell: Callable[[str, int, str], None],
) -> errors.DriverError | None:
    """Work off steps in one session until they are done or an error ends it."""
    try:
        tell("connect", len(steps), "")
        async with driver.session(endpoint) as session:
            while steps:
                name, step = steps[0]
                tell(name, len(steps), "")
                await _step(name, step, session, result)
                steps.popleft()
    except errors.DriverError as error:
        return error
    except Exception as error:  # one meter's surprise must not take the batch's others with it
        _log.exception("collector.defect", end_device=endpoint.end_device)
        return errors.LocalProtocolError(f"{endpoint.end_device}: {type(error).__name__}: {error}")
    return None


async def _step(name: str, step: Step, session: Session, result: Result) -> None:
    """Take one step; what the meter does not have or allow does not end the conversation."""
    try:
        await step(session)
    except errors.NotOffered as error:
        result.notes.append(str(error))
    except errors.AccessDenied as error:
        result.error = error
        result.notes.append(f"{name}: {error}")


def _steps(
    request: Request, result: Result, clock: Clock, *, memory: bool
) -> deque[tuple[str, Step]]:
    """List what to do, quick things first: a broken line then still leaves them."""

    async def identify(session: Session) -> None:
        result.identity = await session.identify()
        expected = str(request.device.address.get("serial", "")) or result.identity.serial
        if result.identity.serial not in ("", expected):
            raise errors.WrongMeter(
                f"{request.device.mrid}: the meter says it is {result.identity.serial}, not"
                f" {expected}; was it exchanged? Correct the registry"
            )

    async def read_clock(session: Session) -> None:
        result.clock = await session.read_clock(now=clock())

    async def read_registers(session: Session) -> None:
        found = await session.read_registers(request.registers, now=clock())
        interval = request.device.interval_seconds
        result.registers += found if memory else sampling.place(found, interval)

    async def read_history(session: Session) -> None:
        if request.history:
            result.registers += await session.read_register_history(request.history)
            result.history_until = request.history.end

    async def read_events(session: Session) -> None:
        if request.events:
            result.events += await session.read_events(request.events)
            result.events_until = request.events.end

    simple: list[tuple[str, Step]] = [
        ("identity", identify), ("clock", read_clock), ("registers", read_registers),
        ("register_history", read_history), ("events", read_events),
    ]  # fmt: skip
    steps = deque((name, step) for name, step in simple if name in request.reads)
    steps.extend(
        (f"intervals {period}", _interval_step(request, result, period, clock))
        for period in request.intervals
    )
    return steps


def _interval_step(request: Request, result: Result, period: Period, clock: Clock) -> Step:
    async def read_intervals(session: Session) -> None:
        blocks = await session.read_intervals(period)
        result.blocks += blocks
        result.blocks += gaps.absent(
            period,
            blocks,
            reading_types=request.stored_types or _assumed_types(request.device, blocks),
            interval_seconds=request.device.interval_seconds,
            settled=clock() - _SETTLING,
        )

    return read_intervals


def _assumed_types(device: Device, blocks: Sequence[IntervalBlock]) -> tuple[str, ...]:
    """Name what a meter that has never given an interval is taken to store."""
    if blocks:
        return ()
    return ("water_volume_interval",) if device.commodity == "water" else ("active_energy_import_interval",)


def _teller(listener: Listener | None, total: int) -> Callable[[str, int, str], None]:
    def tell(step: str, left: int, detail: str) -> None:
        if listener is not None:
            listener(Progress(step, total - left, total, detail))

    return tell
