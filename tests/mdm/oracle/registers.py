"""Consumption from registers: across exchange, rollover, reset and change of multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from tests.mdm.oracle.intervals import Scope, slots
from tests.mdm.oracle.world import ACTUAL, EDITED, ESTIMATED, KIND_OF, Known, Meter

USABLE = (ACTUAL, ESTIMATED, EDITED)


@dataclass(frozen=True)
class Piece:
    """A stretch of one dial that only grew: its first and last usable reading."""

    name: str
    first: tuple[datetime, Known] | None
    last: tuple[datetime, Known] | None
    meter: Meter


@dataclass(frozen=True)
class Used:
    """What registers say: nothing where one does not say; bridges were filled by intervals."""

    micro: Fraction | None
    bridged: bool
    pieces: tuple[Piece, ...]


def step(before: int, after: int, modulus: int | None) -> int | None:
    """Give what a dial counted between two readings; None if it fell and did not roll over."""
    if after >= before:
        return after - before
    if modulus is not None and 2 * (modulus - before + after) < modulus:
        return modulus - before + after
    return None


def during(scope: Scope) -> list[Meter]:
    """Give the meters that were there at some time of the days, oldest first."""
    found = [
        meter for meter in scope.house.meters
        if meter.since < scope.end and (meter.until is None or meter.until > scope.since)
    ]  # fmt: skip
    return sorted(found, key=lambda meter: meter.since)


def pieces(scope: Scope, reading_type: str) -> list[Piece]:
    """Give each meter's dial within the days, in two pieces where it was reset."""
    found: list[Piece] = []
    for meter in during(scope):
        since, until = _bounds(scope, meter)
        readings = sorted(
            (at, known) for at, known in meter.dials.get(reading_type, {}).items()
            if since <= at <= until and KIND_OF[known.code] in USABLE
        )  # fmt: skip
        first, last = (readings[0], readings[-1]) if readings else (None, None)
        # At the period's own ends a reading counts only if it is of that very moment.
        if first and since == scope.since != first[0]:
            first = None
        if last and until == scope.end != last[0]:
            last = None
        for one in _cut(meter, readings, first, last):
            number = sum(piece.meter.name == meter.name for piece in found)
            name = meter.name if not number else f"{meter.name} #{number + 1}"
            found.append(Piece(name, *one, meter))
    return found


Read = tuple[datetime, Known]


def _cut(
    meter: Meter, readings: Sequence[Read], first: Read | None, last: Read | None
) -> list[tuple[Read | None, Read | None]]:
    """Cut a dial that shows less at the end where it fell, if it fell once between others.

    A piece of one reading at an end says nothing, and is left out.
    """
    if not first or not last:
        return [(first, last)]
    falls = [
        n
        for n, ((_, a), (_, b)) in enumerate(pairwise(readings))
        if step(a.value, b.value, meter.modulus) is None
    ]
    if step(first[1].value, last[1].value, meter.modulus) is not None:
        return _doubted(readings, falls) or [(first, last)]
    if len(falls) != 1 or len(readings) == 2:
        return [(first, last)]
    runs = [readings[: falls[0] + 1], readings[falls[0] + 1 :]]
    return [(run[0], run[-1]) for run in runs if len(run) > 1]


def _doubted(
    readings: Sequence[Read], falls: Sequence[int]
) -> list[tuple[Read | None, Read | None]]:
    """Cut out the fall of a dial that shows more at the end all the same: it says nothing.

    That is seen where a reading lies beyond those at the ends, and neither of these is estimated.
    """
    (_, low), (_, high) = readings[0], readings[-1]
    measured = ESTIMATED not in (KIND_OF[low.code], KIND_OF[high.code])
    beyond = any(_beyond(known.value, low.value, high.value) for _, known in readings)
    if not (falls and measured and beyond):
        return []
    row = [readings[0], readings[falls[0]], readings[falls[0] + 1], readings[-1]]
    return [(a, b) for a, b in pairwise(row) if a[0] != b[0]]


def _beyond(value: int, low: int, high: int) -> bool:
    return not low <= value <= high if low <= high else low > value > high


def _bounds(scope: Scope, meter: Meter) -> tuple[datetime, datetime]:
    return max(scope.since, meter.since), min(scope.end, meter.until or scope.end)


def used(scope: Scope, reading_type: str, interval: str, periods: Sequence[str] = ()) -> Used:
    """Add up a register's differences × multiplier, and intervals where nobody read."""
    found = pieces(scope, reading_type)
    if not found or any(piece.first is None or piece.last is None for piece in found):
        return Used(None, False, tuple(found))
    total, holes = Fraction(0), _holes(scope, found)
    for piece in found:
        assert piece.first is not None
        assert piece.last is not None
        counted = step(piece.first[1].value, piece.last[1].value, piece.meter.modulus)
        if counted is None:
            return Used(None, False, tuple(found))
        total += counted * Fraction(piece.meter.multiplier)
    for since, until in holes:
        between = _bridge(scope, interval, since, until, periods)
        if between is None:
            return Used(None, True, tuple(found))
        total += between
    return Used(total, bool(holes), tuple(found))


def _holes(scope: Scope, found: Sequence[Piece]) -> list[tuple[datetime, datetime]]:
    """Give what no reading spans."""
    holes = []
    came, went = _bounds(scope, found[0].meter)[0], _bounds(scope, found[-1].meter)[1]
    edges = [came]
    for piece in found:
        assert piece.first is not None
        assert piece.last is not None
        edges += [piece.first[0], piece.last[0]]
    edges.append(went)
    for since, until in zip(edges[::2], edges[1::2], strict=True):
        if since < until:
            holes.append((since, until))
    return holes


def _bridge(
    scope: Scope, interval: str, since: datetime, until: datetime, periods: Sequence[str]
) -> Fraction | None:
    total, reached = Fraction(0), since
    (series,) = scope.house.of(interval) or (None,)
    if series is None:
        return None
    length = timedelta(seconds=series.seconds)
    for slot in slots(scope, series):
        if slot.at < since or slot.at + length > until:
            continue
        if slot.at != reached or slot.value is None:
            return None
        reached = slot.at + length
        if not periods or scope.period(slot.at) in periods:
            total += slot.value
    return total if reached == until else None
