"""Has days validated again for what comes beside readings after they were validated.

Temperatures, a first profile of a class, check meters and nodes are noted where they are imported;
what events say about the supply, by the database. Late readings, those of check meters and of flows
of a node, and outages that meters tell need no note: they arrive as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal

import numpy as np

from schemas import quality, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from validation import ruleset
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "vee_late.sql")
Kind = Literal["temperature", "class_profile", "check_meter", "node", "outage_event"]
# The estimator that each is for, and the rule that looks at all days.
_METHODS: Final = {
    "temperature": "proxy_day", "class_profile": "class_profile",
    "check_meter": "check_meter_value", "node": "virtual_balance",
}  # fmt: skip
_RULES: Final = {"check_meter": "check_meter"}
# Usage points that are looked at together, and how often in one batch.
_TOGETHER: Final = 500
_STEPS: Final = 20


@dataclass(frozen=True, slots=True)
class Looked:
    """Usage points (or end devices) that were looked at, and stretches to be done again."""

    points: int = 0
    arrivals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """Something that came for days that may have been validated; what is None does not choose.

    Attributes
    ----------
    first, last : local days
    own : whether estimates that were made from what it was before are made again
    place : billing group or time zone
    usage_point, channel, reading_type : ids
    interval : of the channels [s]
    """

    kind: Kind
    first: date
    last: date
    own: bool = False
    place: str | None = None
    usage_point: int | None = None
    channel: int | None = None
    sector: str | None = None
    tariff: str | None = None
    reading_type: int | None = None
    interval: int | None = None


def note(connection: Connection, late: Iterable[Late], *, now: datetime) -> None:
    """Have the days that something may change looked for by the next validation runs."""
    for each in late:
        row = {name: getattr(each, name) for name in Late.__slots__}
        connection.execute(_SQL["note"], row | {"now": now})


def stretches(days: Sequence[date]) -> Iterator[tuple[date, date]]:
    """Give first and last of each run of consecutive days.

    Parameters
    ----------
    days : ascending
    """
    first = last = None
    for day in days:
        if first is None or last is None:
            first = day
        elif day - last > timedelta(days=1):
            yield first, last
            first = day
        last = day
    if first is not None and last is not None:
        yield first, last


def reopen(connection: Connection, *, now: datetime) -> Looked:
    """Look for days that late inputs may change, until some are found, in the caller's transaction.

    They arrive then like late readings. Nothing is left to look at when no usage point was.
    """
    points = 0
    for _ in range(_STEPS):
        row = connection.execute(_SQL["claim"]).fetchone()
        if row is None:
            break
        done = _step(connection, *row, now=now)
        points += max(done.points, 1)
        if done.arrivals:
            return Looked(points, done.arrivals)
    return Looked(points)


def _step(connection: Connection, number: int, kind: Kind, own: bool, *, now: datetime) -> Looked:
    """Take the next usage points of one late input on; forget it after the last."""
    limits: dict[str, object] = {"id": number, "limit": _TOGETHER, "now": now}
    statement = "reopen_events"
    if kind != "outage_event":
        rules = list(_rules(connection, kind, own))
        reach = max((each.reach for each in rules), default=0)
        told = [{"digest": r.digest, "codes": r.codes, "every": r.every} for r in rules]
        limits |= {"rules": json.dumps(told), "reach": reach}
        statement = "reopen"
        if not rules:
            connection.execute(_SQL["forget"], {"id": number})
            return Looked()
    ((points, last, arrivals),) = connection.execute(_SQL[statement], limits)
    if points < _TOGETHER:
        connection.execute(_SQL["forget"], {"id": number})
    else:
        connection.execute(_SQL["go_on"], {"id": number, "after": last})
    return Looked(points, arrivals)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What of a rule set's results an input may change.

    Attributes
    ----------
    codes : of intervals that the input's estimator might have filled
    every : whether a rule of the set looks at the input on every day
    reach : days after the input's for which it counts
    """

    digest: str
    codes: list[int]
    every: bool
    reach: int


def _rules(connection: Connection, kind: Kind, own: bool) -> Iterator[_Rules]:
    """Give what the rule sets that were ever used make of an input."""
    method = _METHODS[kind]
    # A rule's name is the beginning of its estimator's.
    limits = {"name": _RULES.get(kind, method)}
    for digest, definition in connection.execute(_SQL["definitions"], limits).fetchall():
        rule_set = _parsed(definition)
        every = kind in _RULES and rule_set.use(_RULES[kind]) is not None
        codes = _codes(rule_set, method, own)
        if every or codes:
            yield _Rules(digest, codes, every, _reach(rule_set, kind))


@lru_cache(maxsize=64)
def _parsed(definition: str) -> RuleSet:
    return ruleset.parse(definition, "a rule set of the record")


def _codes(rule_set: RuleSet, method: str, own: bool) -> list[int]:
    """Give the codes of intervals that an estimator might have filled; none without it.

    What lacks a value, and what an estimator after it filled; with ``own`` what it filled itself.
    """
    uses = rule_set.estimators
    places = [n for n, use in enumerate(uses) if use.estimator.name == method]
    if not places:
        return []
    after = uses[places[0] if own else places[0] + 1 :]
    missing = np.flatnonzero(quality.class_table() == QualityClass.MISSING).tolist()
    codes = {*missing, *(use.estimator.quality for use in after)}
    codes |= {use.estimator.scaled for use in after}
    return sorted(codes - set(quality.BY_PEOPLE))


def _reach(rule_set: RuleSet, kind: Kind) -> int:
    """Give for how many days after it a temperature counts: as long as it may be a like day's."""
    if kind != "temperature":
        return 0
    uses = (use for use in rule_set.estimators if use.estimator.name == _METHODS[kind])
    return max((int(str(use.parameters["within_days"])) for use in uses), default=0)
