"""Which period of a calendar an instant belongs to, by the wall clock, one instant at a time."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@cache
def read(name: str) -> dict[str, Any]:
    text = (resources.files("mdm") / "calendars" / f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def periods(name: str) -> list[str]:
    """Give the names of all periods, in the order in which the file has them."""
    found: dict[str, None] = {}
    for version in read(name)["version"]:
        for schedule in version["schedule"]:
            found.update(dict.fromkeys(period for _, period in schedule["periods"]))
    return list(found)


@cache
def period_of(name: str, at: datetime, zone: ZoneInfo) -> str:
    """Give the period of the local day and time at which an interval starts."""
    local = at.astimezone(zone)
    clock, found = f"{local:%H:%M}", ""
    for since, period in _schedule(name, local.date()):
        if since <= clock:
            found = period
    return found


@cache
def _schedule(name: str, day: date) -> list[list[str]]:
    content = read(name)
    standing = [v for v in content["version"] if v["effective_from"] <= day]
    version = max(standing, key=lambda v: v["effective_from"])
    kind = next(
        kind for kind, names in version["day_types"].items() if _WEEKDAYS[day.weekday()] in names
    )
    if any(day in holiday["dates"] for holiday in content.get("holiday", [])):
        kind = "holiday"
    season = next(s["name"] for s in version["season"] if _inside(s, day))
    (schedule,) = (s for s in version["schedule"] if s["season"] == season and kind in s["days"])
    return sorted(schedule["periods"])


def _inside(season: dict[str, str], day: date) -> bool:
    since, until, today = season["from"], season["until"], f"{day:%m-%d}"
    if since <= until:
        return since <= today <= until
    return today >= since or today <= until
