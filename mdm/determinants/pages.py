"""Determinants of many usage points at once, as columns of whole numbers.

Most usage points of a cycle are plain: one channel, nothing missing, billed by intervals. Their
pages have the same lines, and only the figures differ. What ``composition`` writes line by line
for one usage point is computed here for all of them together, to the same bit; whoever is not
plain, and whatever a tariff asks for beyond these kinds, goes through ``composition``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from mdm import tariff as names
from mdm.determinants.demand import Peaks
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.profile import KINDS
from mdm.determinants.rounding import RATES, UNITS, Rounding
from mdm.determinants.supply import Figures
from mdm.tariff import Tariff
from schemas import binary_numeric, reading_type
from schemas.quality import QualityClass

_KINDS: Final = frozenset(
    {
        names.CONSUMPTION,
        names.INTERVAL_CONSUMPTION,
        names.TIME_OF_USE,
        names.BLOCK_DEMAND,
        names.ROLLING_DEMAND,
        names.LOAD_FACTOR,
    }
)
# Whoever gives tariffs another entry that changes figures finds pages out of use until it is here.
_ENTRIES: Final = frozenset(
    {
        *("name", "commodity", "effective_from", "calendar", "register", "interval", "sources"),
        *("unit", "determinants", "rounding", "demand", "gates", "terms", "note", "window"),
    }
)
_PARTS: Final = {
    "rounding": {"quantity", "demand", "ratio"},
    "demand": {"block_minutes", "rolling_minutes"},
}
# From seven decimals on, Decimal writes a small number with an exponent.
_PLACES: Final = 6
# Products stay below what int64 holds.
_MOST: Final = 2**62


class Page(Sequence[Determinant]):
    """One usage point's determinants, made when somebody looks at them."""

    def __init__(self, pages: Pages, row: int) -> None:
        self.pages, self.row = pages, row

    @cached_property
    def _made(self) -> tuple[Determinant, ...]:
        return self.pages.determinants(self.row)

    def __len__(self) -> int:
        return len(self.pages.headings)

    @overload
    def __getitem__(self, index: int) -> Determinant: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Determinant]: ...
    def __getitem__(self, index: int | slice) -> Determinant | Sequence[Determinant]:
        return self._made[index]

    def __eq__(self, other: object) -> bool:
        return self._made == (other._made if isinstance(other, Page) else other)

    def __hash__(self) -> int:
        return hash(self._made)


class Heading(NamedTuple):
    """What a line of all pages has in common."""

    name: str
    reading_type: str
    part: str
    unit: str
    rounding: Rounding
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """The pages of n usage points with l lines each.

    Attributes
    ----------
    headings : l of them
    units : shape (n, l), figures in units of their last decimal
    starts_at, ends_at : shape (n, l) [s since 1970-01-01 UTC]
    counts : shape (n, l, 5), readings by ``QualityClass``
    totals : shape (n, 5), all intervals by ``QualityClass``
    """

    headings: tuple[Heading, ...]
    units: NDArray[np.int64]
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]
    counts: NDArray[np.int64]
    totals: NDArray[np.int64]

    def determinants(self, row: int) -> tuple[Determinant, ...]:
        """Give a page as determinants."""
        columns = (self.units, self.starts_at, self.ends_at, self.counts)
        figures: Any = zip(*(column[row].tolist() for column in columns), strict=True)
        return tuple(
            Determinant(
                name=h.name,
                reading_type=h.reading_type,
                part=h.part,
                value=Decimal(unit).scaleb(-h.rounding.places),
                unit=h.unit,
                starts_at=start,
                ends_at=end,
                counts=Counts(*count),
                rounding=str(h.rounding),
                note=h.note,
            )
            for h, (unit, start, end, count) in zip(self.headings, figures, strict=True)
        )

    def digests(self) -> list[str]:
        """Give each page's digest, as ``determinant.digest`` gives it of its determinants."""
        columns: list[NDArray[np.int64]] = []
        for line, heading in enumerate(self.headings):
            scale = 10**heading.rounding.places
            columns += np.divmod(self.units[:, line], scale) if scale > 1 else [self.units[:, line]]
            columns += [self.starts_at[:, line], self.ends_at[:, line], *self.counts[:, line].T]
        # What all pages have alike (the period, counts of 0) is written once.
        alike = [bool((column == column[:1]).all()) for column in columns]
        said = iter([int(c[0]) if same else None for c, same in zip(columns, alike, strict=True)])
        template = f"[{','.join(_written(heading, said) for heading in self.headings)}]"
        others = [column for column, same in zip(columns, alike, strict=True) if not same]
        rows = np.stack([np.zeros(len(self.units), np.int64), *others], axis=1)[:, 1:].tolist()
        return [hashlib.sha256((template % tuple(row)).encode()).hexdigest() for row in rows]


