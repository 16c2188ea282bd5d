"""Days of intervals as drawings: one small bar chart a day, its bars by class of quality. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period, local_days, slots
from schemas.quality import QualityClass
from schemas.reading import BlockTable
from schemas.reading_type import ReadingType

HEIGHT = 100
"""Height of a drawing; its width is the number of the day's intervals."""


@dataclass(frozen=True, slots=True)
class Day:
    """A local day's drawing.

    Attributes
    ----------
    slots : intervals of the day, the width of the drawing
    recorded : whether the record has the day
    total : sum of what is known [the reading type's display unit]
    counts : intervals by class of quality, by name
    paths : SVG path data by class of quality, by name
    """

    date: date
    slots: int
    recorded: bool
    total: Decimal
    counts: dict[str, int]
    paths: dict[str, str]


@dataclass(frozen=True, slots=True)
class Chart:
    """Days of one channel, drawn to one scale.

    ``highest`` is the value at the top of each drawing [display unit]; ``cut`` tells whether
    questionable values rise above it.
    """

    reading_type: ReadingType
    interval_seconds: int
    days: tuple[Day, ...]
    highest: Decimal
    cut: bool
    classes: tuple[str, ...]


def chart(
    blocks: BlockTable, kind: ReadingType, interval_seconds: int, period: Period, zone: ZoneInfo
) -> Chart:
    """Draw the days of one channel.

    Parameters
    ----------
    blocks : of this channel alone
    period : the days that it touches are drawn, recorded or not
    """
    highest, cut = _scale(blocks)
    rows = {int(start): row for row, start in enumerate(blocks.starts_at)}
    days = tuple(
        _day(blocks, rows.get(int(whole.start.timestamp())), day, highest, kind, slots_)
        for day, whole in local_days(period, zone)
        if (slots_ := slots(whole, interval_seconds))
    )
    seen = {name for day in days for name, count in day.counts.items() if count}
    return Chart(
        reading_type=kind,
        interval_seconds=interval_seconds,
        days=days,
        highest=kind.shown(highest),
        cut=cut,
        classes=tuple(c.name.lower() for c in QualityClass if c.name.lower() in seen),
    )


def _scale(blocks: BlockTable) -> tuple[int, bool]:
    """Choose the top: the highest value that is not doubted, lest one spike flatten all."""
    classes = quality.classes(blocks.quality)
    doubted = classes == QualityClass.QUESTIONABLE
    trusted = blocks.values[~doubted]
    top = int(trusted.max(initial=0)) or int(blocks.values.max(initial=0)) or 1
    return top, bool((blocks.values[doubted] > top).any())


def _day(
    blocks: BlockTable, row: int | None, day: date, highest: int, kind: ReadingType, slots_: int
) -> Day:
    if row is None:
        return Day(day, slots_, False, Decimal(0), {}, {})
    length = int(blocks.length[row])
    values = blocks.values[row, :length].astype(np.int64)
    classes = quality.classes(blocks.quality[row, :length])
    known = classes != QualityClass.MISSING
    heights = np.where(known, np.clip(values / highest, 0, 1), 1.0) * HEIGHT
    # A value of nothing is still seen as something known.
    heights[known] = np.maximum(heights[known], 1.5)
    return Day(
        date=day,
        slots=length,
        recorded=True,
        total=kind.shown(int(values[known].sum())),
        counts={c.name.lower(): int((classes == c).sum()) for c in QualityClass},
        paths={
            c.name.lower(): path(heights, np.flatnonzero(classes == c).tolist())
            for c in QualityClass
            if (classes == c).any()
        },
    )


def path(heights: NDArray[np.float64], places: Sequence[int]) -> str:
    """Write the bars at some places as SVG path data; neighbours make one outline."""
    parts: list[str] = []
    for index, place in enumerate(places):
        top = f"{HEIGHT - heights[place]:.1f}".removesuffix(".0")
        if index == 0 or places[index - 1] != place - 1:
            parts.append(f"M{place} {HEIGHT}")
        parts.append(f"V{top}H{place + 1}")
        if index + 1 == len(places) or places[index + 1] != place + 1:
            parts.append(f"V{HEIGHT}Z")
    return "".join(parts)
