"""Reads one meter: what was asked, step by step, with the immediate retries that the error allows.

What was read before a link broke is kept, and the next attempt goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

import structlog

from drivers import errors
from drivers.driver import Driver, Endpoint, Session
from headend import resync, retry
from headend.counters import Run
from headend.exchange import Clock, Listener, Progress, Request, Result
from headend.steps import Step, steps

_log = structlog.get_logger(__name__)
# A reset line is often back at once; a second attempt in the same instant finds it as it was.
_PAUSE_SECONDS = 0.2


async def converse(
    driver: Driver,
    endpoint: Endpoint,
    request: Request,
    *,
    clock: Clock,
    budget: timedelta,
    counters: Run | None = None,
    listener: Listener | None = None,
) -> Result:
    """Read one meter; a failure is part of the result, never an exception.

    Parameters
    ----------
    clock : gives the time, aware, UTC
    budget : longest time for everything, retries included
    counters : the endpoint's source of invocation counters, to be set right if the meter asks
    listener : is told of every step
    """
    begun, at = time.monotonic(), clock()
    result = Result(request, at, at)
    plan = steps(request, result, clock, memory="intervals" in driver.offers)
    talk = _Talk(driver, endpoint, result, clock, counters, listener, plan, len(plan))
    try:
        async with asyncio.timeout(budget.total_seconds()):
            await talk.attempts()
    except TimeoutError:
        spent = f"{endpoint.end_device}: not done within {budget.total_seconds():g} s"
        result.error, result.failing = errors.TimedOut(f"{spent}; the rest is fetched later"), True
    result.ended_at = max(clock(), result.started_at)
    result.seconds = time.monotonic() - begun
    talk.tell("failed" if result.failing else "done", str(result.error or ""))
    return result


@dataclass(slots=True)
class _Talk:
    driver: Driver
    endpoint: Endpoint
    result: Result
    clock: Clock
    counters: Run | None
    listener: Listener | None
    steps: deque[Step]
    total: int
    taken: int = 0

    async def attempts(self) -> None:
        """Try until the steps are done or the class of the error says to stop.

        An attempt that gave something starts the count anew: a line that breaks again and again
        still brings the next piece each time.
        """
        fruitless = 0
        while True:
            self.result.attempts += 1
            before = self.taken
            error = await self._attempt()
            fruitless = 1 if self.taken > before else fruitless + 1
            if error is None:
                return
            if await self._is_resynced(error):
                continue
            decision = retry.decide(
                type(error),
                attempt=fruitless,
                failures=self.result.request.device.failures,
                now=self.clock(),
                progressed=self.taken > 0,
            )
            if decision.kind != "now":
                self.result.error, self.result.failing = error, True
                return
            self._halve()
            self.tell("retry", str(error))
            await asyncio.sleep(_PAUSE_SECONDS * fruitless)

    def tell(self, step: str, detail: str = "") -> None:
        """Tell the listener how far this has come."""
        if self.listener is not None:
            self.listener(Progress(step, self.taken, self.total, detail))

    def _halve(self) -> None:
        """Ask for less at a time from here on: a line that breaks may carry a shorter answer."""
        if self.steps and (parts := self.steps[0].halves()):
            self.steps.popleft()
            self.steps.extendleft(reversed(parts))
            self.total += len(parts) - 1

    async def _is_resynced(self, error: errors.DriverError) -> bool:
        """Set our counter right if that was the error; a meter gets that chance once."""
        if self.counters is None or not isinstance(error, errors.CounterOutOfSync):
            return False
        run, self.counters = self.counters, None
        self.tell("resync", str(error))
        return await resync.resync(self.driver, self.endpoint, run)

    async def _attempt(self) -> errors.DriverError | None:
        """Work off steps in one session until they are done or an error ends it."""
        try:
            self.tell("connect")
            async with self.driver.session(self.endpoint) as session:
                while self.steps:
                    self.tell(self.steps[0].name)
                    await self._take(self.steps[0], session)
                    self.steps.popleft()
                    self.taken += 1
        except errors.DriverError as error:
            return error
        except Exception as error:  # noqa: BLE001  one meter's surprise must not end the others' batch
            name = self.endpoint.end_device
            _log.exception("collector.defect", end_device=name)
            return errors.LocalProtocolError(f"{name}: {type(error).__name__}: {error}")
        return None

    async def _take(self, step: Step, session: Session) -> None:
        """Take one step; what the meter does not have or allow does not end the conversation."""
        try:
            await step.ask(session)
        except errors.NotOffered as error:
            self.result.notes.append(str(error))
        except errors.AccessDenied as error:
            self.result.error = error
            self.result.notes.append(f"{step.name}: {error}")