def composed(
    tariff: Tariff,
    figures: Figures,
    periods: Sequence[tuple[int, str]],
    starts_at: int,
    ends_at: int,
) -> tuple[Pages, NDArray[np.bool_]]:
    """Compute the pages of all channels of a profile; tell which of them hold.

    Parameters
    ----------
    figures : with the tariff's windows
    periods : number and name of the time-of-use periods that occur
    starts_at, ends_at : the period [s since 1970-01-01 UTC]

    Returns
    -------
    pages and, shape (n,), whether a channel's page is whole and right: nothing missing, a demand
    above 0, and no number near what 64 bits hold. The others are to be composed one by one.
    """
    desk = _Desk(tariff, figures, periods, starts_at, ends_at)
    writers = {
        names.CONSUMPTION: lambda: desk.total(names.CONSUMPTION, "by interval"),
        names.INTERVAL_CONSUMPTION: lambda: desk.total(names.INTERVAL_CONSUMPTION, ""),
        names.TIME_OF_USE: desk.time_of_use,
        names.BLOCK_DEMAND: desk.block,
        names.ROLLING_DEMAND: desk.rolling,
        names.LOAD_FACTOR: desk.load_factor,
    }
    for name in names.DETERMINANTS:
        if name in tariff.determinants:
            writers[name]()
    return desk.pages(), desk.whole


def serves(tariff: Tariff) -> bool:
    """Tell whether pages have everything that a tariff asks for."""
    roundings = tariff.quantity_rounding, tariff.demand_rounding, tariff.ratio_rounding
    return (
        tariff.determinants <= _KINDS
        and tariff.register is None
        and tariff.interval is not None
        and tariff.sources == ("interval",)
        and known(tariff)
        and max(rounding.places for rounding in roundings) <= _PLACES
    )


def known(tariff: Tariff) -> bool:
    """Tell whether a tariff has no entry but those that were there when this was written."""
    entries = json.loads(tariff.definition)
    return set(entries) <= _ENTRIES and all(
        set(entries.get(part, ())) <= known for part, known in _PARTS.items()
    )


