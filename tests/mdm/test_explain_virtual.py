"""A sum is proved by computing it again from the versions that it names, down to the meters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from mdm import explain
from mdm.explain import Explanation
from schemas import database, quality
from schemas.database import Connection
from tests.mdm import record, test_virtual
from tests.mdm.record import NOW
from tests.mdm.test_virtual import DAY, HOUR, ONE, A, B, compute, lines, put, take

QUARTER = timedelta(minutes=15)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A feeder less its loss and a meter, and under it all a sum of that and another meter."""
    with database.connect(database_url) as connection:
        for n in range(2):
            put(connection, "F", A, start=DAY + n * ONE)
            put(connection, "M", B, start=DAY + n * ONE)
            put(connection, "H", [4000 + n] * 24, start=DAY + n * ONE, seconds=3600)
        take(
            connection,
            lines("F,,1,,2026-01-01,", "F,,-0.033333,loss,2026-01-01,", "M,,-2.5,,2026-06-03,"),
            lines("V,,0.7,,2026-01-01,", "H,,1,,2026-01-01,", virtual="W"),
        )
        compute(connection)
        yield connection


def told(connection: Connection, name: str, slot: int) -> Explanation:
    connection.commit()
    moment = DAY + slot * QUARTER
    (one,) = explain.explain(connection, name, moment, now=NOW + ONE)
    connection.rollback()
    return one


@pytest.mark.parametrize(("name", "beneath"), [("V", 0), ("W", 1)])
@pytest.mark.parametrize("slot", [0, 95, 96, 150])
def test_a_sum_is_the_same_again_and_so_are_the_sums_under_it(
    connection: Connection, name: str, beneath: int, slot: int
) -> None:
    one = told(connection, name, slot)
    assert one.proof
    assert one.proof == explain.Proof(
        one.final.value, one.final.quality, True, None, None, beneath=beneath
    )
    # The meter counts from 3 June on only.
    dated = 3 if slot >= 96 else 2
    assert len(one.inputs) == (dated if name == "V" else 2)


def test_what_is_late_or_defined_anew_is_told_and_then_proved(connection: Connection) -> None:
    first = told(connection, "W", 100)
    put(connection, "M", [0, *B[1:]], start=DAY + ONE, when=NOW + HOUR)
    waits = told(connection, "V", 96)
    assert waits.waiting
    assert waits.proof
    assert waits.proof.same
    compute(connection, NOW + HOUR)
    take(connection, lines("F,,1,,2026-01-01,", "M,,-1,,2026-01-01,"), now=NOW + 2 * HOUR)
    assert told(connection, "W", 96).final.number == 2
    compute(connection, NOW + 2 * HOUR)
    second = told(connection, "W", 100)
    assert (second.final.number, second.waiting) == (3, False)
    assert second.final.value != first.final.value
    assert second.proof
    assert (second.proof.same, second.proof.beneath) == (True, 1)


def test_what_a_person_decided_on_the_way_is_no_lie(connection: Connection) -> None:
    channel = test_virtual.result(connection, "V").channel_id[0]
    record.record(
        connection,
        record.blocks([int(channel)], [int(DAY.timestamp())], [[7] * 96], [[quality.EDITED] * 96]),
        NOW + HOUR,
    )
    connection.execute(
        "UPDATE provenance SET kind = 'edit', person = 'N', reason = 'r' WHERE recorded_at = %s",
        [NOW + HOUR],
    )
    compute(connection, NOW + 2 * HOUR)
    assert told(connection, "V", 3).proof is None
    one = told(connection, "W", 3)
    assert one.proof
    assert one.proof.same


def test_a_record_that_was_tampered_with_does_not_prove(connection: Connection) -> None:
    connection.execute(
        'UPDATE interval_block SET "values"[5] = 1 WHERE channel_id ='
        " (SELECT channel_id FROM virtual_channel ORDER BY channel_id LIMIT 1) AND starts_at = %s",
        [DAY],
    )
    above, itself = told(connection, "W", 9), told(connection, "V", 4)
    assert itself.proof
    assert (itself.proof.same, itself.final.value) == (False, 1)
    assert above.proof
    assert not above.proof.same
    assert above.proof.differing == ("V, day of 2026-06-01 21:00 UTC, version 1",)
