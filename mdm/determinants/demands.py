"""Declared demands: the highest, the lowest, at a system's peak, apparent, adjusted, billed.

Every demand is held as the square of its exact value, so that apparent power and a correction by
power factor are rounded once, from whole numbers. Loss factors multiply each interval by its own
local day's before windows are compared; power factors are those that were measured.

References
----------
Oracle Utilities MDM, "Coincident peak": the moment of the highest sum, then each one's value then.
Hydro-Québec, tariffs: billing demand is the highest of demand, a share of past demands, a minimum.
Norris Public Power District, large power rate: demand × required ÷ measured power factor, capped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.energies import active_and_reactive
from mdm.determinants.ground import Ground, factor, rate
from mdm.determinants.rounding import APPARENT
from mdm.determinants.series import Series, Windows, combined, weighted, windows
from mdm.tariff_declared import Declared


class Measured(NamedTuple):
    """A demand in a window: the square of its value [(scaled unit in the window)²], its sign."""

    square: Fraction
    negative: bool
    starts_at: int
    ends_at: int
    counts: Counts
    note: str = ""


class Window(NamedTuple):
    """Energy in a window [scaled unit], its bounds [s since 1970-01-01 UTC], its qualities."""

    energy: Fraction
    starts_at: int
    ends_at: int
    counts: Counts


def peak_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the n highest windows, none of which overlap, and their mean."""
    found = _active(ground, of)
    if isinstance(found, str):
        yield _nothing(ground, of, found)
        return
    series, frames = found
    begins = highest(series, frames, of)
    yield from _ranked(ground, of, [_window(series, begin, frames.width) for begin in begins])


def minimum_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the lowest window."""
    found = _active(ground, of)
    if isinstance(found, str):
        yield _nothing(ground, of, found)
        return
    series, frames = found
    usable = np.flatnonzero(frames.usable)
    best = usable[frames.sums(series)[usable].argmin()]
    yield _line(ground, of, _plain(series, int(frames.begins[best]), frames.width))


def coincident_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the demand in the windows in which a system or group had its highest."""
    moments = ground.facts.peaks.get(key(of), ())
    series = _lossy(ground, of, ground.series.get(of.interval))
    if isinstance(series, str) or not moments:
        what = series if isinstance(series, str) else f"the peak of {of.peak_of} is unknown"
        yield _nothing(ground, of, what)
        return
    width, rest = divmod(of.window_seconds, series.interval_seconds)
    if (
        rest
        or not width
        or any((at - series.starts_at) % series.interval_seconds for at in moments)
    ):
        yield _nothing(
            ground, of, f"intervals of {series.interval_seconds} s do not fit the peak's window"
        )
        return
    found = {at: _at(ground, of, series, at) for at in moments}
    if holed := [at for at, window in found.items() if window is None]:
        yield _nothing(ground, of, f"an interval is missing in the peak's window {_said(holed[0])}")
        return
    yield from _ranked(ground, of, [window for window in found.values() if window])


def apparent_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the highest root of active² + reactive²."""
    measured = _apparent(ground, of)
    unit = APPARENT[of.unit]
    if isinstance(measured, str):
        yield _nothing(ground, of, measured, unit=unit)
        return
    yield _line(ground, of, measured, unit=unit)


def power_factor(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give active ÷ apparent energy, of the period or in the window of highest demand."""
    rounding = ground.tariff.ratio_rounding
    pair = active_and_reactive(ground, of)
    found = _power(ground, of, *pair) if not isinstance(pair, str) else pair
    if isinstance(found, str):
        yield ground.absent(of, "1", str(rounding), found)
        return
    p, q, starts_at, ends_at, counts = found
    value = None if p == q == 0 else rounding.of_root(Fraction(p * p, p * p + q * q))
    yield Determinant(
        *(of.kind, of.interval, of.part(), value, "1", starts_at, ends_at, counts),
        *(str(rounding), "there was neither active nor reactive energy" if value is None else ""),
    )


