"""Determinants that a tariff declares, each in a table of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from tests.mdm.oracle import calendar, intervals, registers
from tests.mdm.oracle.figures import IN_UNIT, Line, Lines, counted, root, rooted, rounded, shared
from tests.mdm.oracle.intervals import Scope, Slot, Window
from tests.mdm.oracle.listed import DEMAND, HOUR, by_the_hour, summed, unknown
from tests.mdm.oracle.world import Tariff

Keys = Mapping[str, Any]
APPARENT = {"Wh": "VA", "kWh": "kVA", "MWh": "MVA"}


def flow_of(scope: Scope, keys: Keys) -> str:
    return str(keys.get("interval", scope.tariff.interval))


def unit_of(scope: Scope, keys: Keys) -> str:
    flow = str(keys.get("reactive") or flow_of(scope, keys))
    usual = "kvarh" if flow.startswith("reactive") else scope.tariff.unit
    return str(keys.get("unit", usual))


def with_losses(scope: Scope, found: Sequence[Slot], keys: Keys) -> Fraction | None:
    if not keys.get("losses"):
        return summed(found)
    total = Fraction(0)
    for slot in found:
        factor = scope.factor(slot.at, keys.get("losses", ()))
        if factor is None:
            return None
        total += (slot.value or 0) * factor
    return total


def energy(scope: Scope, keys: Keys) -> Lines:
    flow, unit = flow_of(scope, keys), unit_of(scope, keys)
    found = intervals.of_type(scope, flow)
    chosen = keys.get("periods") or calendar.periods(scope.tariff.calendar)
    parts = {
        name: [slot for slot in found if scope.period(slot.at) == name]
        for name in calendar.periods(scope.tariff.calendar) if name in chosen
    }  # fmt: skip
    sums = [with_losses(scope, part, keys) for part in parts.values()]
    exact = [one / IN_UNIT[unit] for one in sums if one is not None]
    if not scope.house.of(flow) or len(exact) < len(sums):
        return {("energy", ""): Line(None)}
    if not keys.get("split"):
        every = [slot for part in parts.values() for slot in part]
        value = rounded(sum(exact, Fraction(0)), scope.tariff.quantity)
        kinds = counted(slot.kind for slot in every)
        return {("energy", ""): Line(
            None if unknown(every) else value, unit, scope.since, scope.end, kinds
        )}  # fmt: skip
    values = shared(exact, scope.tariff.quantity)
    return {
        ("energy", name): Line(
            None if unknown(part) else value,
            *(unit, scope.since, scope.end, counted(slot.kind for slot in part)),
        )
        for (name, part), value in zip(parts.items(), values, strict=True)
    }


def _pairs(
    scope: Scope, one: str, other: str, keys: Keys
) -> list[tuple[Fraction, Fraction]] | None:
    """Give both flows, with losses, of every interval in which both are known; None if none is."""
    if not scope.house.of(one) or not scope.house.of(other):
        return None
    _, table = intervals.aligned(scope, [one, other])
    found = []
    for flows in table.values():
        sums = [with_losses(scope, flows.get(kind, []), keys) for kind in (one, other)]
        whole = all(slot.value is not None for kind in flows for slot in flows[kind])
        if sums[0] is None or sums[1] is None:
            return None
        if whole and len(flows) == 2:
            found.append((sums[0], sums[1]))
    return found or None


def net_energy(scope: Scope, keys: Keys) -> Lines:
    pairs = _pairs(scope, flow_of(scope, keys), keys["minus"], keys)
    unit = unit_of(scope, keys)
    if pairs is None:
        return {("net_energy", "taken"): Line(None), ("net_energy", "given"): Line(None)}
    differences = [one - other for one, other in pairs]
    if keys["per"] == "period":
        differences = [sum(differences, Fraction(0))]
    zero = Fraction(0)
    sums = {
        "taken": sum((max(d, zero) for d in differences), zero),
        "given": sum((max(-d, zero) for d in differences), zero),
    }
    return {
        ("net_energy", part): Line(
            rounded(value / IN_UNIT[unit], scope.tariff.quantity), unit, scope.since, scope.end
        )
        for part, value in sums.items()
    }


def excess_reactive_energy(scope: Scope, keys: Keys) -> Lines:
    name = ("excess_reactive_energy", "")
    pairs = _pairs(scope, flow_of(scope, keys), keys["reactive"], keys)
    if pairs is None:
        return {name: Line(None)}
    if keys["per"] == "period":
        pairs = [(sum((p for p, _ in pairs), Fraction(0)), sum((q for _, q in pairs), Fraction(0)))]
    free = Fraction(keys["ratio"])
    exact = sum((max(q - free * p, Fraction(0)) for p, q in pairs), Fraction(0))
    unit = unit_of(scope, keys)
    value = rounded(exact / IN_UNIT[unit], scope.tariff.quantity)
    return {name: Line(value, unit, scope.since, scope.end)}


def _length(scope: Scope, keys: Keys) -> tuple[int, int]:
    window = 60 * int(keys.get("window_minutes", scope.tariff.block_minutes))
    return window, 60 * int(keys["step_minutes"]) if "step_minutes" in keys else window


def found_windows(scope: Scope, keys: Keys, flows: Sequence[str]) -> list[Window] | None:
    window, step = _length(scope, keys)
    return intervals.windows(
        scope, flows, window, step,
        periods=keys.get("periods", ()), losses=keys.get("losses", ()),
    )  # fmt: skip


def chosen(
    scope: Scope, found: Sequence[Window], keys: Keys, measure: Callable[[Window], Fraction]
) -> list[Window]:
    """Give the highest windows that do not overlap, one a local day if so asked."""
    taken: list[Window] = []
    for one in sorted(found, key=lambda w: (-measure(w), w.since)):
        day = one.since.astimezone(scope.house.zone).date()
        days = {other.since.astimezone(scope.house.zone).date() for other in taken}
        apart = all(one.until <= other.since or other.until <= one.since for other in taken)
        if apart and not (keys.get("one_a_day") and day in days):
            taken.append(one)
        if len(taken) == int(keys.get("count", 1)):
            break
    return taken


def peak_demand(scope: Scope, keys: Keys) -> Lines:
    flow = flow_of(scope, keys)
    found = found_windows(scope, keys, [flow])
    return _ranked(scope, keys, "peak_demand", chosen(
        scope, found or (), keys, lambda w: w.flows[flow]
    ))  # fmt: skip


def _ranked(scope: Scope, keys: Keys, name: str, taken: Sequence[Window]) -> Lines:
    flow, (window, _) = flow_of(scope, keys), _length(scope, keys)
    if int(keys.get("count", 1)) == 1:
        return {(name, ""): _window_line(scope, keys, taken[0])} if taken else {
            (name, ""): Line(None)
        }  # fmt: skip
    lines = {(name, str(n)): _window_line(scope, keys, one) for n, one in enumerate(taken, 1)}
    if not taken:
        return {(name, "mean"): Line(None)}
    mean = sum((one.flows[flow] for one in taken), Fraction(0)) / len(taken)
    unit = scope.tariff.unit
    value = rounded(by_the_hour(mean, window, unit), scope.tariff.demand)
    return {**lines, (name, "mean"): Line(value, DEMAND[unit])}


def _window_line(scope: Scope, keys: Keys, one: Window) -> Line:
    flow, (window, _) = flow_of(scope, keys), _length(scope, keys)
    unit = scope.tariff.unit
    value = rounded(by_the_hour(one.flows[flow], window, unit), scope.tariff.demand)
    kinds = counted(slot.kind for slot in one.slots)
    return Line(value, DEMAND[unit], one.since, one.until, kinds)


def minimum_demand(scope: Scope, keys: Keys) -> Lines:
    flow = flow_of(scope, keys)
    found = found_windows(scope, keys, [flow])
    lowest = min(found or (), key=lambda w: (w.flows[flow], w.since), default=None)
    line = Line(None) if lowest is None else _window_line(scope, keys, lowest)
    return {("minimum_demand", ""): line}


def coincident_demand(scope: Scope, keys: Keys) -> Lines:
    """Own demand at moments that the town found beforehand."""
    moments: Sequence[datetime] | None = scope.peaks(keys)
    found = {one.since: one for one in found_windows(scope, keys, [flow_of(scope, keys)]) or ()}
    if not moments or any(moment not in found for moment in moments):
        return {("coincident_demand", ""): Line(None)}
    return _ranked(scope, keys, "coincident_demand", [found[moment] for moment in moments])


def reactive(scope: Scope, keys: Keys) -> tuple[str, ...]:
    minus = (keys["reactive_minus"],) if "reactive_minus" in keys else ()
    return (flow_of(scope, keys), keys["reactive"], *minus)


def squared(window: Window, flows: Sequence[str]) -> tuple[Fraction, Fraction]:
    """Give P² and Q² of a window's energies."""
    p, q, *minus = (window.flows[flow] for flow in flows)
    return p**2, (q - sum(minus, Fraction(0))) ** 2


