"""Crontab expressions as APScheduler triggers, with the meaning that cron gives them.

APScheduler 3 differs from cron in two ways, which are set right here: it counts weekdays from
Monday = 0 (cron: Sunday = 0 or 7), and it asks for day of month *and* weekday where both are
restricted (cron: one of them).

References
----------
POSIX.1-2017, ``crontab``, INPUT FILES.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger

FIELDS = ("minute", "hour", "day", "month", "day_of_week")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SPANS = {"minute": "0-59", "hour": "0-23", "day": "1-31", "month": "1-12 or jan-dec",
          "day_of_week": "0-7 or sun-sat, 0 and 7 are Sunday"}  # fmt: skip
_EXAMPLE = "for example '15 0 * * *' is every day at 00:15"


class BadCron(ValueError):
    """A crontab expression that cannot be read; the message says what, where, and how it goes."""


def trigger(expression: str, zone: ZoneInfo) -> BaseTrigger:
    """Make the trigger of a five-field crontab expression.

    Raises
    ------
    BadCron
    """
    texts = expression.split()
    if len(texts) != len(FIELDS):
        raise BadCron(
            f"cron expression {expression!r} has {len(texts)} fields, not 5: minute hour day month"
            f" weekday; {_EXAMPLE}"
        )
    fields = dict(zip(FIELDS, texts, strict=True))
    days = _weekdays(expression, fields["day_of_week"])
    fields["day_of_week"] = "*" if len(days) == len(_WEEKDAYS) else ",".join(days)
    for name, text in fields.items():
        _check(expression, name, text)
    if "*" not in (fields["day"], fields["day_of_week"]):
        halves = ({**fields, "day": "*"}, {**fields, "day_of_week": "*"})
        return OrTrigger([CronTrigger(**half, timezone=zone) for half in halves])
    return CronTrigger(**fields, timezone=zone)


def _check(expression: str, name: str, text: str) -> None:
    """Name the field that APScheduler cannot read, or that never comes true."""
    try:
        CronTrigger(**{name: text}, timezone=ZoneInfo("UTC"))
    except ValueError as error:
        raise _bad(expression, name, text) from error


def _weekdays(expression: str, text: str) -> list[str]:
    """Read cron's weekday field into names, in cron's order."""
    chosen: set[int] = set()
    for part in text.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            first, dash, last = "0", "-", "6"
        start, end = _weekday(first), _weekday(last if dash else first)
        if start is None or end is None or end < start or (step and not step.isdecimal()):
            raise _bad(expression, "day_of_week", text)
        # A lone weekday with a step runs to the end of the week.
        end = 6 if step and not dash else end
        chosen.update(day % 7 for day in range(start, end + 1, max(1, int(step or 1))))
    return [_WEEKDAYS[day] for day in sorted(chosen)]


def _weekday(text: str) -> int | None:
    if text in _WEEKDAYS:
        return _WEEKDAYS.index(text)
    return int(text) if text.isdecimal() and int(text) <= 7 else None


def _bad(expression: str, name: str, text: str) -> BadCron:
    place = FIELDS.index(name) + 1
    return BadCron(
        f"cron expression {expression!r}: field {place} ({name.replace('_', ' ')}) is {text!r}, and"
        f" must be of {_SPANS[name]}, with * , - and /; {_EXAMPLE}"
    )
