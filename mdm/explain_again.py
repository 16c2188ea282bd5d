"""An interval that a validation run made, computed again as the run did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import product
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from mdm import explain_known, intake, intake_cube, intake_shares
from mdm.explanation import Explanation, Proof, Version
from mdm.intake_cube import Intake
from mdm.intake_layout import Weeks
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.quality import QualityClass
from validation import engine, ruleset
from validation.ruleset import RuleSet

_SQL = statements.load("mdm", "explain.sql")
_MICRO: Final = Decimal(1_000_000)


def proof(
    connection: Connection, told: Explanation, point: int, now: datetime, weeks: Weeks
) -> Proof | None:
    """Compute an interval again as the run did that made it; and once without scaling.

    From what was known at that time; where that gives another value, from what is known now: the
    clock that stamps readings may be ahead of the run's. None where a person made it, or its rule
    set is not kept.
    """
    made = told.final.made_at
    return _first_same(connection, told, point, (made, None), _Seen(now, weeks))


def today(
    connection: Connection, told: Explanation, point: int, now: datetime, weeks: Weeks
) -> Proof | None:
    """Compute an interval again by the rules that made it, from what is known now."""
    return _first_same(connection, told, point, (None,), _Seen(now, weeks))


def rule_set(connection: Connection, version: Version) -> RuleSet | None:
    """Give the rule set that made a version, word by word; None if a person or a file did."""
    if version.kind != "vee" or version.rule_set_digest is None:
        return None
    digest = version.rule_set_digest
    row = connection.execute(_SQL["definition"], {"digest": digest}).fetchone()
    if row is not None:
        return ruleset.parse(row[0], f"{version.rule_set}@{digest[:12]}")
    return next((each for each in ruleset.shipped() if each.digest == digest), None)


def value(number: int, code: int) -> int | None:
    """Give a value as it is told: None where it is missing."""
    return None if quality.class_table()[code] == QualityClass.MISSING else number


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a run is taken to have seen: what was known at a moment, and a year ago too or not."""

    now: datetime
    weeks: Weeks
    known_at: datetime | None = None
    reach: int = 0


def _first_same(
    connection: Connection,
    told: Explanation,
    point: int,
    moments: tuple[datetime | None, ...],
    seen: _Seen,
) -> Proof | None:
    """Try what a run may have seen, one after the other, until the same comes out."""
    rules = rule_set(connection, told.final)
    if rules is None:
        return None
    found = None
    far = any(use.estimator.name == "year_ago" for use in rules.estimators)
    for known_at, reach in product(moments, (0, intake_shares.YEAR) if far else (0,)):
        with explain_known.at(connection, known_at):
            one = _from(
                connection, told, point, rules, replace(seen, known_at=known_at, reach=reach)
            )
        # What was known then is shown where nothing comes out the same.
        found = one if found is None or (one is not None and one.same) else found
        if found is not None and found.same:
            break
    return found


def _from(
    connection: Connection, told: Explanation, point: int, rules: RuleSet, seen: _Seen
) -> Proof | None:
    now, weeks = seen.now, seen.weeks
    ((name,),) = connection.execute(_SQL["zone"], {"usage_point": point})
    zone = ZoneInfo(name)
    day = local_day(told.starts_at.astimezone(zone).date(), zone)
    taken = intake.seen_days(connection, [point], Period(day.start, day.end), now=now)
    for work in intake.works(taken):
        if work.interval_seconds != told.interval_seconds:
            continue
        past = replace(work, known_at=seen.known_at, reach=seen.reach)
        for part in intake_cube.intakes(connection, past, weeks=weeks, now=now, add_channels=False):
            kinds = part.channels.reading_type == reading_type.named(told.reading_type).id
            kinds &= (part.channels.usage_point == point) & (part.channels.id > 0)
            for row in np.flatnonzero(kinds).tolist():
                return _again(part, row, told, rules)
    return None


def _again(part: Intake, row: int, told: Explanation, rules: RuleSet) -> Proof:
    layout = part.layout
    second = int(told.starts_at.timestamp())
    day = int(layout.day_of(np.array([second]))[0])
    slot = (second - int(layout.bounds[day])) // layout.interval_seconds
    place = (row, day, slot)
    scaled = engine.run(part.cube, rules)
    code = int(scaled.quality[place])
    amount = value(int(scaled.values[place]), code)
    final = told.final
    estimate = factor = None
    if quality.class_table()[code] == QualityClass.ESTIMATED:
        plain = engine.run(part.cube, replace(rules, scale_to_register=False))
        estimate = value(int(plain.values[place]), int(plain.quality[place]))
        if estimate and amount is not None:
            factor = (Decimal(amount) / Decimal(estimate)).quantize(1 / _MICRO)
    same = (amount, code) == (final.value, final.quality)
    cell = int(np.ravel_multi_index(place, part.cube.shape))
    to = scaled.scaled_to[scaled.scaled == cell].tolist()
    register = reading_type.of_id(to[0]).name if to and to[0] else None
    return Proof(amount, code, same, estimate, factor, register)
