"""What every estimator was asked for, filled and declined stands with the run."""

from __future__ import annotations

from datetime import UTC, datetime

from mdm import vee
from schemas import database, quality
from tests.mdm import record

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)


def test_a_run_keeps_what_was_tried_and_why_it_was_declined(database_url: str) -> None:
    values = [100] * 20 + [0] * 2 + [100] * 20 + [0] * 20 + [100] * 34
    marks = [quality.MISSING if value == 0 else 0 for value in values]
    with database.connect(database_url) as connection:
        point = record.usage_point(connection, "UP-1")
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY, values, marks)
        vee.run(connection, now=record.NOW, rule_sets=record.RULES)
        rows = connection.execute("SELECT counters -> 'attempts' FROM vee_run").fetchall()
    assert rows == [
        (
            [
                {
                    "method": "linear",
                    "tried": 22,
                    "filled": 2,
                    "declined": {"gap too long": 20},
                },
                {
                    "method": "like_day",
                    "tried": 20,
                    "filled": 0,
                    "declined": {"too few sound like days": 20},
                },
                {
                    "method": "register",
                    "tried": 20,
                    "filled": 0,
                    "declined": {"no register span to share out": 20},
                },
            ],
        )
    ]
