"""Intervals of a usage point within some local days, and windows of them: the plainest way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import lcm

from tests.mdm.oracle import calendar
from tests.mdm.oracle.world import KIND_OF, MISSING, House, Series, Tariff, grid, midnight


@dataclass
class Scope:
    """A usage point, the local days that one tariff bills, and what it needs of others."""

    house: House
    tariff: Tariff
    first: date
    until: date
    peaks: Callable[[Mapping[str, object]], Sequence[datetime] | None] = lambda _: None
    history: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)

    @property
    def since(self) -> datetime:
        return midnight(self.first, self.house.zone)

    @property
    def end(self) -> datetime:
        return midnight(self.until, self.house.zone)

    def period(self, at: datetime) -> str:
        return calendar.period_of(self.tariff.calendar, at, self.house.zone)

    def factor(self, at: datetime, names: Sequence[str]) -> Fraction | None:
        """Multiply the loss factors of an instant's local day; one's own go before the tariff's."""
        day, found = at.astimezone(self.house.zone).date(), Fraction(1)
        for name in names:
            for known in (self.house.losses, self.tariff.losses):
                standing = [(s, f) for n, s, f in known if n == name and s <= day]
                if standing:
                    found *= Fraction(max(standing)[1])
                    break
            else:
                return None
        return found


@dataclass(frozen=True)
class Slot:
    """One interval that is expected; without a value if it is missing."""

    at: datetime
    value: int | None
    kind: str


def installed(house: House, since: datetime, until: datetime) -> bool:
    """Say whether a stretch lies wholly in time in which some meter was there."""
    if not house.meters:
        return True
    for meter in sorted(house.meters, key=lambda m: m.since):
        if meter.since <= since and (meter.until is None or meter.until > since):
            if meter.until is None or meter.until >= until:
                return True
            since = meter.until
    return False


def slots(scope: Scope, series: Series) -> list[Slot]:
    """Give a channel's expected intervals of the days."""
    step = timedelta(seconds=series.seconds)
    starts = grid(scope.first, scope.until, scope.house.zone, series.seconds)
    return [_slot(at, series) for at in starts if installed(scope.house, at, at + step)]


def _slot(at: datetime, series: Series) -> Slot:
    known = series.values.get(at)
    kind = KIND_OF[known.code] if known else MISSING
    return Slot(at, None if known is None or kind == MISSING else known.value, kind)


def of_type(scope: Scope, reading_type: str) -> list[Slot]:
    """Give all channels' intervals of a reading type, each as it is."""
    return [slot for series in scope.house.of(reading_type) for slot in slots(scope, series)]


Aligned = dict[datetime, dict[str, list[Slot]]]


def aligned(scope: Scope, reading_types: Sequence[str]) -> tuple[int, Aligned]:
    """Give channels side by side, at the shortest length that all of their lengths divide."""
    channels = [(t, s) for t in reading_types for s in scope.house.of(t)]
    seconds = lcm(*(series.seconds for _, series in channels)) if channels else 0
    found: Aligned = {}
    for kind, series in channels:
        by_start = {slot.at: slot for slot in slots(scope, series)}
        for at in grid(scope.first, scope.until, scope.house.zone, seconds):
            starts = [at + timedelta(seconds=n) for n in range(0, seconds, series.seconds)]
            if any(start in by_start for start in starts):
                inside = [by_start[start] for start in starts if start in by_start]
                found.setdefault(at, {}).setdefault(kind, []).extend(inside)
    return seconds, found


@dataclass(frozen=True)
class Window:
    """Consecutive intervals, all of them known: the energy of each flow, and who they were."""

    since: datetime
    until: datetime
    flows: Mapping[str, Fraction]
    slots: tuple[Slot, ...]


def windows(
    scope: Scope,
    reading_types: Sequence[str],
    window: int,
    step: int,
    *,
    periods: Sequence[str] = (),
    losses: Sequence[str] = (),
) -> list[Window] | None:
    """Give every window without a hole, oldest first; None if the intervals do not fill it."""
    seconds, table = aligned(scope, reading_types)
    if not seconds or window % seconds or step % seconds:
        return None
    found = []
    for start in starts(scope, window, step):
        inside = [start + timedelta(seconds=n) for n in range(0, window, seconds)]
        made = _window(scope, table, inside, reading_types, losses)
        if made is None or (periods and any(scope.period(at) not in periods for at in inside)):
            continue
        until = start + timedelta(seconds=window)
        found.append(Window(start, until, made[0], made[1]))
    return found


def _window(
    scope: Scope, table: Aligned, inside: Sequence[datetime], types: Sequence[str],
    losses: Sequence[str],
) -> tuple[dict[str, Fraction], tuple[Slot, ...]] | None:  # fmt: skip
    flows: dict[str, Fraction | int] = dict.fromkeys(types, 0)
    seen: list[Slot] = []
    for at in inside:
        factor = scope.factor(at, losses) if losses else 1
        for kind in types:
            here = table.get(at, {}).get(kind, [])
            if not here or factor is None or any(slot.value is None for slot in here):
                return None
            flows[kind] += sum(slot.value or 0 for slot in here) * factor
            seen += here
    return {kind: Fraction(energy) for kind, energy in flows.items()}, tuple(seen)


def starts(scope: Scope, window: int, step: int) -> Iterator[datetime]:
    """Give where windows may begin: each local midnight, and then by the step.

    Blocks (whose step is the window) end within their day; moving windows within the period.
    """
    day, zone = scope.first, scope.house.zone
    length, stride = timedelta(seconds=window), timedelta(seconds=step)
    while day < scope.until:
        at, morrow = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        last = morrow if step >= window else scope.end
        while at < morrow and at + length <= last:
            yield at
            at += stride
        day += timedelta(days=1)


def is_known(slot: Slot) -> bool:
    return slot.value is not None
