"""A finding's day as a drawing: what was read, the days beside it, and the estimate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from console.pages.interval_chart import HEIGHT
from mdm.worklist_item import Line, Look
from schemas.reading_type import ReadingType

_HEADROOM = 1.1


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines as SVG path data, by name; ``width`` is the day's number of slots.

    ``highest`` is the value at the top [display unit]; ``cut`` tells whether what was read goes
    above it. ``marked`` are the finding's stretches of slots, first and number.
    """

    width: int
    highest: Decimal
    cut: bool
    marked: tuple[tuple[int, int], ...]
    paths: dict[str, str]


def plot(seen: Look, kind: ReadingType) -> Plot:
    """Draw a finding's day, scaled to what is usual there, lest a spike flatten all else."""
    width = len(seen.moments)
    estimates = {one.at: one.value for one in seen.estimates}
    lines: dict[str, Line] = {
        "before": seen.before,
        "after": seen.after,
        "like": mean_of([line for _, line in seen.like_days], width),
        "raw": seen.raw,
        "estimate": tuple(estimates.get(at) for at in seen.moments),
    }
    usual = [
        value
        for name, line in lines.items()
        for n, value in enumerate(line[:width])
        if value is not None and (name != "raw" or not seen.marked[n])
    ]
    top = max(1, int(max(usual, default=0) * _HEADROOM)) if usual else _top(seen.raw)
    return Plot(
        width=width,
        highest=kind.shown(top),
        cut=any(value is not None and value > top for value in seen.raw),
        marked=_runs(seen.marked),
        paths={name: drawn for name, line in lines.items() if (drawn := _path(line[:width], top))},
    )


def _top(line: Line) -> int:
    return max((value for value in line if value is not None), default=1) or 1


def mean_of(lines: Sequence[Line], width: int) -> Line:
    """Give the mean of days slot by slot, rounded down; None where none has a value."""
    columns = [[line[n] for line in lines if n < len(line)] for n in range(width)]
    known = [[value for value in column if value is not None] for column in columns]
    return tuple(sum(values) // len(values) if values else None for values in known)


def _path(line: Line, top: int) -> str:
    """Write a line in steps; where there is no value it breaks."""
    parts: list[str] = []
    for n, value in enumerate(line):
        if value is None:
            continue
        height = f"{HEIGHT - max(0.0, min(1.0, value / top)) * HEIGHT:.1f}".removesuffix(".0")
        begins = n == 0 or line[n - 1] is None
        parts.append(f"M{n} {height}H{n + 1}" if begins else f"V{height}H{n + 1}")
    return "".join(parts)


def _runs(marked: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    runs: list[tuple[int, int]] = []
    for n, mark in enumerate(marked):
        if mark and n and marked[n - 1]:
            first, count = runs[-1]
            runs[-1] = (first, count + 1)
        elif mark:
            runs.append((n, 1))
    return tuple(runs)
