"""A usage point's whole bill: one scope, or a part for each stretch of days with its own tariff."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

from tests.mdm.oracle import declared, intervals, listed, registers
from tests.mdm.oracle.figures import IN_UNIT, Line, Lines, shared
from tests.mdm.oracle.intervals import Scope, Slot, Window
from tests.mdm.oracle.world import House, Tariff

Peaks = Callable[[Mapping[str, object]], Sequence[datetime] | None]


def standing(tariffs: Sequence[Tariff], name: str, commodity: str, day: date) -> Tariff:
    """Give the newest version of a tariff that is in force on a day."""
    found = [
        one for one in tariffs
        if (one.name, one.commodity) == (name, commodity) and one.effective_from <= day
    ]  # fmt: skip
    return max(found, key=lambda one: one.effective_from)


def parts(
    house: House, tariffs: Sequence[Tariff], first: date, until: date
) -> list[tuple[date, date, Tariff, str]]:
    """Cut the days wherever the tariff, its version or the consumer becomes another."""
    found: list[tuple[date, Tariff, str]] = []
    for number in range((until - first).days):
        day = date.fromordinal(first.toordinal() + number)
        terms = sorted(term for term in house.terms if term.starts_on <= day)
        name, account = (terms[-1].tariff, terms[-1].account) if terms else (house.tariff, "")
        tariff = standing(tariffs, name, house.commodity, day)
        if not found or found[-1][1:] != (tariff, account):
            found.append((day, tariff, account))
    ends = [since for since, _, _ in found[1:]] + [until]
    return [(*one[:1], end, *one[1:]) for one, end in zip(found, ends, strict=True)]


def lines(
    house: House, tariffs: Sequence[Tariff], first: date, until: date,
    *, peaks: Peaks = lambda _: None, history: Mapping[str, Sequence[Decimal]] | None = None,
) -> Lines:  # fmt: skip
    """Give every line of a usage point's bill for some local days."""
    cut = parts(house, tariffs, first, until)
    if len(cut) == 1:
        scope = Scope(house, cut[0][2], first, until, peaks, history or {})
        return _of(scope)
    found: Lines = {}
    for since, end, tariff, account in cut:
        scope = Scope(house, tariff, since, end, peaks, history or {})
        suffix = f"{since}/{end} {account}".strip()
        for (name, part), line in _of(scope).items():
            found[name, f"{part} {suffix}".strip()] = line
    return found | _prorated(house, cut, found)


def _prorated(house: House, cut: Sequence[tuple[date, date, Tariff, str]], found: Lines) -> Lines:
    """Share by days what a register says of the whole, where no part says its own."""
    billed = {key: line for key, line in found.items() if key[0] == "consumption"}
    of, first, until = cut[0][2], cut[0][0], cut[-1][1]
    alike = len({(tariff.unit, tariff.register) for _, _, tariff, _ in cut}) == 1
    whole = Scope(house, of, first, until)
    if (
        any(line.value is not None for line in billed.values())
        or not alike or not all(tariff.prorated for _, _, tariff, _ in cut)
        or len(registers.during(whole)) != 1
    ):  # fmt: skip
        return {}
    micro = registers.used(whole, of.register, "").micro
    if micro is None:
        return {}
    days = [(end - since).days for since, end, _, _ in cut]
    exact = [micro * some / sum(days) / IN_UNIT[of.unit] for some in days]
    values = shared(exact, of.quantity)
    note = "by register, prorated by days"
    return {key: Line(value, of.unit, note=note) for key, value in zip(billed, values, strict=True)}


def _of(scope: Scope) -> Lines:
    found: Lines = {}
    for name in scope.tariff.determinants:
        found |= listed.LISTED[name](scope)
    for keys in scope.tariff.declared:
        found |= declared.lines(scope, keys)
    return found


def moments(
    town: Sequence[House], tariff: Tariff, keys: Mapping[str, object], first: date, until: date
) -> list[datetime]:
    """Give when the sum of a town's flows had its highest windows; one clock for all of them."""
    scopes = [Scope(house, tariff, first, until) for house in town]
    flow = declared.flow_of(scopes[0], keys)
    totals: dict[datetime, Window] = {}
    for scope in scopes:
        for one in declared.found_windows(scope, {**keys, "losses": ()}, [flow]) or ():
            before = totals.get(one.since)
            sum_ = one.flows[flow] + (before.flows[flow] if before else 0)
            totals[one.since] = replace(one, flows={flow: sum_})
    taken = declared.chosen(scopes[0], list(totals.values()), keys, lambda w: w.flows[flow])
    return [one.since for one in taken]


def known(house: House, tariff: Tariff, first: date, until: date) -> list[Slot]:
    """Give the intervals that a bill rests on."""
    return intervals.of_type(Scope(house, tariff, first, until), tariff.interval)
