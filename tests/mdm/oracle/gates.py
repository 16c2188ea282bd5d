"""Who is held, and why: the gates of ``docs/billing.md``, each counted out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

from tests.mdm.oracle import intervals, listed, registers
from tests.mdm.oracle.intervals import Scope, Slot
from tests.mdm.oracle.world import ACTUAL, ESTIMATED, KINDS, MISSING, midnight

Limits = Mapping[str, Any]
SCALED = (303, 304, 305, 320, 321, 390)


def some(random: Random, determinants: Sequence[str]) -> dict[str, Any]:
    """Give random limits, many of them close to what towns have."""
    shares = ("missing", "estimated", "edited", "questionable", "accepted", "unscaled")
    percent = [Decimal(p) for p in ("0", "0.5", "1", "2", "5", "10", "33.3", "50")]
    found: dict[str, Any] = {n: random.choice(percent) for n in random.sample(shares, 3)}
    if random.random() < 0.5:
        found["unique_values"] = random.choice((1, 5, 10, 50))
    if random.random() < 0.5:
        found["days_without_actuals"] = random.randint(0, 2)
    if random.random() < 0.5:
        found["consecutive_days_without_actuals"] = random.randint(0, 2)
    if random.random() < 0.5:
        found["days_covered"] = random.choice((50, 66, 67, 90, 100))
    if random.random() < 0.3:
        found["period_days"] = [random.randint(1, 3), random.randint(3, 5)]
    if random.random() < 0.5:
        found["register_difference"] = random.choice((0, 5, 50, 100))
    counted = sorted({"interval_consumption", "time_of_use_consumption", "block_demand"}
                     & set(determinants))  # fmt: skip
    if counted:
        name = random.choice(counted)
        found["determinants"] = {name: {random.choice(KINDS[1:]): random.choice((0, 1, 10, 34))}}
    return found


def toml(limits: Limits) -> str:
    """Write limits as the table ``gates`` of a tariff."""
    lines = []
    for name, limit in limits.items():
        if isinstance(limit, dict):
            for line, kinds in limit.items():
                told = ", ".join(f"{kind} = {value}" for kind, value in kinds.items())
                lines.append(f"gates.determinants.{line} = {{ {told} }}")
        else:
            lines.append(f"gates.{name} = {limit}")
    return "\n".join(lines)


def held(scope: Scope, limits: Limits) -> set[str]:
    """Give the gates that a bill does not pass."""
    found = intervals.of_type(scope, scope.tariff.interval)
    reasons = {"consumption"} if listed.consumed(scope)[0] is None else set()
    shares = {kind: sum(slot.kind == kind for slot in found) for kind in KINDS}
    shares["accepted"] = _codes(scope, found, lambda code: code == 110)
    shares["unscaled"] = sum(
        slot.kind == ESTIMATED and _code(scope, slot) not in SCALED for slot in found
    )
    for name in shares.keys() & limits.keys():
        if found and Fraction(100 * shares[name], len(found)) > Fraction(limits[name]):
            reasons.add(name)
    reasons |= _days(scope, limits)
    known = [slot.value for slot in found if slot.value is not None]
    least = Fraction(limits.get("unique_values", 0))
    if known and Fraction(100 * len(set(known)), len(known)) < least:
        reasons.add("unique_values")
    if "period_days" in limits:
        shortest, longest = limits["period_days"]
        if not shortest <= (scope.until - scope.first).days <= longest:
            reasons.add("period_days")
    return reasons | _register(scope, limits, found) | _single(scope, limits)


def _code(scope: Scope, slot: Slot) -> int:
    (series,) = scope.house.of(scope.tariff.interval)
    return series.values[slot.at].code if slot.at in series.values else 200


def _codes(scope: Scope, found: Sequence[Slot], wanted: Any) -> int:
    return sum(bool(wanted(_code(scope, slot))) for slot in found)


def _days(scope: Scope, limits: Limits) -> set[str]:
    expected, covered, run, longest, without = 0, 0, 0, 0, 0
    day = scope.first
    while day < scope.until:
        of = _of_day(scope, day)
        if of:
            expected += 1
            covered += 2 * sum(slot.kind != MISSING for slot in of) > len(of)
            measured = any(slot.kind == ACTUAL for slot in of)
            without += not measured
            run = 0 if measured else run + 1
            longest = max(longest, run)
        day += timedelta(days=1)
    reasons = set()
    if without > limits.get("days_without_actuals", without):
        reasons.add("days_without_actuals")
    if longest > limits.get("consecutive_days_without_actuals", longest):
        reasons.add("consecutive_days_without_actuals")
    if expected and Fraction(100 * covered, expected) < limits.get("days_covered", 0):
        reasons.add("days_covered")
    return reasons


def _of_day(scope: Scope, day: date) -> list[Slot]:
    since = midnight(day, scope.house.zone)
    until = midnight(day + timedelta(days=1), scope.house.zone)
    found = intervals.of_type(scope, scope.tariff.interval)
    return [slot for slot in found if since <= slot.at < until]


def _register(scope: Scope, limits: Limits, found: Sequence[Slot]) -> set[str]:
    if "register_difference" not in limits or not found:
        return set()
    used = registers.used(scope, scope.tariff.register, scope.tariff.interval).micro
    if used is None or any(slot.value is None for slot in found):
        return set()
    off = abs(listed.summed(found) - used)
    return {"register_difference"} if 100 * off > limits["register_difference"] * used else set()


def _single(scope: Scope, limits: Limits) -> set[str]:
    for name, kinds in limits.get("determinants", {}).items():
        for line in listed.LISTED[name](scope).values():
            counts = line.counts or {}
            whole = sum(counts.values())
            for kind, limit in kinds.items():
                if whole and Fraction(100 * counts[kind], whole) > limit:
                    return {"determinant_quality"}
    return set()
