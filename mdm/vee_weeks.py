"""Which days are weekend and which are holidays, by time zone, for validation."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Final
from zoneinfo import ZoneInfo

from mdm import calendar_file
from mdm.intake_layout import Week, Weeks

_DAYS: Final = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip


@cache
def shipped() -> Weeks:
    """Read the weeks that come with the program."""
    file = resources.files("mdm").joinpath("vee_weeks.toml")
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> Weeks:
    """Make weeks of TOML text: a table a time zone, with ``weekend`` and perhaps ``calendar``.

    Raises
    ------
    ValueError
        naming a weekday that is none, or a time zone or a calendar that does not exist.
    """
    return Weeks({zone: _week(zone, table) for zone, table in tomllib.loads(text).items()})


def _week(zone: str, table: Mapping[str, Any]) -> Week:
    try:
        ZoneInfo(zone)
    except (KeyError, OSError) as error:
        raise ValueError(f"there is no time zone {zone!r}") from error
    for day in table["weekend"]:
        if day not in _DAYS:
            raise ValueError(f"{zone}: {day!r} is no weekday; write one of {', '.join(_DAYS)}")
    name = table.get("calendar")
    holidays = calendar_file.named(name).holidays if name else ()
    return Week(frozenset(map(_DAYS.index, table["weekend"])), frozenset(holidays))
