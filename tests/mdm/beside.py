"""A month of a meter's days, then one with a hole; and what estimators have beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np

from mdm import beside_import, class_profiles, vee, virtual_import
from mdm.intake_layout import Week, Weeks
from mdm.virtual_file import COLUMNS
from schemas import statements
from schemas.database import Connection
from tests.mdm import record
from validation import ruleset
from validation.ruleset import RuleSet

# Tuesday 2 June 2026 in Kuwait; a month of days before it is known, then it comes with a hole.
GAP = datetime(2026, 6, 1, 21, tzinfo=UTC)
ONE, HOUR, QUARTER = timedelta(days=1), timedelta(hours=1), timedelta(minutes=15)
HOLE = slice(40, 60)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
IMPORT = "active_energy_import_interval"
PARAMETERS = {
    "zero": "between_outages = false",
    "linear": 'limit_hours = 6\ninclusive = true\none_anchor = "flat"\nbeside_bad = "decline"',
    "like_day": 'count = 10\nfewest = 3\nlike = "kind"\nwithin_days = 60',
    "weighted_average": "decay_per_hour = 0.25\nlimit_hours = 12\ncount = 10\nfewest = 3\n"
    'like = "kind"\nwithin_days = 60',
    "nearest_equivalent": "weeks = 2",
    "multi_week": "before = 3\nafter = 1\nfewest = 2",
    "daily_load": "within_days = 14\nfewest = 3",
    "hold": "limit_hours = 24",
    "class_profile": "within_days = 30\nfewest = 3",
    "proxy_day": 'count = 3\nfewest = 1\nlike = "kind"\nwithin_days = 30\nwithin_degrees = 5',
}


def rules(*methods: str, scaled: bool = False) -> tuple[RuleSet, ...]:
    text = record.RULES[0].text.partition("[[estimators]]")[0]
    if not scaled:
        text = text.replace("scale_to_register = true", "scale_to_register = false")
    for method in methods:
        text += f'\n[[estimators]]\nmethod = "{method}"\n{PARAMETERS.get(method, "")}\n'
    return (ruleset.parse(text, "tests"),)


def curve(mrid: str, day: int) -> list[int]:
    dice = np.random.default_rng([sum(map(ord, mrid)), day + 500])
    shape = 200 + 150 * np.sin(np.arange(96) / 96 * 2 * np.pi)
    return [int(value) for value in shape * dice.uniform(0.8, 1.2) + dice.integers(0, 50, 96)]


def meter(connection: Connection, mrid: str) -> None:
    record.installation(connection, record.usage_point(connection, f"UP-{mrid}"), mrid)


def came(connection: Connection, mrid: str, days: Sequence[int], *, hole: bool = False) -> None:
    """Land days, counted from the one with the hole, each the morning after."""
    for day in days:
        start, values = GAP + day * ONE, curve(mrid, day)
        at = start + ONE + 3 * HOUR
        parts = [slice(0, HOLE.start), slice(HOLE.stop, 96)] if hole else [slice(0, 96)]
        for part in parts:
            first = start + part.start * QUARTER
            record.land(connection, mrid, first, values[part], collected_at=at)


def dials(connection: Connection, mrid: str, days: Sequence[int]) -> None:
    total = 1000
    for day in days:
        at = GAP + day * ONE
        rows = [(at, total)]
        record.land_registers(connection, mrid, rows, collected_at=at + HOUR)
        total += sum(curve(mrid, day))


def run(connection: Connection, rule_sets: tuple[RuleSet, ...], now: datetime) -> None:
    while vee.run(connection, now=now, weeks=WEEKS, rule_sets=rule_sets).taken:
        pass


def morning(day: int) -> datetime:
    """When a day has been read, and validated."""
    return GAP + (day + 1) * ONE + 9 * HOUR


def beside(connection: Connection, method: str, mrid: str) -> None:
    """Put what an estimator needs beside the meter."""
    if method == "check_meter_value":
        meter(connection, "C")
        head = ",".join(beside_import.CHECK_COLUMNS)
        text = f"{head}\nUP-{mrid},UP-C,2026-01-01,\n"
        file = io.StringIO(text)
        assert not beside_import.check_meters(connection, file, now=morning(-40)).rejected
    if method == "virtual_balance":
        meter(connection, "C")
        common = f"NODE,balance,electricity,service,Asia/Kuwait,none,none,{IMPORT},900"
        text = f"{common},UP-C,,1,in,2026-01-01,\n{common},UP-{mrid},,-1,out,2026-01-01,\n"
        file = io.StringIO(",".join(COLUMNS) + "\n" + text)
        assert not virtual_import.import_definitions(connection, file, now=morning(-40)).rejected
    if method == "zero":
        for at, code in ((HOLE.start, 1), (HOLE.stop, 2)):
            connection.execute(
                statements.load("headend", "landing.sql")["land_events"],
                {
                    "end_devices": [1], "occurred_at": [GAP + at * QUARTER],
                    "categories": ["power"], "codes": [code], "descriptions": [""],
                    "sessions": [None], "now": morning(-1),
                },
            )  # fmt: skip


def temperatures(connection: Connection, shift: int, now: datetime) -> None:
    rows = [f"Asia/Kuwait,{date(2026, 5, 1) + n * ONE},{30 + (n + shift) % 7}" for n in range(36)]
    text = "\n".join(["place,time,celsius", *rows, ""])
    assert not beside_import.temperatures(connection, io.StringIO(text), now=now).rejected


def profile(connection: Connection, end: date, now: datetime) -> None:
    made = class_profiles.make(connection, date(2026, 5, 1), end, now=now, weeks=WEEKS)
    assert made
