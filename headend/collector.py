"""Reads many meters at the same time; one that is dead or slow costs its own place and no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from drivers import errors
from drivers.driver import Driver, Endpoint
from headend import conversation, counters, coverage, devices, keys, requests, sessions
from headend.capacity import Capacity, Limits
from headend.conversation import Clock, Listener, Request, Result
from headend.devices import Device
from headend.leases import Leases
from headend.sessions import Recorded
from headend.vault import Vault, VaultError
from schemas import database
from schemas.database import Connection

_log = structlog.get_logger(__name__)
# A meter that somebody else talks to is tried again after this.
_BUSY_PAUSE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Order:
    """End devices to be read, and what of them.

    Attributes
    ----------
    reason : ``schedule``, ``retry``, ``backlog`` or ``on_demand``; the last asks every meter,
        the first three leave alone those that wait for their next attempt
    batch_id : where the order comes from a batch; a batch taken up again goes on where it was
    """

    end_device_ids: tuple[int, ...]
    reads: tuple[str, ...]
    reason: str
    batch_id: int | None = None


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


@dataclass(frozen=True, slots=True)
class _Prepared:
    asking: list[tuple[Request, Endpoint]]
    refused: list[Result]


class Collector:
    """Reads meters for one process, within its limits; made by ``running``."""

    def __init__(
        self, url: str, drivers: Mapping[str, Driver], limits: Limits, leases: Leases,
        source: counters.Source,
    ) -> None:  # fmt: skip
        self._url = url
        self._drivers = drivers
        self._limits = limits
        self._leases = leases
        self._counters = source
        self._capacity = Capacity(limits.sessions)

    async def collect(
        self, order: Order, *, clock: Clock, listener: Listener | None = None
    ) -> Collected:
        """Read the end devices of an order and land what they give.

        Parameters
        ----------
        clock : gives the time, aware, UTC
        listener : is told of every step, from the event loop

        Raises
        ------
        psycopg.OperationalError
            if the database goes away; what was landed stays, and the order can be given again.
        """
        done = Collected()
        prepared = await asyncio.to_thread(self._prepare, order, clock(), done)
        with database.connect(self._url) as connection:
            await self._write(connection, prepared.refused, order, clock, done)
            await self._read_all(connection, prepared.asking, order, clock, listener, done)
        _log.info(
            "collector.order.done", batch=order.batch_id, reason=order.reason, ok=done.ok,
            partial=done.partial, failed=done.failed, waiting=done.waiting, busy=done.busy,
            intervals=done.intervals, registers=done.registers,
        )  # fmt: skip
        return done

    async def _read_all(
        self,
        connection: Connection,
        asking: Sequence[tuple[Request, Endpoint]],
        order: Order,
        clock: Clock,
        listener: Listener | None,
        done: Collected,
    ) -> None:
        """Talk to all at the same time; write results in groups as they come."""
        wait = self._limits.lease_wait
        pending = {
            asyncio.create_task(self._read(request, endpoint, wait, clock, listener))
            for request, endpoint in asking
        }
        results: list[Result] = []
        busy: list[int] = []
        flushed = time.monotonic()
        try:
            while pending:
                finished, pending = await asyncio.wait(
                    pending, timeout=self._limits.flush_seconds, return_when=asyncio.FIRST_COMPLETED
                )
                for device_id, result in (task.result() for task in finished):
                    if result is None:
                        busy.append(device_id)
                    else:
                        results.append(result)
                late = time.monotonic() - flushed >= self._limits.flush_seconds
                if not pending or late or len(results) >= self._limits.flush:
                    await self._write(connection, results, order, clock, done)
                    results, flushed = [], time.monotonic()
            await self._put_off_busy(connection, busy, order, clock, done)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            await self._leases.give_back(request.device.id for request, _ in asking)

    async def _read(
        self, request: Request, endpoint: Endpoint, wait: float, clock: Clock,
        listener: Listener | None,
    ) -> tuple[int, Result | None]:  # fmt: skip
        """Talk to one meter when there is a place for it; None while somebody else does.

        The lease is given back only when the result is written: who comes next knows of it.
        """
        device = request.device
        async with self._capacity.slot(device):
            if not await self._leases.take(device.id, wait=wait):
                return device.id, None
            return device.id, await conversation.converse(
                self._drivers[device.protocol], endpoint, request,
                clock=clock, budget=self._limits.budget, listener=listener,
            )  # fmt: skip

    async def _write(
        self, connection: Connection, results: list[Result], order: Order, clock: Clock,
        done: Collected,
    ) -> None:  # fmt: skip
        if not results:
            return

        def write() -> list[Recorded]:
            written = sessions.record(connection, results, batch_id=order.batch_id, now=clock())
            connection.commit()
            return written

        recorded = await asyncio.to_thread(write)
        await self._leases.give_back(one.result.request.device.id for one in recorded)
        done.count(recorded)
        if order.reason == "on_demand":
            done.recorded += recorded

    async def _put_off_busy(
        self, connection: Connection, busy: list[int], order: Order, clock: Clock, done: Collected
    ) -> None:
        done.busy = len(busy)
        if busy and order.reason != "on_demand":
            at = clock() + _BUSY_PAUSE
            await asyncio.to_thread(sessions.put_off_busy, connection, busy, order.reads, at)

    def _prepare(self, order: Order, now: datetime, done: Collected) -> _Prepared:
        """Load the end devices and choose whom to ask, and for what."""
        with database.connect(self._url) as connection:
            known = devices.load(connection, order.end_device_ids)
            if order.batch_id is not None:
                read = sessions.already_read(connection, order.batch_id)
                done.already_read = len(read)
                known = [device for device in known if device.id not in read]
            askable = [device for device in known if device.protocol in self._drivers]
            ready = [device for device in askable if self._is_ready(device, order.reason, now)]
            waiting = {device.id for device in askable} - {device.id for device in ready}
            done.waiting = len(waiting)
            if order.reason == "schedule":
                sessions.put_off(connection, waiting, order.reads)
            have = coverage.coverage(connection, ready, now=now)
        wanted = [
            requests.request(
                device, {*order.reads, *device.next_reads} if order.reason != "on_demand"
                else order.reads, have[device.id], self._drivers[device.protocol], now=now,
            )
            for device in ready
        ]  # fmt: skip
        return self._with_endpoints([one for one in wanted if one.reads], now)

    def _is_ready(self, device: Device, reason: str, now: datetime) -> bool:
        """Tell whether a meter may be asked now.

        A meter without a memory is asked at its time however it did before: the sample would be
        lost for ever.
        """
        if reason == "on_demand":
            return True
        if device.held:
            return False
        due = device.next_attempt is not None and device.next_attempt <= now
        if reason != "schedule":
            return due
        no_memory = "intervals" not in self._drivers[device.protocol].offers
        return due or device.next_attempt is None or no_memory

    def _with_endpoints(self, wanted: Iterable[Request], now: datetime) -> _Prepared:
        wanted = list(wanted)
        secured = [one.device for one in wanted if one.device.security == "hls-gmac"]
        runs = self._counters.runs(device.id for device in secured)
        vault = _vault(wanted)
        prepared = _Prepared([], [])
        for one in wanted:
            run = runs.get(one.device.id)
            try:
                prepared.asking.append((one, self._endpoint(one.device, vault, run)))
            except errors.DriverError as error:
                refused = Result(one, now, now, attempts=1, error=error, failing=True)
                prepared.refused.append(refused)
        return prepared

    def _endpoint(
        self, device: Device, vault: Vault | VaultError | None, run: counters.Run | None
    ) -> Endpoint:
        """Make an endpoint; what the registry or the key store lacks is an error of its class."""
        if not device.host:
            raise errors.Unreachable(
                f"{device.mrid}: the registry has no host for it; import it with host and port"
            )
        if lacking := device.lacking_keys():
            raise errors.WrongKey(
                f"{device.mrid}: no key of kind {' and '.join(lacking)} in the key store; run"
                " miqyas import keys"
            )
        try:
            if isinstance(vault, VaultError):
                raise vault
            take: Callable[[int], int] | None = run.take if run else None
            return devices.endpoint(
                device, vault, reserve_counters=take, timeout=self._limits.timeout
            )
        except VaultError as error:
            raise errors.WrongKey(f"{device.mrid}: {error}") from error


@asynccontextmanager
async def running(
    url: str, drivers: Mapping[str, Driver], limits: Limits | None = None
) -> AsyncIterator[Collector]:
    """Give a collector with its connections open; close them at the end.

    Parameters
    ----------
    drivers : by protocol; those of ``drivers.catalogue``
    """
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(database.connect_async(url, autocommit=True))
        source = stack.enter_context(counters.Source(url))
        yield Collector(url, drivers, limits or Limits(), Leases(connection), source)


def _vault(wanted: Iterable[Request]) -> Vault | VaultError | None:
    """Open the vault if a meter needs it; why it cannot be opened is each such meter's error."""
    if all(one.device.security == "none" for one in wanted):
        return None
    try:
        return keys.open_vault()
    except VaultError as error:
        return error
