"""Small cubes written as lists, None where nothing came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation import days, matrix, ruleset, views
from validation.finding import Findings
from validation.matrix import Cube, Spans
from validation.ruleset import RuleSet
from validation.views import Views

KUWAIT = ZoneInfo("Asia/Kuwait")
SUNDAY = date(2026, 5, 31)
"""First day of a working week in Kuwait, where the weekend is Friday and Saturday."""

Row = Sequence[int | None]
DEFAULTS = ruleset.select(ruleset.shipped(), "electricity", date(2026, 6, 1))


def cube(
    rows: Any,
    *,
    interval_seconds: int = 3600,
    first: date = SUNDAY,
    zone: ZoneInfo = KUWAIT,
    holidays: frozenset[date] = frozenset(),
    codes: dict[tuple[int, int, int], int] | None = None,
    spans: Sequence[tuple[int, int, int, int]] = (),
    target: NDArray[np.bool_] | None = None,
    one_way: bool = True,
    **masks: NDArray[np.bool_],
) -> Cube:
    """Make a cube of rows[channel][day][slot], ``Row`` by ``Row``; short ones go on with 7."""
    table = days.of(first, len(rows[0]), zone, interval_seconds, weekend={4, 5}, holidays=holidays)
    slots = table.clock.shape[1]
    values = np.full((len(rows), len(rows[0]), slots), 7, dtype=np.int32)
    missing = np.zeros(values.shape, dtype=np.bool_)
    for channel, of_channel in enumerate(rows):
        for day, row in enumerate(of_channel):
            values[channel, day, : len(row)] = [value or 0 for value in row]
            missing[channel, day, : len(row)] = [value is None for value in row]
    missing[:, ~table.exists] = True
    values[missing] = 0
    codes_ = np.where(missing, quality.MISSING, quality.VALID).astype(np.int16)
    for cell, code in (codes or {}).items():
        codes_[cell] = code
    return Cube(
        values=values,
        quality=codes_,
        target=np.ones(values.shape[:2], dtype=np.bool_) if target is None else target,
        days=table,
        interval_seconds=interval_seconds,
        one_way=np.full(len(rows), one_way),
        spans=span_table(spans),
        **masks,
    )


def span_table(rows: Sequence[tuple[int, int, int, int]]) -> Spans:
    """Make spans of (channel, start, end, energy)."""
    if not rows:
        return matrix.no_spans()
    channel, start, end, energy = zip(*rows, strict=True)
    return matrix.spans(
        np.array(channel, dtype=np.int32),
        np.array(start, dtype=np.int32),
        np.array(end, dtype=np.int32),
        np.array(energy, dtype=np.int64),
    )


def seen(row: Row, **given: Any) -> Views:
    """Give the views of one channel's one day."""
    return views.of(cube([[row]], **given))


def rule_set(rules: str = "", estimators: str = "", *, scale: bool = True) -> RuleSet:
    """Make a rule set of TOML fragments."""
    return ruleset.parse(
        f"""
        name = "test"
        effective_from = 2020-01-01
        description = "made for a test"
        scale_to_register = {str(scale).lower()}
        {"" if "estimators" in estimators else "estimators = []"}
        {rules or "[rules]"}
        {estimators}
        """,
        "test.toml",
    )


GAP = """
[rules.gap]
severity = "info"
action = "estimate"
"""
SUM_CHECK = """
[rules.sum_check]
severity = "issue"
action = "note"
tolerance = 0
relative = 0
"""
SPIKE = """
[rules.spike]
severity = "issue"
action = "suspect"
tolerance = 1.8
minimum_per_hour = 100
register_agrees = { severity = "info", action = "note" }
register_explains = { severity = "issue", action = "estimate" }
"""
LINEAR = """
[[estimators]]
method = "linear"
limit_hours = 2
inclusive = true
one_anchor = "flat"
beside_bad = "decline"
"""
LIKE_DAY = """
[[estimators]]
method = "like_day"
count = 3
fewest = 1
like = "kind"
within_days = 60
"""
REGISTER = """
[[estimators]]
method = "register"
"""


def rows_of(findings: Findings) -> list[tuple[str, str, str, int, int, int]]:
    """Give findings as (rule, severity, action, day, first slot, last slot)."""
    severities, actions = ("info", "issue", "terminate"), ("note", "suspect", "estimate")
    return [
        (
            findings.names[findings.rule[i]],
            severities[findings.severity[i]],
            actions[findings.action[i]],
            int(findings.day[i]),
            int(findings.first_slot[i]),
            int(findings.last_slot[i]),
        )
        for i in range(len(findings))
    ]