def apparent_demand(scope: Scope, keys: Keys) -> Lines:
    flows, (window, _) = reactive(scope, keys), _length(scope, keys)
    found = found_windows(scope, keys, flows)
    top = chosen(scope, found or (), {**keys, "count": 1}, lambda w: sum(squared(w, flows)))
    if not top:
        return {("apparent_demand", ""): Line(None)}
    unit = scope.tariff.unit
    square = sum(squared(top[0], flows)) * (HOUR / IN_UNIT[unit] / window) ** 2
    value = rooted(Fraction(square), scope.tariff.demand)
    return {("apparent_demand", ""): Line(value, APPARENT[unit], top[0].since, top[0].until)}


def _factor(scope: Scope, keys: Keys) -> tuple[Fraction, Fraction] | None:
    """Give P² and P² + Q², as measured, of the period or of the window of highest P."""
    flows, plain = reactive(scope, keys), {**keys, "losses": ()}
    if keys.get("at") == "peak":
        found = found_windows(scope, plain, flows)
        top = chosen(scope, found or (), {"count": 1}, lambda w: w.flows[flows[0]])
        if not top:
            return None
        p, q = squared(top[0], flows)
        return p, p + q
    sums = _known_of_all(scope, flows, keys.get("periods", ()))
    if sums is None:
        return None
    p, q = sums[0] ** 2, (sums[1] - sum(sums[2:], Fraction(0))) ** 2
    return p, p + q