def adjusted_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the highest demand × required ÷ measured power factor, where that fell short."""
    measured = _adjusted(ground, of)
    if isinstance(measured, str):
        yield _nothing(ground, of, measured)
        return
    yield _line(ground, of, measured)


def billed_demand(ground: Ground, of: Declared) -> Iterator[Determinant]:
    """Give the highest of: measured demand, a share of former cycles' demand, a minimum."""
    unit = APPARENT[of.unit] if of.basis == "apparent" else rate(of.unit)
    by_basis = {"active": _highest, "apparent": _apparent, "adjusted": _adjusted}
    measured = by_basis[of.basis](ground, of)
    if isinstance(measured, str):
        yield _nothing(ground, of, measured, unit=unit)
        return
    line = _line(ground, of, measured, unit=unit, more="measured")
    rounding, value = ground.tariff.demand_rounding, line.value
    past = ground.facts.history.get(key(of), ())
    ratchet = of.share * max((Fraction(figure) for _, figure in past), default=Fraction(0))
    candidates = [(value or Decimal(0), "measured")]
    if of.cycles:
        share = f"{float(of.share):g} of the highest of {len(past)} former cycles"
        candidates.append((rounding.of(ratchet.numerator, ratchet.denominator), share))
    if of.minimum:
        least = rounding.of(of.minimum.numerator, of.minimum.denominator)
        candidates.append((least, "the minimum"))
    highest_, why = max(candidates, key=lambda one: one[0])
    window = (
        (line.starts_at, line.ends_at) if why == "measured" else (ground.starts_at, ground.ends_at)
    )
    yield Determinant(
        *(of.kind, of.interval, of.part(), highest_, unit, *window, measured.counts),
        *(str(rounding), why),
    )
    yield line


def key(of: Declared) -> str:
    """Name a declared determinant among a set's facts."""
    return f"{of.kind}/{of.name}"


def highest(series: Series, frames: Windows, of: Declared) -> list[int]:
    """Choose the first slots of the highest windows: no two overlap, the earlier before equals."""
    sums = frames.sums(series)
    order = np.flatnonzero(frames.usable)
    order = order[np.argsort(-sums[order], kind="stable")]
    days = np.searchsorted(series.midnights, frames.begins, side="right")
    chosen: list[int] = []
    taken: set[int] = set()
    for place in order.tolist():
        begin, day = int(frames.begins[place]), int(days[place])
        apart = all(abs(begin - other) >= frames.width for other in chosen)
        if apart and not (of.one_a_day and day in taken):
            chosen.append(begin)
            taken.add(day)
        if len(chosen) == of.count:
            break
    return chosen


def _active(ground: Ground, of: Declared) -> tuple[Series, Windows] | str:
    series = _lossy(ground, of, ground.series.get(of.interval))
    if isinstance(series, str):
        return series
    frames = _frames(ground, of, series)
    return frames if isinstance(frames, str) else (series, frames)


def _lossy(ground: Ground, of: Declared, series: Series | None) -> Series | str:
    """Multiply intervals by the loss factors of their days, or say which is missing."""
    if series is None:
        return "there is no interval"
    if not of.losses:
        return series
    factors = ground.factors(of.losses)
    return factors if isinstance(factors, str) else weighted(series, factors)


def _frames(ground: Ground, of: Declared, series: Series) -> Windows | str:
    admitted = ground.clock.within(series, of.periods)
    return windows(series, of.window_seconds, of.step_seconds, admitted)


def _highest(ground: Ground, of: Declared) -> Measured | str:
    found = _active(ground, of)
    if isinstance(found, str):
        return found
    series, frames = found
    return _plain(series, highest(series, frames, of)[0], frames.width)


def _apparent(ground: Ground, of: Declared) -> Measured | str:
    pair = active_and_reactive(ground, of)
    if isinstance(pair, str):
        return pair
    active, reactive = (_lossy(ground, of, one) for one in pair)
    if isinstance(active, str) or isinstance(reactive, str):
        return str(active)
    both = combined(active, reactive, active.values)
    frames = _frames(ground, of, both)
    if isinstance(frames, str):
        return frames
    # Python's whole numbers: squares of sums pass 64 bits.
    p, q = (frames.sums(one).astype(object) for one in (active, reactive))
    squares = p * p + q * q
    best = max(np.flatnonzero(frames.usable).tolist(), key=lambda at: (squares[at], -at))
    begin = int(frames.begins[best])
    square = Fraction(int(squares[best]), active.divisor**2)
    return _measured(both, begin, frames.width, square)


def _adjusted(ground: Ground, of: Declared) -> Measured | str:
    measured = _highest(ground, of)
    pair = active_and_reactive(ground, of)
    if isinstance(measured, str) or isinstance(pair, str):
        return measured if isinstance(measured, str) else str(pair)
    power = _power(ground, of, *pair)
    if isinstance(power, str):
        return power
    p, q, *_ = power
    scale = _scale(of) ** 2
    square = Fraction(p * p, p * p + q * q) if p or q else Fraction(1)
    if square >= of.power_factor**2 or measured.square * scale < of.from_demand**2:
        return measured._replace(note="not adjusted")
    raised = measured.square * of.power_factor**2 / square if square else None
    if of.cap is not None:
        limit = measured.square * (1 + of.cap / 100) ** 2
        raised = limit if raised is None else min(raised, limit)
    if raised is None:
        return "there was no active energy, and no cap limits the adjustment"
    return measured._replace(
        square=raised, note=f"adjusted to power factor {float(of.power_factor):g}"
    )


