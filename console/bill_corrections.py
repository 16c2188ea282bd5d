"""What changed after billing, for ``miqyas bill corrections``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from console import show
from mdm.correction_days import DayDifference
from mdm.correction_log import LoggedFigure
from mdm.cycle_status import CorrectedFigure


def shown(
    corrected: Sequence[CorrectedFigure],
    logged: Sequence[LoggedFigure],
    by_day: Sequence[DayDifference],
) -> None:
    """Print each correction with its days, then what was too small for one.

    Parameters
    ----------
    corrected, logged : figures of one correction or change stand together
    """
    for (point, old, new, state), figures in groupby(
        corrected, lambda c: (c.usage_point, c.old_version, c.new_version, c.state)
    ):
        mine = list(figures)
        fewer = sum(c.new_estimated for c in mine) < sum(c.old_estimated for c in mine)
        kind = "trues up the estimates of" if fewer else "corrects"
        _figures(f"{point}, version {new} {kind} {old}: {state}", mine)
        _days([d for d in by_day if (d.usage_point, d.new_version) == (point, new)])
    for (point, version, at), changed in groupby(
        logged, lambda c: (c.usage_point, c.version, c.logged_at)
    ):
        _figures(f"{point}, version {version} stands, logged {at:%Y-%m-%d}: too small", changed)
    if not corrected and not logged:
        show.done("No figure has changed after it was billed.")


def _figures(title: str, figures: Iterable[CorrectedFigure | LoggedFigure]) -> None:
    rows = [(f"{c.name} {c.part}", c.old, c.new, c.difference, c.unit) for c in figures]
    show.table(title, ["figure", "billed #", "now #", "difference #", "unit"], rows)


def _days(days: Sequence[DayDifference]) -> None:
    if days:
        rows = [(d.day, d.part, d.old, d.new, d.difference, d.unit) for d in days]
        columns = ["day", "period", "billed #", "now #", "difference #", "unit"]
        show.table("Intervals that changed, where they were", columns, rows)
