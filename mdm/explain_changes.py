"""What a validation run goes by, and what of it has changed since a version was made.

Only what the version's rule set asks for is looked at, and only near the interval: a temperature
that no estimator of the set looks at has not changed anything.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from mdm import explain_again
from mdm.explanation import Change, Explanation
from schemas import statements
from schemas.database import Connection
from schemas.period import local_day
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "explain_changes.sql")
# Words for what a statement finds, in the order in which they are told; and the estimators and
# rules without which it does not count: empty for what always does.
_ASKED: Final[dict[str, frozenset[str]]] = {
    "reading": frozenset(),
    "installation": frozenset(),
    "usage_point": frozenset(),
    "end_device": frozenset(),
    "register_wrap": frozenset(),
    "transformer_ratio": frozenset({"other_multiplier"}),
    "outage": frozenset(),
    "outage_event": frozenset(),
    "check_meter": frozenset({"check_meter", "check_meter_value"}),
    "check_meter_reading": frozenset({"check_meter", "check_meter_value"}),
    "node": frozenset({"virtual_balance"}),
    "node_reading": frozenset({"virtual_balance"}),
    "class_profile": frozenset({"class_profile"}),
    "temperature": frozenset({"proxy_day"}),
    "usage_point_term": frozenset(),
}
# Like days and registers of this far from the interval's day may count.
_NEAR: Final = timedelta(days=35)


def since(connection: Connection, told: Explanation, point: int) -> tuple[Change, ...]:
    """Tell what has changed since a version that a validation run made; empty for another's.

    Parameters
    ----------
    point : id of the usage point
    """
    rules = explain_again.rule_set(connection, told.final)
    if rules is None:
        return ()
    zone = ZoneInfo(told.time_zone)
    date = told.starts_at.astimezone(zone).date()
    day = local_day(date, zone)
    limits = {
        "usage_point": point,
        "since": told.final.made_at,
        "start": told.starts_at,
        "end": told.ends_at,
        "day": day.start,
        "day_end": day.end,
        "first_date": date - _NEAR,
        "last_date": date + _NEAR,
        "reading_type": told.reading_type,
        "interval": told.interval_seconds,
    }
    found = {row[0]: row[1:] for row in connection.execute(_SQL["changes"], limits)}
    asked = _asked(rules)
    return tuple(
        Change(what, *found[what])
        for what, names in _ASKED.items()
        if what in found and (not names or names & asked)
    )


def _asked(rules: RuleSet) -> set[str]:
    """Name the rules and estimators of a set."""
    return {use.rule.name for use in rules.rules} | {use.estimator.name for use in rules.estimators}
