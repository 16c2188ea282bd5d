"""Whose weekend and holidays count in which time zone, for rules that compare like days."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from mdm import calendar_file
from mdm.intake_layout import Week, Weeks

_WEEKEND = "weekend"


@cache
def standing() -> Weeks:
    """Give the weeks of ``weeks.toml``; Saturday and Sunday where it names no calendar."""
    text = resources.files("mdm").joinpath("weeks.toml").read_text(encoding="utf-8")
    named: dict[str, str] = tomllib.loads(text)
    return Weeks({zone: _week(calendar) for zone, calendar in named.items()})


def _week(name: str) -> Week:
    calendar = calendar_file.named(name)
    types = calendar.versions[-1].weekday
    return Week(
        weekend=frozenset(day for day, kind in enumerate(types) if kind == _WEEKEND),
        holidays=frozenset(calendar.holidays),
    )
