"""The steps of a conversation: each asks a meter one thing and keeps the answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from drivers import errors
from drivers.driver import Session
from headend import gaps, sampling
from headend.devices import Device
from headend.exchange import Clock, Request, Result
from schemas.period import Period
from schemas.reading import IntervalBlock

# A slot that ended longer ago than this, and that the meter does not have, will not come any more.
_SETTLING = timedelta(hours=6)

Ask = Callable[[Session], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to ask; ``halves`` gives the same in two smaller ones, or nothing."""

    name: str
    ask: Ask
    halves: Callable[[], list[Step]] = list


def steps(request: Request, result: Result, clock: Clock, *, memory: bool) -> deque[Step]:
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

    simple: list[tuple[str, Ask]] = [
        ("identity", identify), ("clock", read_clock), ("registers", read_registers),
        ("register_history", read_history), ("events", read_events),
    ]  # fmt: skip
    made = deque(Step(name, ask) for name, ask in simple if name in request.reads)
    made.extend(_interval_step(request, result, period, clock) for period in request.intervals)
    return made


def _interval_step(request: Request, result: Result, period: Period, clock: Clock) -> Step:
    async def read_intervals(session: Session) -> None:
        found = await session.read_intervals(period)
        result.blocks += found
        # A second load profile may have longer intervals; slots are those of the registry.
        seconds = request.device.interval_seconds
        blocks = [block for block in found if block.interval_seconds == seconds]
        result.blocks += gaps.absent(
            period,
            blocks,
            reading_types=request.stored_types or _assumed_types(request.device, blocks),
            interval_seconds=request.device.interval_seconds,
            settled=clock() - _SETTLING,
        )

    def halves() -> list[Step]:
        slots = int(period.duration.total_seconds()) // request.device.interval_seconds
        if slots < 2:
            return []
        length = timedelta(seconds=request.device.interval_seconds * (slots // 2))
        middle = period.start + length
        parts = (Period(period.start, middle), Period(middle, period.end))
        return [_interval_step(request, result, part, clock) for part in parts]

    return Step(f"intervals {period}", read_intervals, halves)


def _assumed_types(device: Device, blocks: Sequence[IntervalBlock]) -> tuple[str, ...]:
    """Name what a meter that has never given an interval is taken to store."""
    if blocks:
        return ()
    water = device.commodity == "water"
    return ("water_volume_interval" if water else "active_energy_import_interval",)