class _Desk:
    """Where pages are written, line after line."""

    def __init__(
        self,
        tariff: Tariff,
        figures: Figures,
        periods: Sequence[tuple[int, str]],
        starts_at: int,
        ends_at: int,
    ) -> None:
        self._tariff, self._figures, self._periods = tariff, figures, periods
        self._interval = tariff.interval or ""
        self._factor = UNITS[reading_type.named(self._interval).unit][tariff.unit]
        self._counts = figures.sums.counts.sum(axis=1)
        self._total = figures.sums.values.sum(axis=1)
        self._bounds = np.full(len(self._total), starts_at), np.full(len(self._total), ends_at)
        self._lines: list[tuple[Heading, NDArray[np.int64], Sequence[NDArray[np.int64]]]] = []
        self.whole: NDArray[np.bool_] = np.asarray(
            (self._counts[:, QualityClass.MISSING] == 0) & (self._counts.sum(axis=1) > 0)
        )

    def total(self, name: str, note: str) -> None:
        rounding = self._tariff.quantity_rounding
        units = self._rounded(self._total, *self._factor, rounding)
        heading = Heading(name, self._interval, "", self._tariff.unit, rounding, note)
        self._lines.append((heading, units, (*self._bounds, self._counts)))

    def time_of_use(self) -> None:
        numbers = [number for number, _ in self._periods]
        rounding, (times, over) = self._tariff.quantity_rounding, self._factor
        values = self._figures.sums.values[:, numbers]
        scale = times * 10**rounding.places
        self._fits(np.abs(values).max(axis=1, initial=0), scale)
        floors, rests = np.divmod(values * scale, over)
        left = self._rounded(values.sum(axis=1), times, over, rounding) - floors.sum(axis=1)
        # The largest remainders get one more; of equal ones the earlier.
        order = np.argsort(-rests, axis=1, kind="stable")
        rank = np.argsort(order, axis=1, kind="stable")
        units = floors + (rank < left[:, None])
        self.whole &= (values >= 0).all(axis=1)
        for column, (number, part) in enumerate(self._periods):
            heading = Heading(
                *(names.TIME_OF_USE, self._interval, part, self._tariff.unit, rounding, "")
            )
            counts = self._figures.sums.counts[:, number]
            self._lines.append((heading, units[:, column], (*self._bounds, counts)))

    def block(self) -> None:
        self._demand(names.BLOCK_DEMAND, self._figures.block[self._tariff.block_seconds])

    def rolling(self) -> None:
        for window in self._tariff.rolling_seconds:
            self._demand(names.ROLLING_DEMAND, self._figures.rolling[window])

    def _demand(self, name: str, peaks: Peaks | None) -> None:
        if peaks is None:
            self.whole[:] = False
            return
        rounding, (times, over) = self._tariff.demand_rounding, self._factor
        window, unit = peaks.window_seconds, RATES[self._tariff.unit]
        units = self._rounded(peaks.energy, 3600 * times, window * over, rounding)
        self.whole &= peaks.found
        profile = self._figures.profile
        starts_at = profile.starts_at + peaks.slot * profile.interval_seconds
        heading = Heading(name, self._interval, f"{window // 60} min", unit, rounding, "")
        self._lines.append((heading, units, (starts_at, starts_at + window, peaks.counts)))

    def load_factor(self) -> None:
        peaks = self._figures.block[self._tariff.block_seconds]
        if peaks is None:
            self.whole[:] = False
            return
        self.whole &= peaks.found & (peaks.energy > 0)
        rounding = self._tariff.ratio_rounding
        elapsed = self._counts.sum(axis=1) * self._figures.profile.interval_seconds
        self._fits(peaks.energy, int(elapsed.max(initial=0)))
        over = np.maximum(peaks.energy * elapsed, 1)
        units = self._rounded(self._total, self._tariff.block_seconds, over, rounding)
        heading = Heading(names.LOAD_FACTOR, self._interval, "", "1", rounding, "")
        self._lines.append((heading, units, (*self._bounds, self._counts)))

    def pages(self) -> Pages:
        headings = tuple(heading for heading, *_ in self._lines)
        units = np.stack([units for _, units, _ in self._lines], axis=1)
        starts, ends, counts = (
            np.stack([parts[index] for *_, parts in self._lines], axis=1) for index in range(3)
        )
        self.whole &= (units < binary_numeric.MOST).all(axis=1)
        return Pages(headings, units, starts, ends, counts, self._counts)

    def _rounded(
        self,
        numerator: NDArray[np.int64],
        times: int,
        over: int | NDArray[np.int64],
        rounding: Rounding,
    ) -> NDArray[np.int64]:
        """Round ``numerator * times / over`` to whole units of the last decimal."""
        self._fits(numerator, times * 10**rounding.places)
        self.whole &= numerator >= 0
        whole, rest = np.divmod(numerator * times * 10**rounding.places, over)
        if rounding.mode == "down":
            return np.asarray(whole)
        up = rest > over - rest
        half = rest == over - rest
        return np.asarray(whole + (up | (half & ((rounding.mode == "half_up") | (whole % 2 == 1)))))

    def _fits(self, numbers: NDArray[np.int64], times: int) -> None:
        """Leave out whose product might not fit in 64 bits."""
        self.whole &= numbers < _MOST // max(times, 1)


def _written(heading: Heading, said: Iterator[int | None]) -> str:
    """Write a line as ``determinant.digest`` does, with places for the numbers not said."""

    def number(form: str = "%d") -> str:
        known = next(said)
        return form if known is None else form % known

    places = heading.rounding.places
    figure = f'"{number()}.{number(f"%0{places}d")}"' if places else f'"{number()}"'
    head = ",".join(map(_text, (heading.name, heading.reading_type, heading.part)))
    tail = f"{_text(str(heading.rounding))},{_text(heading.note)}"
    numbers = ",".join(number() for _ in range(2 + KINDS))
    return f"[{head},{figure},{_text(heading.unit)},{numbers},{tail}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("%", "%%")