def _power(
    ground: Ground, of: Declared, active: Series, reactive: Series
) -> tuple[int, int, int, int, Counts] | str:
    """Give active and reactive energy, their time and their qualities."""
    both = combined(active, reactive, active.values)
    if of.at == "peak":
        frames = _frames(ground, of, both)
        if isinstance(frames, str):
            return frames
        begin = highest(both, frames, of)[0]
        part = slice(begin, begin + frames.width)
        moments = both.moment(begin), both.moment(begin + frames.width)
        p, q = (int(one.values[part].sum()) for one in (active, reactive))
        return p, q, *moments, both.counts(part)
    admitted = ground.clock.within(both, of.periods)
    chosen = np.ones(len(both.kind), np.bool_) if admitted is None else admitted
    known = both.known & chosen
    if not known.any():
        return "no interval of both is known"
    p, q = (int(one.values[known].sum()) for one in (active, reactive))
    return p, q, ground.starts_at, ground.ends_at, both.counts(chosen)


def _at(ground: Ground, of: Declared, series: Series, at: int) -> Window | None:
    """Give the window that begins at a moment, in or outside of the period; None if not known."""
    first, width = (
        seconds // series.interval_seconds for seconds in (at - series.starts_at, of.window_seconds)
    )
    if first >= 0 and first + width <= len(series.kind):
        part = slice(first, first + width)
        return _window(series, first, width) if series.known[part].all() else None
    for one in ground.facts.beyond.get(key(of), ()):
        if one.starts_at == at:
            # Losses are those of the period's nearest day.
            factors = ground.factors(of.losses)
            nearest = Fraction(1) if isinstance(factors, str) else factors[0 if first < 0 else -1]
            return Window(one.energy * nearest, at, at + of.window_seconds, one.counts)
    return None


def _window(series: Series, begin: int, width: int) -> Window:
    part = slice(begin, begin + width)
    energy = Fraction(int(series.values[part].sum()), series.divisor)
    return Window(energy, series.moment(begin), series.moment(begin + width), series.counts(part))


def _squared(window: Window, note: str = "") -> Measured:
    energy, starts_at, ends_at, counts = window
    return Measured(energy * energy, energy < 0, starts_at, ends_at, counts, note)


def _plain(series: Series, begin: int, width: int) -> Measured:
    return _squared(_window(series, begin, width))


def _measured(series: Series, begin: int, width: int, square: Fraction) -> Measured:
    moments = series.moment(begin), series.moment(begin + width)
    return Measured(square, False, *moments, series.counts(slice(begin, begin + width)))


def _ranked(ground: Ground, of: Declared, found: Sequence[Window]) -> Iterator[Determinant]:
    """Write windows in their order, and the mean of several."""
    if of.count == 1:
        yield _line(ground, of, _squared(found[0]))
        return
    for place, one in enumerate(found, 1):
        yield _line(ground, of, _squared(one), more=str(place))
    mean = sum((one.energy for one in found), Fraction(0)) / len(found)
    counts = Counts(*(sum(column) for column in zip(*(one.counts for one in found), strict=True)))
    note = "" if len(found) == of.count else f"of {len(found)} windows: there are no more"
    whole = Window(mean, ground.starts_at, ground.ends_at, counts)
    yield _line(ground, of, _squared(whole, note), more="mean")


def _line(
    ground: Ground, of: Declared, measured: Measured, *, unit: str = "", more: str = ""
) -> Determinant:
    rounding = ground.tariff.demand_rounding
    value = rounding.of_root(measured.square * _scale(of) ** 2)
    return Determinant(
        *(of.kind, of.interval, of.part(more), -value if measured.negative else value),
        *(unit or rate(of.unit), measured.starts_at, measured.ends_at, measured.counts),
        *(str(rounding), measured.note),
    )


def _scale(of: Declared) -> Fraction:
    """Give what turns energy in a window into demand in the billed unit."""
    return factor(of.interval, of.unit) * Fraction(3600, of.window_seconds)


def _nothing(ground: Ground, of: Declared, note: str, *, unit: str = "") -> Determinant:
    rounding = str(ground.tariff.demand_rounding)
    return ground.absent(of, unit or rate(of.unit), rounding, note)


def _said(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
