"""Says in plain words how a meter is doing, since when, why, and what to do. Pure.

The words stand in ``diagnosis.csv``, in English and Arabic.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from typing import Literal

Level = Literal["good", "warning", "bad", "unknown"]

# The class of error (drivers.errors) and the verdict it means.
_ERRORS = {
    "Unreachable": "unreachable",
    "Refused": "refused",
    "TimedOut": "no_answer",
    "HalfAnswer": "half_answer",
    "NoUnit": "no_unit",
    "Busy": "busy",
    "Broken": "line_breaks",
    "HungUp": "hangs_up",
    "LinkError": "line_breaks",
    "WrongKey": "wrong_key",
    "CounterOutOfSync": "counter",
    "AccessDenied": "access_denied",
    "MeterRefused": "access_denied",
    "NotOffered": "not_offered",
    "Faulty": "faulty",
    "WrongMeter": "wrong_meter",
    "WrongUnit": "wrong_unit",
    "Garbled": "garbled",
    "OutOfStep": "out_of_step",
    "RemoteProtocolError": "protocol",
    "Untrusted": "protocol",
    "UnknownIssuer": "protocol",
    "WrongName": "protocol",
    "Expired": "protocol",
    "ProtocolError": "protocol",
    "LocalProtocolError": "defect",
    "DriverError": "defect",
}
# IEC 62054-21 holds a time switch to half a second a day; a minute is what quarter hours bear.
CLOCK_LIMIT = timedelta(seconds=60)
# Three polls of a daily schedule, or many of a faster one.
SILENCE = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Condition:
    """What the head-end knows of an end device.

    Attributes
    ----------
    error : class of ``drivers.errors`` that its last session ended with, None if it ended well
    clock_deviation : meter minus reference; None if its clock was never read
    held : True if it is not tried again by itself
    capture_seconds : how often the meter itself says that it stores intervals; None if unknown [s]
    power_off_at : when its last gasp came, None if none did
    """

    last_attempt: datetime | None = None
    last_ok: datetime | None = None
    failing_since: datetime | None = None
    error: str | None = None
    message: str | None = None
    failures: int = 0
    next_attempt: datetime | None = None
    held: bool = False
    clock_deviation: timedelta | None = None
    capture_seconds: int | None = None
    power_off_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a verdict, in English and Arabic."""

    level: Level
    text_en: str
    text_ar: str
    advice_en: str
    advice_ar: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a meter is doing.

    Attributes
    ----------
    name : row of ``diagnosis.csv``
    since : since when; None where there is no such moment
    detail : what the last session said, None if it said nothing
    """

    name: str
    words: Words
    since: datetime | None
    detail: str | None


@cache
def table() -> dict[str, Words]:
    """Give the words of every verdict by name."""
    text = resources.files("headend").joinpath("diagnosis.csv").read_text("utf-8")
    rows = csv.DictReader(text.splitlines())
    return {
        row["verdict"]: Words(
            row["level"],  # type: ignore[arg-type]  # held by a test
            row["text_en"],
            row["text_ar"],
            row["advice_en"],
            row["advice_ar"],
        )
        for row in rows
    }


def verdict(condition: Condition, *, now: datetime, interval: timedelta = timedelta(0)) -> Verdict:
    """Judge a meter by its condition.

    Parameters
    ----------
    interval : the length of its intervals in the registry; silence is judged by three of them,
        three days at least; zero: unknown
    """
    judged = _without_power(condition) or _name(condition, now, max(SILENCE, 3 * interval))
    name, since = judged
    captured = condition.capture_seconds
    if name == "talks" and interval and captured and captured != interval.total_seconds():
        name = "interval_differs"
    return Verdict(name, table()[name], since, condition.message)


def _without_power(condition: Condition) -> tuple[str, datetime] | None:
    gasp, heard = condition.power_off_at, condition.last_ok
    return ("power_off", gasp) if gasp and (heard is None or heard < gasp) else None


def _name(condition: Condition, now: datetime, silence: timedelta) -> tuple[str, datetime | None]:
    if condition.last_attempt is None:
        return "never_read", None
    if condition.failing_since is not None:
        return _ERRORS.get(condition.error or "", "defect"), condition.failing_since
    if condition.last_ok is not None and now - condition.last_ok > silence:
        return "stale", condition.last_ok
    if condition.error == "AccessDenied":
        return "limited", condition.last_attempt
    deviation = condition.clock_deviation
    if deviation is not None and abs(deviation) > CLOCK_LIMIT:
        return "clock_off", condition.last_attempt
    return "talks", condition.last_ok
