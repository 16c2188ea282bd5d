"""Declared sums of intervals: energy, net energy, and reactive energy beyond what is free."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.determinant import Determinant
from mdm.determinants.ground import Ground, factor
from mdm.determinants.series import Series, aligned, combined
from mdm.tariff_declared import Declared
from schemas import reading_type


def energy(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Sum the intervals, of some time-of-use periods or by each, times the days' loss factors."""
    series = ground.series.get(of.interval)
    factors = ground.factors(of.losses)
    if series is None or isinstance(factors, str):
        note = _no_interval(of.interval) if series is None else str(factors)
        yield ground.absent(of, of.unit, str(ground.tariff.quantity_rounding), note)
        return
    admitted = ground.clock.within(series, of.periods)
    if of.split:
        yield from _by_period(ground, of, series, factors, admitted)
        return
    chosen = np.ones(len(series.kind), np.bool_) if admitted is None else admitted
    known = series.known[chosen].any() or not series.counts(chosen).expected
    amount = _weighted(series, chosen, factors) if known else None
    note = "" if known else "no interval is known"
    yield ground.quantity(of, amount, series.counts(chosen), note=note)


def net_energy(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Set two flows against each other, in each interval or over the whole period."""
    pair = _pair(ground, of.interval, of.minus)
    factors = ground.factors(of.losses)
    if isinstance(pair, str) or isinstance(factors, str):
        note = pair if isinstance(pair, str) else str(factors)
        yield ground.absent(of, of.unit, str(ground.tariff.quantity_rounding), note)
        return
    one, other = pair
    net = combined(one, other, one.values - other.values)
    everything = np.ones(len(net.kind), np.bool_)
    if of.per == "interval":
        taken = _weighted(net, everything & (net.values > 0), factors)
        given = -_weighted(net, everything & (net.values < 0), factors)
    else:
        whole = _weighted(net, everything, factors)
        taken, given = max(whole, Fraction(0)), max(-whole, Fraction(0))
    counts = net.counts()
    known = bool(net.known.any())
    note = f"netted per {of.per}" if known else "no interval of both is known"
    for more, kind, amount in (("taken", of.interval, taken), ("given", of.minus, given)):
        yield ground.quantity(
            of, amount if known else None, counts, more=more, kind=kind, note=note
        )


def excess_reactive(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Sum the reactive energy beyond a share of the active energy."""
    pair = active_and_reactive(ground, of)
    if isinstance(pair, str):
        yield ground.absent(of, of.unit, str(ground.tariff.quantity_rounding), pair)
        return
    active, reactive = pair
    both = combined(active, reactive, reactive.values)
    known = both.known
    # Whole numbers without a limit: shares have any denominator.
    p, q = (one.values[known].astype(object) for one in (active, reactive))
    over = q * of.ratio.denominator - np.maximum(p, 0) * of.ratio.numerator
    excess = np.maximum(over, 0).sum() if of.per == "interval" else max(over.sum(), 0)
    amount = Fraction(int(excess), of.ratio.denominator) if known.any() else None
    note = f"beyond {float(of.ratio):g} of active energy, per {of.per}"
    yield ground.quantity(of, amount, both.counts(), kind=of.reactive, note=note)


def active_and_reactive(ground: Ground, of: Declared) -> tuple[Series, Series] | str:
    """Give active and net reactive energy on one grid, or say which is not there."""
    names = [name for name in (of.interval, of.reactive, of.reactive_minus) if name]
    for name in names:
        if name not in ground.series:
            return _no_interval(name)
    active, reactive, *minus = aligned([ground.series[name] for name in names])
    if minus:
        reactive = combined(reactive, minus[0], reactive.values - minus[0].values)
    return active, reactive


def _pair(ground: Ground, one: str, other: str) -> tuple[Series, Series] | str:
    for name in (one, other):
        if name not in ground.series:
            return _no_interval(name)
    first, second = aligned([ground.series[one], ground.series[other]])
    return first, second


def _by_period(
    ground: Ground,
    of: Declared,
    series: Series,
    factors: Sequence[Fraction],
    admitted: NDArray[np.bool_] | None,
) -> Iterator[Determinant]:
    """Write a line a period; rounded parts sum to the rounded total."""
    numbers = ground.clock.numbers(series.interval_seconds)
    occurring = np.unique(numbers if admitted is None else numbers[admitted]).tolist()
    masks = [numbers == number for number in occurring]
    exact = [_weighted(series, mask, factors) * factor(of.interval, of.unit) for mask in masks]
    rounding = ground.tariff.quantity_rounding
    over = lcm(*(value.denominator for value in exact))
    values = rounding.shares([int(value * over) for value in exact], over)
    for number, mask, value in zip(occurring, masks, values, strict=True):
        counts = series.counts(mask)
        known = counts.expected == 0 or counts.expected > counts.missing
        yield Determinant(
            name=of.kind,
            reading_type=of.interval,
            part=of.part(ground.clock.calendar.periods[number]),
            value=value if known else None,
            unit=of.unit,
            starts_at=ground.starts_at,
            ends_at=ground.ends_at,
            counts=counts,
            rounding=str(rounding),
            note="" if known else "no interval is known",
        )


def _weighted(series: Series, chosen: NDArray[np.bool_], factors: Sequence[Fraction]) -> Fraction:
    """Sum chosen slots [scaled unit], each day's times its factor."""
    values = np.where(chosen & series.known, series.values, 0)
    days = np.add.reduceat(values, series.midnights[:-1])
    return sum(
        (int(day) * factor_ for day, factor_ in zip(days, factors, strict=True)), Fraction(0)
    )


def _no_interval(name: str) -> str:
    return f"there are no intervals of {reading_type.named(name).description_en.lower()}"