def _known_of_all(
    scope: Scope, flows: Sequence[str], periods: Sequence[str]
) -> list[Fraction] | None:
    """Sum flows over the intervals in which all of them are known."""
    if not all(map(scope.house.of, flows)):
        return None
    _, table = intervals.aligned(scope, flows)
    sums, any_known = [Fraction(0)] * len(flows), False
    for at, here in table.items():
        whole = all(slot.value is not None for kind in here for slot in here[kind])
        if len(here) == len(flows) and whole and (not periods or scope.period(at) in periods):
            any_known = True
            for n, flow in enumerate(flows):
                sums[n] += summed(here[flow])
    return sums if any_known else None


def power_factor(scope: Scope, keys: Keys) -> Lines:
    found = _factor(scope, keys)
    if found is None or not found[1]:
        return {("power_factor", ""): Line(None)}
    return {("power_factor", ""): Line(rooted(found[0] / found[1], scope.tariff.ratio))}


def _adjusted(scope: Scope, keys: Keys, peak: Fraction) -> Fraction | None:
    found = _factor(scope, {key: value for key, value in keys.items() if key != "at"})
    if found is None:
        return None
    if not found[1]:
        return peak
    measured, needed = root(found[0] / found[1]), Fraction(keys["power_factor"])
    if measured >= needed or peak < Fraction(keys.get("from_demand", 0)):
        return peak
    most = 1 + Fraction(keys["cap"]) / 100 if "cap" in keys else None
    if not measured:
        return peak * most if most is not None else None
    share = needed / measured
    return peak * (min(share, most) if most is not None else share)


