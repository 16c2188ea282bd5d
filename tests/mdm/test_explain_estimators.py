"""Whatever an estimate was made of, it is computed again from that: every estimator there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest

from mdm import explain, usage_points
from mdm.explanation import Explanation, Proof
from schemas import database, quality
from schemas.database import Connection
from tests.mdm.beside import (
    GAP,
    HOUR,
    QUARTER,
    WEEKS,
    beside,
    came,
    curve,
    dials,
    meter,
    morning,
    profile,
    rules,
    run,
    temperatures,
)
from validation.estimators import ESTIMATORS


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def told(connection: Connection, mrid: str, slot: int) -> Explanation:
    connection.commit()
    moment = GAP + slot * QUARTER
    (one,) = explain.explain(connection, f"UP-{mrid}", moment, now=morning(9), weeks=WEEKS)
    connection.rollback()
    return one


@pytest.mark.parametrize(
    ("method", "scaled"),
    [(name, False) for name in ESTIMATORS]
    + [(name, True) for name in ("like_day", "check_meter_value", "virtual_balance")],
)
def test_an_estimate_is_proved_from_what_was_known_when_it_was_made(
    connection: Connection, method: str, scaled: bool
) -> None:
    mrid, mine = "M", rules(method, scaled=scaled)
    meter(connection, mrid)
    beside(connection, method, mrid)
    others = ["C"] if usage_points.named(connection, "UP-C") else []
    if scaled or method == "register":
        dials(connection, mrid, range(-30, 7))
    past = range(-30, 0)
    for each in (mrid, *others):
        came(connection, each, past)
    if method == "year_ago":
        came(connection, mrid, range(-372, -362))
    temperatures(connection, 0, morning(-1))
    run(connection, mine, morning(-1))
    profile(connection, date(2026, 6, 2), morning(-1) + HOUR)
    came(connection, mrid, [0], hole=True)
    run(connection, mine, morning(0))
    if others:
        assert told(connection, mrid, 45).final.value is None
        came(connection, "C", [0])
        run(connection, mine, morning(0) + HOUR)
    one = told(connection, mrid, 45)
    use = ESTIMATORS[method]
    by_register = scaled and method != "register"
    assert one.final.quality == (use.scaled if by_register else use.quality)
    assert one.proof
    assert one.proof.same

    # All that it was made of changes; what it was made of is still known.
    for each in (mrid, *others):
        came(connection, each, range(1, 3))
    run(connection, mine, morning(2))
    before = told(connection, mrid, 45).final
    for each in (mrid, *others):
        came(connection, each, range(3, 7))
    run(connection, mine, morning(6))
    temperatures(connection, 3, morning(6))
    profile(connection, date(2026, 6, 8), morning(6))
    again = told(connection, mrid, 45)
    assert again.final == before
    assert again.proof
    assert again.proof.same
    assert not again.waiting
    assert told(connection, mrid, 10).proof == Proof(
        curve(mrid, 0)[10], quality.VALID, True, None, None
    )
