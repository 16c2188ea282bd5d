"""Reads many meters at the same time; one that is dead or slow costs its own place and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from drivers import catalogue
from drivers.driver import Driver
from headend import control_steps, conversation, keys, preparation, sessions, shared_lines
from headend.capacity import Capacity, Limits
from headend.control_kinds import KINDS
from headend.control_ledger import Ledger
from headend.control_work import Means
from headend.counters import Source
from headend.exchange import Clock, Listener, Order, Result
from headend.leases import Leases
from headend.preparation import Asking
from headend.sessions import Recorded
from schemas import database
from schemas.database import Connection

_log = structlog.get_logger(__name__)
# A meter that somebody else talks to is tried again after this.
_BUSY_PAUSE = timedelta(minutes=1)


@dataclass(slots=True)
class Collected:
    """What became of an order, in end devices; the last three in values that were new."""

    ok: int = 0
    partial: int = 0
    failed: int = 0
    waiting: int = 0
    busy: int = 0
    already_read: int = 0
    intervals: int = 0
    registers: int = 0
    events: int = 0
    recorded: list[Recorded] = field(default_factory=list, repr=False)

    def count(self, recorded: Sequence[Recorded]) -> None:
        """Add conversations that were written down."""
        for one in recorded:
            outcome = one.result.outcome
            setattr(self, outcome, getattr(self, outcome) + 1)
            self.intervals += one.landed.intervals
            self.registers += one.landed.registers
            self.events += one.landed.events


@dataclass(slots=True)
class _Round:
    """What one call of ``collect`` works with; ``results`` are not written yet."""

    order: Order
    clock: Clock
    listener: Listener | None
    connection: Connection
    done: Collected
    results: list[Result] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)

    def taken(self) -> list[Result]:
        """Take the results that are there."""
        taken, self.results = self.results, []
        return taken


class Collector:
    """Reads meters for one process, within its limits; made by ``running``."""

    def __init__(
        self, url: str, drivers: Mapping[str, Driver], limits: Limits, leases: Leases, *,
        source: Source, means: Means,
    ) -> None:  # fmt: skip
        self._url = url
        self._drivers = drivers
        self._limits = limits
        self._leases = leases
        self._counters = source
        self._means = means
        self._capacity = Capacity(limits.sessions, limits.waiting, limits.patience)

    async def collect(
        self,
        order: Order,
        *,
        clock: Clock,
        listener: Listener | None = None,
        connection: Connection | None = None,
    ) -> Collected:
        """Read the end devices of an order and land what they give.

        Parameters
        ----------
        clock : gives the time, aware, UTC
        listener : is told of every step, from the event loop
        connection : one that nobody else uses meanwhile, to spare another

        Raises
        ------
        psycopg.OperationalError
            if the database goes away; what was landed stays, and the order can be given again.
        """
        done = Collected()
        if connection is None:
            with database.connect(self._url) as own:
                await self._collect(_Round(order, clock, listener, own, done))
        else:
            await self._collect(_Round(order, clock, listener, connection, done))
        _log.info(
            "collector.order.done", batch=order.batch_id, reason=order.reason, ok=done.ok,
            partial=done.partial, failed=done.failed, waiting=done.waiting, busy=done.busy,
            intervals=done.intervals, registers=done.registers,
        )  # fmt: skip
        return done

    async def _collect(self, this: _Round) -> None:
        prepared = await asyncio.to_thread(
            preparation.prepare, this.connection, this.order, self._drivers, self._counters,
            timeout=self._limits.timeout, now=this.clock(), open_vault=self._means.vault,
        )  # fmt: skip
        this.done.waiting = prepared.waiting
        this.done.already_read = prepared.already_read
        for one in prepared.refused:
            await self._conclude(this, one)
        await self._write(this, prepared.refused)
        await self._read_all(this, prepared.asking)

    async def _read_all(self, this: _Round, asking: Sequence[Asking]) -> None:
        """Talk to all at the same time; write results in groups as they come."""
        groups = shared_lines.groups(asking, dict(self._drivers))
        pending = {asyncio.create_task(self._read_line(this, group)) for group in groups}
        begun = list(pending)
        flushed = time.monotonic()
        try:
            while pending:
                finished, pending = await asyncio.wait(
                    pending, timeout=self._limits.flush_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for task in finished:
                    task.result()
                late = time.monotonic() - flushed >= self._limits.flush_seconds
                if not pending or late or len(this.results) >= self._limits.flush:
                    await self._write(this, this.taken())
                    flushed = time.monotonic()
            await self._put_off_busy(this, this.busy)
        finally:
            for task in pending:
                task.cancel()
            # Of several that failed at once the first was raised; the others are no news.
            await asyncio.gather(*begun, return_exceptions=True)
            await self._leases.give_back(one.request.device.id for one in asking)

    async def _read_line(self, this: _Round, group: Sequence[Asking]) -> None:
        """Talk to the meters of one line, one after the other, when there is a place for it."""
        device = group[0].request.device
        async with self._capacity.slot(device):
            with shared_lines.holding(group, self._drivers[device.protocol]):
                for one in group:
                    await self._read(this, one)

    async def _read(self, this: _Round, asking: Asking) -> None:
        """Talk to one meter, unless somebody else does.

        The lease is given back only when the result is written: who comes next knows of it.
        """
        device = asking.request.device
        driver = self._drivers[device.protocol]
        needed = shared_lines.leases(asking, driver)
        if not await self._leases.take(*needed, wait=self._limits.lease_wait):
            this.busy.append(device.id)
            return
        try:
            result = await conversation.converse(
                driver, asking.endpoint, asking.request,
                clock=this.clock, budget=self._budget(asking), means=self._means,
                counters=asking.counters, alternatives=asking.alternatives,
                listener=this.listener, on_time=self._limits.on_time,
            )  # fmt: skip
        finally:
            # Who comes next on the line need not wait until the result is written.
            self._leases.done_with(needed[1:])
        await self._conclude(this, result)
        this.results.append(result)

    def _budget(self, asking: Asking) -> timedelta:
        effects = {KINDS[due.kind].effect for due in asking.request.controls}
        return self._limits.budget + (self._limits.slice if "firmware" in effects else timedelta())

    async def _conclude(self, this: _Round, result: Result) -> None:
        """Write down what a conversation means for controls that it did not come to."""
        if result.request.controls:
            await asyncio.to_thread(
                control_steps.conclude, self._means, result, now=this.clock(),
                on_demand=this.order.reason == "on_demand",
            )  # fmt: skip

    async def _write(self, this: _Round, results: list[Result]) -> None:
        if not results:
            return

        def write() -> list[Recorded]:
            written = sessions.record(
                this.connection, results, batch_id=this.order.batch_id, now=this.clock()
            )
            this.connection.commit()
            return written

        recorded = await asyncio.to_thread(write)
        await self._leases.give_back(one.result.request.device.id for one in recorded)
        this.done.count(recorded)
        if this.order.reason == "on_demand":
            this.done.recorded += recorded

    async def _put_off_busy(self, this: _Round, busy: list[int]) -> None:
        this.done.busy = len(busy)
        if busy and this.order.reason != "on_demand":
            at = this.clock() + _BUSY_PAUSE
            await asyncio.to_thread(
                sessions.put_off_busy, this.connection, busy, this.order.reads, at
            )


@asynccontextmanager
async def running(
    url: str, drivers: Mapping[str, Driver] | None = None, limits: Limits | None = None
) -> AsyncIterator[Collector]:
    """Give a collector with its connections open; close them at the end.

    Parameters
    ----------
    drivers : by protocol; all that ``drivers.catalogue`` has when None
    """
    async with AsyncExitStack() as stack:
        leases = Leases(url)
        stack.push_async_callback(leases.close)
        source = stack.enter_context(Source(url))
        limits = limits or Limits()
        means = Means(stack.enter_context(Ledger(url)), keys.vault_opener(), limits.slice)
        made = catalogue.polled() if drivers is None else drivers
        yield Collector(url, made, limits, leases, source=source, means=means)
