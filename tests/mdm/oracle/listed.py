"""The nine determinants that a tariff asks for by name, as ``docs/billing.md`` defines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from tests.mdm.oracle import calendar, intervals, registers
from tests.mdm.oracle.figures import IN_UNIT, Line, Lines, counted, rounded, shared
from tests.mdm.oracle.intervals import Scope, Slot, Window, is_known
from tests.mdm.oracle.world import KIND_OF

HOUR = 3600
DEMAND = {"Wh": "W", "kWh": "kW", "MWh": "MW"}


def summed(found: Sequence[Slot]) -> Fraction:
    return Fraction(sum(slot.value or 0 for slot in found))


def unknown(found: Sequence[Slot]) -> bool:
    """Say whether of some intervals that are expected not one is known."""
    return bool(found) and not any(map(is_known, found))


def energy_line(scope: Scope, micro: Fraction, unit: str, found: Sequence[Slot]) -> Line:
    value = None if unknown(found) else rounded(micro / IN_UNIT[unit], scope.tariff.quantity)
    return Line(value, unit, scope.since, scope.end, counted(slot.kind for slot in found))


def consumed(scope: Scope) -> tuple[Fraction | None, str]:
    """Give the billed quantity in the stored unit, exactly, and the source that said it."""
    tariff = scope.tariff
    for source in tariff.sources:
        if source == "register":
            used = registers.used(scope, tariff.register, tariff.interval)
            if used.micro is not None:
                return used.micro, "by register"
        if source == "interval":
            found = intervals.of_type(scope, tariff.interval)
            if scope.house.of(tariff.interval) and all(map(is_known, found)):
                return summed(found), "by interval"
    return None, ""


def consumption(scope: Scope) -> Lines:
    exact, note = consumed(scope)
    tariff = scope.tariff
    if exact is None:
        return {("consumption", ""): Line(None, tariff.unit)}
    value = rounded(exact / IN_UNIT[tariff.unit], tariff.quantity)
    counts = None
    if note == "by interval":
        counts = counted(slot.kind for slot in intervals.of_type(scope, tariff.interval))
    return {("consumption", ""): Line(value, tariff.unit, scope.since, scope.end, counts, note)}


def register_start(scope: Scope) -> Lines:
    return _ends(scope, "register_start")


def register_end(scope: Scope) -> Lines:
    return _ends(scope, "register_end")


def _ends(scope: Scope, name: str) -> Lines:
    found: Lines = {}
    unit = "m³" if scope.tariff.commodity == "water" else "kWh"
    for piece in registers.pieces(scope, scope.tariff.register):
        reading = piece.first if name == "register_start" else piece.last
        if reading is None:
            continue
        _at, known = reading
        value = rounded(Fraction(known.value, 1000), (3, "half_up"))
        found[name, piece.name] = Line(value, unit, counts=counted([KIND_OF[known.code]]))
    return found


def register_consumption(scope: Scope) -> Lines:
    tariff = scope.tariff
    used = registers.used(scope, tariff.register, tariff.interval)
    if used.micro is None:
        return {("register_consumption", ""): Line(None, tariff.unit)}
    value = rounded(used.micro / IN_UNIT[tariff.unit], tariff.quantity)
    return {("register_consumption", ""): Line(value, tariff.unit, scope.since, scope.end)}


def interval_consumption(scope: Scope) -> Lines:
    found = intervals.of_type(scope, scope.tariff.interval)
    if not scope.house.of(scope.tariff.interval):
        return {("interval_consumption", ""): Line(None, scope.tariff.unit)}
    line = energy_line(scope, summed(found), scope.tariff.unit, found)
    return {("interval_consumption", ""): line}


def time_of_use_consumption(scope: Scope) -> Lines:
    tariff = scope.tariff
    if not scope.house.of(tariff.interval):
        return {}
    found = intervals.of_type(scope, tariff.interval)
    parts = {
        name: [slot for slot in found if scope.period(slot.at) == name]
        for name in calendar.periods(tariff.calendar)
    }
    exact = [summed(part) / IN_UNIT[tariff.unit] for part in parts.values()]
    values = shared(exact, tariff.quantity)
    return {
        ("time_of_use_consumption", name): Line(
            None if unknown(part) else value,
            *(tariff.unit, scope.since, scope.end, counted(slot.kind for slot in part)),
        )
        for (name, part), value in zip(parts.items(), values, strict=True)
    }


def highest(found: Sequence[Window], flow: str) -> Window | None:
    """Give the highest window, the earliest of equals."""
    return max(found, key=lambda w: (w.flows[flow], -w.since.timestamp()), default=None)


def by_the_hour(energy: Fraction, seconds: int, unit: str) -> Fraction:
    """Give a window's energy as demand in a unit of energy by the hour."""
    return energy * HOUR / seconds / IN_UNIT[unit]


def _demand(scope: Scope, minutes: int, step: int | None) -> Line:
    flow, window = scope.tariff.interval, 60 * minutes
    seconds = {series.seconds for series in scope.house.of(flow)}
    if len(seconds) != 1:
        return Line(None)
    found = intervals.windows(scope, [flow], window, step or seconds.pop())
    peak = highest(found or (), flow)
    if peak is None:
        return Line(None)
    unit = scope.tariff.unit
    value = rounded(by_the_hour(peak.flows[flow], window, unit), scope.tariff.demand)
    counts = counted(slot.kind for slot in peak.slots)
    return Line(value, DEMAND[unit], peak.since, peak.until, counts)


def block_demand(scope: Scope) -> Lines:
    minutes = scope.tariff.block_minutes
    return {("block_demand", f"{minutes} min"): _demand(scope, minutes, 60 * minutes)}


def rolling_demand(scope: Scope) -> Lines:
    return {
        ("rolling_demand", f"{minutes} min"): _demand(scope, minutes, None)
        for minutes in scope.tariff.rolling_minutes
    }


def load_factor(scope: Scope) -> Lines:
    flow, window = scope.tariff.interval, 60 * scope.tariff.block_minutes
    found = intervals.windows(scope, [flow], window, window)
    peak, all_of_it = highest(found or (), flow), intervals.of_type(scope, flow)
    if peak is None or not all(map(is_known, all_of_it)) or not peak.flows[flow]:
        return {("load_factor", ""): Line(None)}
    # The time in which something was installed: a meter that came late took nothing before.
    hours = Fraction(len(all_of_it) * scope.house.of(flow)[0].seconds, HOUR)
    ratio = summed(all_of_it) / (by_the_hour(peak.flows[flow], window, "Wh") * hours)
    return {("load_factor", ""): Line(rounded(ratio, scope.tariff.ratio), since=scope.since,
                                      until=scope.end)}  # fmt: skip


LISTED: dict[str, Callable[[Scope], Lines]] = {
    one.__name__: one
    for one in (
        consumption, register_start, register_end, register_consumption, interval_consumption,
        time_of_use_consumption, block_demand, rolling_demand, load_factor,
    )
}  # fmt: skip
