"""The steps of a conversation: each asks a meter one thing and keeps the answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from drivers import errors
from drivers.driver import ClockReading, Session
from headend import gaps, sampling
from headend.control_kinds import KINDS
from headend.control_ledger import Due
from headend.devices import Device
from headend.exchange import Clock, Request, Result
from schemas.period import Period
from schemas.reading import IntervalBlock

# A slot that ended longer ago than this, and that the meter does not have, will not come any more.
_SETTLING = timedelta(hours=6)

Ask = Callable[[Session], Awaitable[None]]

Do = Callable[[Due, Session], Awaitable[None]]
KeepClock = Callable[[ClockReading], Awaitable[Due | None]]
# A transfer takes long, and after a change of keys the conversation is over.
_LAST = ("firmware", "keys")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to ask; ``halves`` gives the same in two smaller ones, or nothing."""

    name: str
    ask: Ask
    halves: Callable[[], list[Step]] = list


def steps(
    request: Request, result: Result, clock: Clock, *, on_time: timedelta | None
) -> deque[Step]:
    """List what to read, quick things first: a broken line then still leaves them.

    Parameters
    ----------
    on_time : see ``headend.sampling``; None for meters with a memory, which need no samples
    """

    async def read_clock(session: Session) -> None:
        result.clock = await session.read_clock(now=clock())

    async def read_registers(session: Session) -> None:
        found = await session.read_registers(request.registers, now=clock())
        if on_time is not None:
            # Nobody knows when a meter that answers late looked: at the latest when it answered.
            found = sampling.taken(found, clock())
            found = sampling.place(found, request.device.interval_seconds, on_time=on_time)
        result.registers += found

    async def read_history(session: Session) -> None:
        if request.history:
            result.registers += await session.read_register_history(request.history)
            result.history_until = request.history.end

    async def read_events(session: Session) -> None:
        if request.events:
            result.events += await session.read_events(request.events)
            result.events_until = request.events.end

    simple: list[tuple[str, Ask]] = [
        ("identity", _identify(request, result)), ("clock", read_clock),
        ("registers", read_registers), ("register_history", read_history), ("events", read_events),
    ]  # fmt: skip
    made = deque(Step(name, ask) for name, ask in simple if name in request.reads)
    made.extend(_interval_step(request, result, period, clock) for period in request.intervals)
    return made


def with_controls(
    reading: deque[Step], request: Request, result: Result, do: Do, keep_clock: KeepClock
) -> deque[Step]:
    """Put what else is to be done with the meter between the reads.

    Parameters
    ----------
    do : carries out a control
    keep_clock : gives the control that puts right a clock that is off too far, if there is one
    """
    made = deque(reading)
    soon = [_control_step(due, do) for due in request.controls if not _place(due)]
    if any(KINDS[due.kind].effect != "reads" for due in request.controls):
        # What changes a meter must not reach another one that answers at its address.
        made = deque(step for step in made if step.name != "identity")
        soon.insert(0, Step("identity", _identify(request, result)))
    # Somebody waits for these.
    made.extendleft(reversed(soon))
    later = sorted((due for due in request.controls if _place(due)), key=_place)
    made.extend(_control_step(due, do) for due in later)

    async def keep(session: Session) -> None:
        if result.clock is not None and (due := await keep_clock(result.clock)):
            await do(due, session)

    names = [step.name for step in made]
    if request.keep_clock is not None and "clock" in names:
        made.insert(names.index("clock") + 1, Step("keep the clock", keep))
    return made


def _identify(request: Request, result: Result) -> Ask:
    async def identify(session: Session) -> None:
        result.identity = await session.identify()
        expected = str(request.device.address.get("serial", "")) or result.identity.serial
        if result.identity.serial not in ("", expected):
            raise errors.WrongMeter(
                f"{request.device.mrid}: the meter says it is {result.identity.serial}, not"
                f" {expected}; was it exchanged? Correct the registry"
            )

    return identify


def _place(due: Due) -> int:
    effect = KINDS[due.kind].effect
    return _LAST.index(effect) + 1 if effect in _LAST else 0


def _control_step(due: Due, do: Do) -> Step:
    async def ask(session: Session) -> None:
        await do(due, session)

    return Step(due.kind.replace("_", " "), ask)


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


_INTERVALS: Final = {
    "water": "water_volume_interval",
    "gas": "gas_volume_interval",
    "heat": "heat_energy_interval",
}


def _assumed_types(device: Device, blocks: Sequence[IntervalBlock]) -> tuple[str, ...]:
    """Name what a meter that has never given an interval is taken to store."""
    if blocks:
        return ()
    return (_INTERVALS.get(device.commodity or "", "active_energy_import_interval"),)
