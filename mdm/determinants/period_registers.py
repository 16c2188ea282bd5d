"""Registers that a meter keeps by time of use, and their check against that of the total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import lcm

import numpy as np

from mdm.determinants import registers
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.ground import Ground, factor
from mdm.determinants.registers import MICRO, Bridge, Consumption
from mdm.tariff_declared import REGISTER_DIFFERENCE, Declared
from schemas import reading_type
from schemas.quality import QualityClass


def time_of_use_register(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give each register's consumption, and what their sum lacks against the total's register."""
    found = {
        period: registers.consumption(ground.dials.get(kind, ()), _bridge(ground, kind, period))
        for period, kind in of.registers
    }
    rounding = ground.tariff.quantity_rounding
    said = [one.micro for one in found.values() if one.micro is not None]
    exact = [Fraction(micro, MICRO) * _factor(of) for micro in said]
    over = lcm(*(value.denominator for value in exact)) if exact else 1
    values = iter(rounding.shares([int(value * over) for value in exact], over))
    for period, kind in of.registers:
        one = found[period]
        yield Determinant(
            name=of.kind,
            reading_type=kind,
            part=of.part(period),
            value=None if one.micro is None else next(values),
            unit=of.unit,
            starts_at=ground.starts_at,
            ends_at=ground.ends_at,
            counts=_tally(ground, [kind]),
            rounding=str(rounding),
            note=one.note,
        )
    if of.total:
        yield _difference(ground, of, found.values())


def _difference(ground: Ground, of: Declared, parts: Iterable[Consumption]) -> Determinant:
    total = registers.consumption(ground.dials.get(of.total, ()), _bridge(ground, of.total))
    micros = [part.micro for part in parts]
    known = [micro for micro in (*micros, total.micro) if micro is not None]
    counts = _tally(ground, of.dials)
    if len(known) <= len(micros):
        return ground.quantity(
            *(of, None, counts),
            kind=of.total,
            name=REGISTER_DIFFERENCE,
            note=total.note or "a register of a period does not say",
        )
    amount = Fraction(known[-1] - sum(known[:-1]), MICRO)
    return ground.quantity(
        of, amount, counts, kind=of.total, name=REGISTER_DIFFERENCE, note="total − sum of periods"
    )


def _bridge(ground: Ground, kind: str, period: str = "") -> Bridge:
    """Sum the intervals of a register's quantity between two moments, those of a period only."""
    interval = reading_type.interval_of(ground.tariff.register or kind)
    series = ground.series.get(interval.name) if interval else None

    def bridge(since: int, until: int) -> int | None:
        if series is None:
            return None
        first, off = divmod(since - series.starts_at, series.interval_seconds)
        end, off_too = divmod(until - series.starts_at, series.interval_seconds)
        if off or off_too or (series.kind[first:end] == QualityClass.MISSING).any():
            return None
        known = ground.clock.calendar.periods
        if period and period not in known:
            return None
        inside = np.ones(end - first, np.bool_)
        if period:
            numbers = ground.clock.numbers(series.interval_seconds)[first:end]
            inside = numbers == known.index(period)
        return int(series.values[first:end][inside].sum())

    return bridge


def _tally(ground: Ground, kinds: Iterable[str]) -> Counts:
    """Count the readings at the stretches' ends by quality."""
    counts = [0] * len(Counts._fields)
    for kind in kinds:
        for span in ground.dials.get(kind, ()):
            for reading in (span.start, span.end):
                counts[reading.kind if reading else QualityClass.MISSING] += 1
    return Counts(*counts)


def _factor(of: Declared) -> Fraction:
    return factor(of.registers[0][1], of.unit)