def adjusted_demand(scope: Scope, keys: Keys) -> Lines:
    flow, (window, _) = flow_of(scope, keys), _length(scope, keys)
    top = chosen(scope, found_windows(scope, keys, [flow]) or (), keys, lambda w: w.flows[flow])
    unit = scope.tariff.unit
    exact = _adjusted(scope, keys, by_the_hour(top[0].flows[flow], window, unit)) if top else None
    if exact is None:
        return {("adjusted_demand", ""): Line(None)}
    return {("adjusted_demand", ""): Line(rounded(exact, scope.tariff.demand), DEMAND[unit])}


_BASES = {
    "active": peak_demand, "apparent": apparent_demand, "adjusted": adjusted_demand,
}  # fmt: skip


def billed_demand(scope: Scope, keys: Keys) -> Lines:
    basis = str(keys.get("basis", "active"))
    (measured,) = _BASES[basis](scope, {**keys, "count": 1}).values()
    if measured.value is None:
        return {("billed_demand", ""): Line(None)}
    former = scope.history.get(str(keys.get("name", "")), ())
    candidates = [Fraction(measured.value), Fraction(keys.get("minimum", 0))]
    if former and "share" in keys:
        candidates.append(Fraction(keys["share"]) * Fraction(max(former)))
    value = rounded(max(candidates), scope.tariff.demand)
    return {
        ("billed_demand", ""): Line(value, measured.unit),
        ("billed_demand", "measured"): Line(measured.value, measured.unit),
    }


def time_of_use_register(scope: Scope, keys: Keys) -> Lines:
    lines: Lines = {}
    unit, tariff = unit_of(scope, keys), scope.tariff
    exact: list[Fraction | None] = []
    # A tariff's definition has its tables in the order of their names; of equals the first counts.
    dials = dict(sorted(keys["registers"].items()))
    for period, kind in dials.items():
        exact.append(registers.used(scope, kind, tariff.interval, [period]).micro)
    parts = [one / IN_UNIT[unit] for one in exact if one is not None]
    values = iter(shared(parts, tariff.quantity))
    for period, one in zip(dials, exact, strict=True):
        value = None if one is None else next(values)
        lines["time_of_use_register", period] = Line(value, unit)
    if "total" in keys:
        total = registers.used(scope, keys["total"], tariff.interval).micro
        known = [one for one in exact if one is not None]
        whole = total is not None and len(known) == len(exact)
        lines["register_sum_difference", ""] = Line(
            rounded((total - sum(known, Fraction(0))) / IN_UNIT[unit], tariff.quantity)
            if whole and total is not None else None,
            unit,
        )  # fmt: skip
    return lines


DECLARED: dict[str, Callable[[Scope, Keys], Lines]] = {
    one.__name__: one
    for one in (
        energy, net_energy, excess_reactive_energy, peak_demand, minimum_demand, coincident_demand,
        apparent_demand, power_factor, adjusted_demand, billed_demand, time_of_use_register,
    )
}  # fmt: skip


def lines(scope: Scope, keys: Keys) -> Lines:
    """Give a declared determinant's lines; its name is the first word of their parts."""
    found, name = DECLARED[keys["kind"]](scope, keys), str(keys.get("name", ""))
    return {(kind, f"{name} {part}".strip()): line for (kind, part), line in found.items()}


def flows(tariff: Tariff) -> set[str]:
    """Give the reading types of intervals that a tariff's declared determinants look at."""
    names = ("interval", "minus", "reactive", "reactive_minus")
    return {str(keys[name]) for keys in tariff.declared for name in names if name in keys}
