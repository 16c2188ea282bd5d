"""What a rule saw and the limit that it held that against, each in the unit that the rule names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from markupsafe import Markup, escape

from console.pages.showing import Reader, number
from mdm.worklist import Item
from schemas import reading_type

_VALUE: Final = ("value", "value")
_HOURS: Final = ("hours", "hours")
_DAYS: Final = ("days", "days")
_SLOTS: Final = ("slots", "slots")
MEASURES: Final = {
    **dict.fromkeys(
        (
            "negative", "spike", "high_low", "spike_mean", "spike_neighbours", "hampel", "tukey",
            "consecutive_change", "demand_limit", "peak_change", "sentinel", "duplicate",
            "inactive_use", "future", "replacement", "sum_check", "register_misread",
            "register_limit", "register_decrease", "register_rollover", "tou_sum_check",
            "sibling_zero", "check_meter", "scaling_refused",
        ),
        _VALUE,
    ),
    **dict.fromkeys(
        ("zero_run", "short_zero_run", "stuck", "condition_run", "interpolated", "collapsed_hour"),
        _HOURS,
    ),
    **dict.fromkeys(
        (
            "prolonged_estimation", "read_unchanged", "read_period", "read_estimated",
            "read_missing",
        ),
        _DAYS,
    ),
    **dict.fromkeys(("gap", "sibling_missing", "other_unit", "not_estimated"), _SLOTS),
    **dict.fromkeys(("register_change", "read_high_low"), ("value_a_day", "value_a_day")),
    "interval_size": ("value", "seconds"),
    "device_mark": ("value", "quality"),
    "night_zero": ("share", "share"),
    "other_multiplier": ("times", "times"),
    "grade": ("grade", "grade"),
    "comparison": ("plain", "plain"),
    # These have whatever the rule has that the estimate fails, and do not say which.
    "estimate_fails": ("", ""),
}  # fmt: skip
"""Of each rule, what its observed figure and its limit measure."""

_GRADES: Final = {1: "A", 2: "B", 3: "C", 4: "F"}
_PLAIN: Final[Mapping[str, Callable[[float], str]]] = {
    "grade": lambda value: _GRADES.get(int(value), "–"),
    "share": lambda value: f"{100 * value:.1f} %",
    "times": lambda value: f"× {value:g}",
    "plain": lambda value: f"{value:,g}",
}
_UNITS: Final = ("hours", "days", "slots")


def figures(reader: Reader, item: Item) -> tuple[Markup | None, Markup | None]:
    """Write what a finding's rule saw, and its limit; None for what is not known."""
    observed, limit = MEASURES.get(item.rule, ("", ""))
    return _shown(reader, item, observed, item.observed), _shown(reader, item, limit, item.limit)


def _shown(reader: Reader, item: Item, measure: str, value: float | None) -> Markup | None:
    if value is None or not measure:
        return None
    if measure.startswith("value"):
        return _of_reading(reader, item, measure, value)
    if measure == "quality":
        return escape(reader.quality(int(value)))
    if measure == "seconds":
        return escape(reader.counted("minutes", int(value) // 60))
    if measure in _UNITS:
        return _with(_rounded(value), reader.word(f"figure_unit:{measure}"))
    return _with(_PLAIN[measure](value))


def _of_reading(reader: Reader, item: Item, measure: str, value: float) -> Markup:
    kind = reading_type.named(item.reading_type)
    unit = reader.word(f"unit:{kind.display_unit}")
    if measure == "value_a_day":
        unit = f"{unit} {reader.word('a_day_unit')}"
    return _with(number(kind.shown(round(value))), unit)


def _rounded(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _with(text: str, unit: str = "") -> Markup:
    figure = Markup('<bdi dir="ltr"><span class="n">{}</span></bdi>').format(text)
    return figure + Markup(' <span class="unit">{}</span>').format(unit) if unit else figure
