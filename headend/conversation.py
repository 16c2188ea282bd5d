"""Reads one meter: what was asked, step by step, with the immediate retries that the error allows.

What was read before a link broke is kept, and the next attempt goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg
import structlog

from drivers import errors
from drivers.driver import ClockReading, Driver, Endpoint, Session
from headend import control_clock, control_steps, pending_keys, resync, retry, sampling
from headend.control_keys import Alternative
from headend.control_ledger import Due
from headend.control_work import Means, SessionSpent
from headend.counters import Run
from headend.exchange import Clock, Listener, Progress, Request, Result
from headend.steps import Step, steps, with_controls

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
    means: Means,
    counters: Run | None = None,
    alternatives: Sequence[Alternative] = (),
    listener: Listener | None = None,
    on_time: timedelta = sampling.ON_TIME,
) -> Result:
    """Read one meter; a failure is part of the result, never an exception.

    Parameters
    ----------
    clock : gives the time, aware, UTC
    budget : longest time for everything, retries included
    means : what controls need
    counters : the endpoint's source of invocation counters, to be set right if the meter asks
    alternatives : secrets that the meter may have instead, while a change of keys is open
    listener : is told of every step
    on_time : how far from its grid point a sample counts as taken there
    """
    begun, at = time.monotonic(), clock()
    result = Result(request, at, at)
    talk = _Talk(driver, endpoint, result, clock, means, counters, alternatives, listener)
    talk.plan(on_time=None if "intervals" in driver.offers else on_time)
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
    means: Means
    counters: Run | None
    alternatives: Sequence[Alternative]
    listener: Listener | None
    steps: deque[Step] = field(default_factory=deque)
    total: int = 0
    taken: int = 0

    def plan(self, *, on_time: timedelta | None) -> None:
        """List the steps of this conversation."""
        request, result = self.result.request, self.result
        reading = steps(request, result, self.clock, on_time=on_time)
        self.steps = with_controls(reading, request, result, self._do, self._keep_clock)
        self.total = len(self.steps)

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
            if error is None and not self.steps:
                return
            if error is None or await self._is_resynced(error) or await self._is_rekeyed(error):
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

    async def _is_rekeyed(self, error: errors.DriverError) -> bool:
        """Find out whether the meter has the keys that were on their way; they are then its own.

        It is asked once: meters count wrong keys.
        """
        # Some meters hang up on a wrong key.
        told = isinstance(error, errors.WrongKey | errors.Broken) and not self.taken
        if not self.alternatives or not told:
            return False
        candidates, self.alternatives = self.alternatives, ()
        self.tell("rekey", str(error))
        secrets = [one.secrets for one in candidates]
        try:
            place = await self.driver.keys_in_force(self.endpoint, secrets)
        except errors.DriverError:
            return False
        if place is None:
            return False
        device, now = self.result.request.device, self.clock()
        await asyncio.to_thread(
            self.means.ledger.do,
            lambda c: pending_keys.promote(c, device.id, candidates[place].kinds, now=now),
        )
        self.endpoint = replace(self.endpoint, secrets=candidates[place].secrets)
        return True

    async def _do(self, due: Due, session: Session) -> None:
        await control_steps.carry_out(
            due, session, endpoint=self.endpoint, result=self.result, clock=self.clock,
            means=self.means, tell=lambda detail: self.tell(due.kind.replace("_", " "), detail),
        )  # fmt: skip

    async def _keep_clock(self, reading: ClockReading) -> Due | None:
        return await control_clock.keep(reading, self.result, self.means, self.clock())

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
        except SessionSpent:
            self.steps.popleft()
            self.taken += 1
            return None
        except psycopg.OperationalError:
            # Not the meter's affair: its order is taken up again.
            raise
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
