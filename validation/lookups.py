"""Estimation by copying one day, found in a table of weekdays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import like_days
from validation.days import Days
from validation.estimator import Estimates, estimator
from validation.work import Work

# Days from a day to the ones to copy, first one first, by its place in the week: the working
# week begins at 0 ("Monday") and the last rest day ("Sunday") is 6. 7 is a holiday.
_TWO_WEEK: Final = (
    (-7, -14),
    (-7, -6, -5),
    (-7, -1, -8, -6),
    (-7, -1, -8, -2, -9),
    (-7,),
    (-7,),
    (-7,),
)
_NEAREST: Final = (
    ((0,), ()),
    ((0, 1, 2), (1, 2)),
    ((0, -1, 1), (-1, 1)),
    ((0, -1, -2), (-1, -2)),
    ((0,), ()),
    ((0,), ()),
    ((0,), ()),
)
"""By place in the week: days of earlier weeks, then days of the same week."""
_YEAR: Final = 52 * 7


@estimator(
    source="Itron Enterprise Edition, like-day estimation, two weeks",
    quality=quality.ESTIMATED_TWO_WEEK,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="no sound day in the table",
)
def two_week(work: Work, cells: NDArray[np.int64]) -> Estimates:
    """Copy each slot from the first sound day of a table of the last two weeks.

    First working day: a week ago, two weeks ago. Second: a week ago, and the two days after that.
    Third: a week ago, yesterday, the days before and after a week ago. Fourth: a week ago,
    yesterday, the day before a week ago, two days ago, two days before a week ago. The others: a
    week ago. A holiday: the last rest day before it, and the one a week earlier. The week is
    turned to the calendar's: Monday of a week that rests on Saturday and Sunday is Sunday of one
    that rests on Friday and Saturday. Holidays are copied for holidays only.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    """
    return _copied(work, cells, _two_weeks(0))


@estimator(
    source="Itron Enterprise Edition, like-day estimation, 52 weeks",
    quality=quality.ESTIMATED_YEAR_AGO,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="no sound day in the table",
)
def year_ago(work: Work, cells: NDArray[np.int64]) -> Estimates:
    """Copy each slot as ``two_week`` does, from the same two weeks 52 weeks earlier.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    """
    return _copied(work, cells, _two_weeks(_YEAR))


@estimator(
    source="Electricity Industry (Metering) Code 2012 (WA), appendix 3, method 14; AEMO method 14",
    quality=quality.ESTIMATED_NEAREST_DAY,
    scaled=quality.ESTIMATED_SCALED_LIKE_DAY,
    declines="no sound equivalent day",
)
def nearest_equivalent(work: Work, cells: NDArray[np.int64], *, weeks: int) -> Estimates:
    """Copy each slot from the first sound equivalent day of earlier weeks, then of the same week.

    First working day and the three last days of the week: the same day. Second: itself, third,
    fourth. Third: itself, second, fourth. Fourth: itself, third, second. A week is gone through
    before the one before it; days of the same week, later ones too, come last. The week is turned
    as in ``two_week``. The source says nothing of holidays: it declines.

    Parameters
    ----------
    work : the record under repair
    cells : shape (k,), open cells, ascending
    weeks : earlier weeks to look at
    """
    rows = [
        [day - 7 * week for week in range(1, weeks + 1) for day in earlier] + list(same)
        for earlier, same in _NEAREST
    ]
    return _copied(work, cells, _table([*rows, *[[] for _ in range(7)]]))


def _two_weeks(back: int) -> NDArray[np.int64]:
    # A holiday's row, by its own place in the week: the last rest day before it, and another week.
    holidays = [(-(place % 7 + 1), -(place % 7 + 8)) for place in range(7)]
    table = _table([*_TWO_WEEK, *holidays])
    return np.where(table != 0, table - back, 0)


def _table(rows: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Give rows of offsets as an array, 0 for none: by place in the week, then for holidays."""
    table = np.zeros((len(rows), max(1, *map(len, rows))), dtype=np.int64)
    for place, offsets in enumerate(rows):
        table[place, : len(offsets)] = offsets
    return table


def places(table: Days) -> NDArray[np.int64] | None:
    """Give each day's place in the calendar's week, shape (d,), the first working day 0.

    None where the days show no end of a rest: then nobody can say where the week begins.
    """
    rests = np.zeros(7, dtype=np.bool_)
    rests[table.weekday[table.weekend]] = True
    works = np.zeros(7, dtype=np.bool_)
    works[table.weekday[~table.weekend]] = True
    begins = np.flatnonzero(works & np.roll(rests, 1))
    return None if not len(begins) else (table.weekday.astype(np.int64) - begins[0]) % 7


def _copied(work: Work, cells: NDArray[np.int64], table: NDArray[np.int64]) -> Estimates:
    """Copy each cell from the first of its offsets that leads to a sound day."""
    place = places(work.days)
    filled, values = np.zeros(len(cells), dtype=np.bool_), np.zeros(len(cells), dtype=np.int64)
    if place is None:
        return Estimates(filled, values)
    day, total = cells // work.slots, len(work.days)
    inside = day % total
    row = np.where(work.days.holiday[inside], 7, 0) + place[inside]
    for column in range(table.shape[1]):
        offset = table[row, column]
        other = inside + offset
        there = ~filled & (offset != 0) & (other >= 0) & (other < total)
        source = np.where(there, day + offset, -1)
        alike = work.days.holiday[inside] | ~work.days.holiday[source % total]
        there &= alike & work.sound.ravel()[source]
        found = like_days.same_time(work, cells, np.where(there, source, -1)[:, None])[:, 0]
        values = np.where(found >= 0, work.values[found], values)
        filled |= found >= 0
    return Estimates(filled, values)
