"""Calendars of billing cycles: when each group's cycles begin, end and close.

A file has one ``[[group]]`` entry a billing group; ``docs/billing.md`` describes it.
"""

from __future__ import annotations

import calendar as months
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources
from itertools import count, pairwise
from typing import Any, Final

from mdm import calendar_file
from mdm.calendar import HOLIDAY, Calendar, CalendarError

WEEKEND: Final = "weekend"
"""The day type of calendars on which, as on holidays, nothing closes."""

KEYS: Final = {
    "name", "from", "day", "months", "dates", "close_after_days", "working_days", "estimate",
    "addressee", "target", "format", "follow_days",
}  # fmt: skip
_LONGEST: Final = 366
_FURTHEST: Final = date(2200, 1, 1)


class PlanError(ValueError):
    """A calendar of cycles is wrong; the message says which entry and why."""


@dataclass(frozen=True, slots=True)
class Span:
    """One cycle that is to be: local days, ``ends_on`` not in it, and its closing day."""

    starts_on: date
    ends_on: date
    closes_on: date


@dataclass(frozen=True, slots=True)
class Plan:
    """A billing group's cycles.

    Attributes
    ----------
    first : first day of the first cycle
    day : of the month on which cycles begin; in shorter months the last one
    months : length of a cycle; 0 where ``dates`` say
    dates : on which cycles begin; the last only ends one
    close_after_days : how long actuals are waited for after a cycle's end
    working_days : calendar on whose weekends and holidays nothing closes; None: any day will do
    estimate : whether what is missing by then is estimated
    addressee : to whom the bills go
    target, format : where bills are delivered on the closing day; None: nobody does by itself
    follow_days : how long after its closing a cycle is computed anew every day
    definition : the entry as canonical JSON, from which it can be made again
    """

    group: str
    first: date
    day: int
    months: int
    dates: tuple[date, ...]
    close_after_days: int
    working_days: str | None
    estimate: bool
    addressee: str
    target: str | None
    format: str
    follow_days: int
    definition: str

    def spans(self, until: date) -> Iterator[Span]:
        """Give every cycle that begins before a day, oldest first.

        Raises
        ------
        CalendarError
            if the calendar of working days does not cover a closing day.
        """
        for starts_on, ends_on in pairwise(self._boundaries()):
            if starts_on >= min(until, _FURTHEST):
                return
            yield Span(starts_on, ends_on, self.closing(ends_on))

    def closing(self, ends_on: date) -> date:
        """Give the day on which a cycle closes: the wanted one, or the next working day."""
        day = ends_on + timedelta(days=self.close_after_days)
        if self.working_days is None:
            return day
        known = calendar_file.named(self.working_days)
        return next(
            later for later in (day + timedelta(days=n) for n in count()) if _works(known, later)
        )

    def _boundaries(self) -> Iterator[date]:
        if self.dates:
            yield from (day for day in self.dates if day >= self.first)
            return
        for number in count(0, self.months):
            year, month = divmod(self.first.year * 12 + self.first.month - 1 + number, 12)
            if year >= _FURTHEST.year:
                return
            last = months.monthrange(year, month + 1)[1]
            yield date(year, month + 1, min(self.day, last))


def _works(known: Calendar, day: date) -> bool:
    return known.day_type(day) not in (WEEKEND, HOLIDAY)


def parse(text: str, source: str) -> list[Plan]:
    """Make plans of a TOML text.

    Raises
    ------
    PlanError
        naming the source, the entry and what is wrong.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise PlanError(f"{source}: {problem}") from problem
    entries = content.get("group")
    if not isinstance(entries, list) or not entries or content.keys() != {"group"}:
        raise PlanError(f"{source}: needs entries [[group]], one a billing group, and nothing else")
    plans = []
    for number, entry in enumerate(entries, 1):
        place = f"{source}: group {number} ({entry.get('name', 'without a name')})"
        plans.append(restored(json.dumps(entry, default=date.isoformat), place))
    names = [plan.group for plan in plans]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PlanError(f"{source}: group {twice[0]!r} is there twice")
    return plans


def restored(definition: str, place: str = "stored plan") -> Plan:
    """Make a plan again from its ``definition``.

    Raises
    ------
    PlanError
        naming the place and what is wrong.
    """
    content = json.loads(definition)
    try:
        return _plan(content)
    except KeyError as problem:
        raise PlanError(f"{place}: {problem} is missing") from problem
    except (TypeError, ValueError, CalendarError) as problem:
        raise PlanError(f"{place}: {problem}") from problem


def _plan(entry: Mapping[str, Any]) -> Plan:
    if unknown := sorted(entry.keys() - KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(KEYS))}")
    dates = tuple(date.fromisoformat(day) for day in entry.get("dates", []))
    first = date.fromisoformat(entry["from"]) if "from" in entry or not dates else dates[0]
    plan = Plan(
        group=_text(entry["name"], "name"),
        first=first,
        day=_number(entry.get("day", first.day), "day", 1, 31),
        months=0 if dates else _number(entry.get("months", 1), "months", 1, 24),
        dates=dates,
        close_after_days=_number(entry.get("close_after_days", 0), "close_after_days", 0, _LONGEST),
        working_days=entry.get("working_days"),
        estimate=_flag(entry.get("estimate", True), "estimate"),
        addressee=str(entry.get("addressee", "")),
        target=_text(entry["target"], "target") if "target" in entry else None,
        format=_text(entry.get("format", "json"), "format"),
        follow_days=_number(entry.get("follow_days", 45), "follow_days", 0, 3660),
        definition=json.dumps(entry, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
    )
    _check(plan, entry)
    return plan


def _check(plan: Plan, entry: Mapping[str, Any]) -> None:
    """Refuse what does not fit together."""
    if plan.dates:
        if {"day", "months"} & entry.keys():
            raise ValueError("cycles begin either on dates or by day and months")
        if len(plan.dates) < 2 or list(plan.dates) != sorted(set(plan.dates)):
            raise ValueError("dates must ascend; there must be two at least")
        if plan.first not in plan.dates:
            raise ValueError(f"from: {plan.first} is none of the dates")
    elif plan.first.day != min(plan.day, months.monthrange(plan.first.year, plan.first.month)[1]):
        raise ValueError(f"from: {plan.first} is not on day {plan.day} of its month")
    if plan.working_days is not None:
        calendar_file.named(plan.working_days)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false")
    return value


def _number(value: object, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return value


def shipped() -> dict[str, str]:
    """Give the texts of the calendars of cycles that come with the program, by name."""
    folder = resources.files("mdm").joinpath("cycles")
    files = (entry for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {file.name.removesuffix(".toml"): file.read_text("utf-8") for file in files}
