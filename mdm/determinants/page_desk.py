"""Where pages are written: what ``composition`` says of one usage point, of many at once.

Pages that have the same lines belong together. With registers there are three such kinds: usage
points of which every interval is known, those of which none is, and tariffs without intervals.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm import tariff as names
from mdm.determinants.composition import EXACT, Result
from mdm.determinants.demand import Peaks
from mdm.determinants.determinant import Counts
from mdm.determinants.dials import Dials
from mdm.determinants.energy import Sums
from mdm.determinants.pages import Heading, Page, Pages
from mdm.determinants.profile import KINDS
from mdm.determinants.registers import MICRO
from mdm.determinants.rounding import RATES, UNITS, Rounding
from mdm.determinants.supply import Figures
from mdm.tariff import Tariff
from mdm.tariff_declared import REGISTER_DIFFERENCE, Declared
from schemas import binary_numeric, reading_type
from schemas.quality import QualityClass

# Products stay below what int64 holds.
_MOST: Final = 2**62
_Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class Period(NamedTuple):
    """What all pages are of.

    Attributes
    ----------
    parts : number and name of the time-of-use periods that occur
    starts_at, ends_at : [s since 1970-01-01 UTC]
    """

    parts: Sequence[tuple[int, str]]
    starts_at: int
    ends_at: int


def results(
    tariff: Tariff,
    figures: Figures | None,
    dials: Dials | None,
    further: Mapping[str, Dials],
    period: Period,
) -> Iterator[tuple[int, Result]]:
    """Compute the results of all rows that are plain; the others are to be composed one by one.

    A page holds where it is whole and right: all or none of the intervals are known, there is a
    demand above 0, a register says its consumption, and no number is near what 64 bits hold.

    Parameters
    ----------
    figures : with the tariff's windows; None where the tariff has no intervals
    dials : of the same rows; None where the tariff has no register
    further : of the same rows, the registers that declared determinants name, by reading type
    """
    read = [*further.values(), *([] if dials is None else [dials])]
    for rows, known in _kinds(figures, read):
        if len(rows):
            desk = _Desk(
                tariff,
                _taken(figures, rows),
                dials.taken(rows) if dials else None,
                {kind: each.taken(rows) for kind, each in further.items()},
                period,
                known=known,
            )
            for row, result in desk.results():
                yield int(rows[row]), result


def _kinds(
    figures: Figures | None, read: Sequence[Dials]
) -> Iterator[tuple[NDArray[np.intp], bool]]:
    """Give the rows whose intervals are all known, and those of which none is."""
    plain = np.logical_and.reduce([each.plain for each in read])
    if figures is None:
        yield np.flatnonzero(plain), True
        return
    counts = figures.sums.counts.sum(axis=1)
    missing, expected = counts[:, QualityClass.MISSING], counts.sum(axis=1)
    there = (expected > 0) & plain
    if read:
        yield np.flatnonzero(there & (missing == expected)), False
    yield np.flatnonzero(there & (missing == 0)), True


def _taken(figures: Figures | None, rows: NDArray[np.intp]) -> Figures | None:
    """Give some rows of figures; of the profile only its clock is asked for."""
    if figures is None or len(rows) == len(figures.sums.values):
        return figures

    def some(peaks: Peaks | None) -> Peaks | None:
        if peaks is None:
            return None
        columns = (peaks.energy[rows], peaks.slot[rows], peaks.found[rows], peaks.counts[rows])
        return Peaks(peaks.window_seconds, *columns)

    return replace(
        figures,
        sums=Sums(figures.sums.values[rows], figures.sums.counts[rows]),
        block={window: some(peaks) for window, peaks in figures.block.items()},
        rolling={window: some(peaks) for window, peaks in figures.rolling.items()},
    )


class _Desk:
    """Where pages of one kind are written, line after line; ``whole`` tells which of them hold."""

    def __init__(
        self,
        tariff: Tariff,
        figures: Figures | None,
        dials: Dials | None,
        further: Mapping[str, Dials],
        period: Period,
        *,
        known: bool,
    ) -> None:
        self._tariff, self._figures, self._dials = tariff, figures, dials
        self._further = further
        self._period, self._known = period, known
        self._interval, self._register = tariff.interval or "", tariff.register or ""
        if figures is not None:
            self._counts = figures.sums.counts.sum(axis=1)
            self._total = figures.sums.values.sum(axis=1)
        else:
            rows = 0 if dials is None else len(dials.plain)
            self._counts = np.zeros((rows, KINDS), np.int64)
            self._total = np.zeros(rows, np.int64)
        rows = len(self._total)
        self._bounds = np.full(rows, period.starts_at), np.full(rows, period.ends_at)
        self._nothing = np.zeros(rows, np.int64)
        self._lines: list[tuple[Heading, NDArray[np.int64], _Columns]] = []
        self.whole = np.ones(rows, np.bool_)

    def results(self) -> Iterator[tuple[int, Result]]:
        """Write the pages; give the results of those that hold."""
        writers = {
            names.CONSUMPTION: self._billed,
            names.REGISTER_START: lambda: self._reading(names.REGISTER_START, 0),
            names.REGISTER_END: lambda: self._reading(names.REGISTER_END, 1),
            names.REGISTER_CONSUMPTION: lambda: self._by_register(names.REGISTER_CONSUMPTION, ""),
            names.INTERVAL_CONSUMPTION: self._by_interval,
            names.TIME_OF_USE: self._time_of_use,
            names.BLOCK_DEMAND: self._block,
            names.ROLLING_DEMAND: self._rolling,
            names.LOAD_FACTOR: self._load_factor,
        }
        for name, write in writers.items():
            if name in self._tariff.determinants:
                write()
        for of in self._tariff.declared:
            self._registers(of)
        if not self._lines:
            return
        pages, counts = self._pages(), self._counts.tolist()
        micros = [None] * len(counts) if self._dials is None else self._dials.micro.tolist()
        totals = self._total.tolist()
        complete = self._figures is not None and self._known
        for row in np.flatnonzero(self.whole).tolist():
            micro = micros[row]
            difference = totals[row] * MICRO - micro if complete and micro is not None else None
            yield row, Result(Page(pages, row), Counts(*counts[row]), difference, micro, False)

    def _billed(self) -> None:
        for source in self._tariff.sources:
            if source == "register":
                self._by_register(names.CONSUMPTION, "by register")
                return
            if source == "interval" and self._known and self._figures is not None:
                kind = self._register or self._interval
                self._quantity(names.CONSUMPTION, kind, "by interval")
                return
        self.whole[:] = False

    def _reading(self, name: str, side: int) -> None:
        """Write what the dial showed, in the register's own unit; the part is the page's device."""
        if self._dials is None:
            return
        shown = reading_type.named(self._register)
        heading = Heading(
            *(name, self._register, None, shown.display_unit, -shown.display_exponent, EXACT, "")
        )
        moment = self._dials.read_at[:, side]
        counts = _tally(self._dials.kind[:, side : side + 1])
        self._lines.append((heading, self._dials.value[:, side], (moment, moment, counts)))

    def _by_register(self, name: str, note: str) -> None:
        if self._dials is None:
            return
        rounding, (times, over) = self._tariff.quantity_rounding, self._factor(self._register)
        units = self._rounded(self._dials.micro, times, over * MICRO, rounding)
        heading = self._heading(name, self._register, "", rounding, note)
        self._lines.append((heading, units, (*self._bounds, _tally(self._dials.kind))))

    def _by_interval(self) -> None:
        if self._figures is None:
            return
        name = names.INTERVAL_CONSUMPTION
        if self._known:
            self._quantity(name, self._interval, "")
            return
        rounding = self._tariff.quantity_rounding
        heading = self._heading(name, self._interval, "", rounding, "no interval is known")
        self._absent(heading, self._counts)

    def _quantity(self, name: str, kind: str, note: str) -> None:
        """Write the sum of all intervals."""
        rounding, (times, over) = self._tariff.quantity_rounding, self._factor(self._interval)
        units = self._rounded(self._total, times, over, rounding)
        heading = self._heading(name, kind, "", rounding, note)
        self._lines.append((heading, units, (*self._bounds, self._counts)))

    def _time_of_use(self) -> None:
        if self._figures is None:
            return
        sums, rounding = self._figures.sums, self._tariff.quantity_rounding
        numbers = [number for number, _ in self._period.parts]
        factor = self._factor(self._interval)
        units = self._shares(sums.values[:, numbers], *factor) if self._known else None
        for column, (number, part) in enumerate(self._period.parts):
            counts, note = sums.counts[:, number], "" if self._known else "no interval is known"
            heading = self._heading(names.TIME_OF_USE, self._interval, part, rounding, note)
            if units is not None:
                self._lines.append((heading, units[:, column], (*self._bounds, counts)))
                continue
            # Of a period in which nothing was to be known, 0 is known.
            self.whole &= counts.sum(axis=1) > 0
            self._absent(heading, counts)

    def _registers(self, of: Declared) -> None:
        """Write registers by time of use and their sum check, as ``period_registers`` does."""
        rounding, kinds = self._tariff.quantity_rounding, [kind for _, kind in of.registers]
        micro = np.stack([self._further[kind].micro for kind in kinds], axis=1)
        times, over = self._factor(kinds[0], of.unit)
        units = self._shares(micro, times, over * MICRO)
        for column, (part, kind) in enumerate(of.registers):
            heading = self._heading(of.kind, kind, of.part(part), rounding, "")
            counts = _tally(self._further[kind].kind)
            columns = (*self._bounds, counts)
            self._lines.append((heading._replace(unit=of.unit), units[:, column], columns))
        if not of.total:
            return
        over_all = self._further[of.total].micro - micro.sum(axis=1)
        times, over = self._factor(of.total, of.unit)
        amount = self._rounded(np.abs(over_all), times, over * MICRO, rounding)
        note = "total − sum of periods"
        heading = self._heading(REGISTER_DIFFERENCE, of.total, of.part(), rounding, note)
        counts = np.sum([_tally(self._further[kind].kind) for kind in of.dials], axis=0)
        columns = (*self._bounds, counts)
        units = np.where(over_all < 0, -amount, amount)
        self._lines.append((heading._replace(unit=of.unit), units, columns))

    def _shares(self, values: NDArray[np.int64], times: int, over: int) -> NDArray[np.int64]:
        """Round parts so that they sum to their rounded total, as ``Rounding.shares`` does."""
        rounding = self._tariff.quantity_rounding
        scale, below = _reduced(times * 10**rounding.places, over)
        self._fits(np.abs(values).max(axis=1, initial=0), scale * max(1, values.shape[1]))
        floors, rests = np.divmod(values * scale, below)
        left = self._rounded(values.sum(axis=1), times, over, rounding) - floors.sum(axis=1)
        # The largest remainders get one more; of equal ones the earlier.
        order = np.argsort(-rests, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        self.whole &= (values >= 0).all(axis=1)
        return np.asarray(floors + (rank < left[:, None]))

    def _block(self) -> None:
        self._demand(names.BLOCK_DEMAND, "block", self._tariff.block_seconds)

    def _rolling(self) -> None:
        for window in self._tariff.rolling_seconds:
            self._demand(names.ROLLING_DEMAND, "rolling", window)

    def _demand(self, name: str, which: str, window: int) -> None:
        if self._figures is None:
            return
        peaks: Peaks | None = getattr(self._figures, which)[window]
        rounding, unit = self._tariff.demand_rounding, RATES[self._tariff.unit]
        heading = self._heading(name, self._interval, f"{window // 60} min", rounding, "")
        heading = heading._replace(unit=unit)
        if peaks is None or not self._known:
            heading = heading._replace(note=self._no_peak(peaks, window))
            self._absent(heading, np.zeros_like(self._counts))
            return
        times, over = self._factor(self._interval)
        units = self._rounded(peaks.energy, 3600 * times, window * over, rounding)
        self.whole &= peaks.found
        profile = self._figures.profile
        starts_at = profile.starts_at + peaks.slot * profile.interval_seconds
        self._lines.append((heading, units, (starts_at, starts_at + window, peaks.counts)))

    def _no_peak(self, peaks: Peaks | None, window: int) -> str:
        """Say as ``Supply.peak`` does why there is no highest window."""
        if peaks is None and self._figures is not None:
            seconds = self._figures.profile.interval_seconds
            return f"intervals of {seconds} s do not fill a window of {window} s"
        return f"no window of {window} s is without a missing interval"

    def _load_factor(self) -> None:
        if self._figures is None:
            return
        window, rounding = self._tariff.block_seconds, self._tariff.ratio_rounding
        peaks = self._figures.block[window]
        heading = self._heading(names.LOAD_FACTOR, self._interval, "", rounding, "")
        heading = heading._replace(unit="1")
        if peaks is None or not self._known:
            heading = heading._replace(note=self._no_peak(peaks, window))
            self._absent(heading, self._counts)
            return
        self.whole &= peaks.found & (peaks.energy > 0)
        elapsed = self._counts.sum(axis=1) * self._figures.profile.interval_seconds
        self._fits(peaks.energy, int(elapsed.max(initial=0)))
        over = np.maximum(peaks.energy * elapsed, 1)
        units = self._rounded(self._total, window, over, rounding)
        self._lines.append((heading, units, (*self._bounds, self._counts)))

    def _absent(self, heading: Heading, counts: NDArray[np.int64]) -> None:
        """Write a line that has no figure."""
        columns = (*self._bounds, counts)
        self._lines.append((heading._replace(places=None), self._nothing, columns))

    def _heading(self, name: str, kind: str, part: str, rounding: Rounding, note: str) -> Heading:
        unit = self._tariff.unit
        return Heading(name, kind, part, unit, rounding.places, str(rounding), note)

    def _factor(self, kind: str, unit: str = "") -> tuple[int, int]:
        return UNITS[reading_type.named(kind).unit][unit or self._tariff.unit]

    def _pages(self) -> Pages:
        headings = tuple(heading for heading, *_ in self._lines)
        units = np.stack([units for _, units, _ in self._lines], axis=1)
        starts, ends, counts = (
            np.stack([parts[index] for *_, parts in self._lines], axis=1) for index in range(3)
        )
        self.whole &= (np.abs(units) < binary_numeric.MOST).all(axis=1)
        own = self._dials is not None and any(heading.part is None for heading in headings)
        end_devices = self._dials.end_devices if self._dials is not None and own else ()
        return Pages(headings, units, starts, ends, counts, end_devices)

    def _rounded(
        self,
        numerator: NDArray[np.int64],
        times: int,
        over: int | NDArray[np.int64],
        rounding: Rounding,
    ) -> NDArray[np.int64]:
        """Round ``numerator * times / over`` to whole units of the last decimal."""
        times *= 10**rounding.places
        if isinstance(over, int):
            times, over = _reduced(times, over)
        self._fits(numerator, times)
        self.whole &= numerator >= 0
        whole, rest = np.divmod(numerator * times, over)
        if rounding.mode == "down":
            return np.asarray(whole)
        up = rest > over - rest
        half = rest == over - rest
        return np.asarray(whole + (up | (half & ((rounding.mode == "half_up") | (whole % 2 == 1)))))

    def _fits(self, numbers: NDArray[np.int64], times: int) -> None:
        """Leave out whose product might not fit in 64 bits."""
        self.whole &= numbers < _MOST // max(times, 1)


def _reduced(times: int, over: int) -> tuple[int, int]:
    """Give a fraction in its lowest terms, so that more fits in 64 bits."""
    both = math.gcd(times, over)
    return times // both, over // both


def _tally(kind: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count readings by quality, shape (n, 5)."""
    return np.asarray((kind[:, :, None] == np.arange(KINDS)).sum(axis=1), np.int64)
