from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headend import landing, pieces
from headend.landing_rows import Answer
from schemas import database, quality
from schemas.event import EndDeviceEvent
from schemas.reading import IntervalBlock, RegisterReading
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 3, 0, 20, tzinfo=UTC)
DAY = datetime(2026, 6, 1, tzinfo=UTC)
IMPORT = "active_energy_import_interval"


def block(start: datetime, values: list[int], codes: list[int] | None = None) -> IntervalBlock:
    array = None if codes is None else np.array(codes, np.int16)
    return IntervalBlock(IMPORT, start, 900, np.array(values, np.int64), array)


@given(
    start=st.integers(0, 200_000),
    count=st.integers(1, 300),
    interval=st.sampled_from([60, 900, 1800, 3600, 86400]),
)
def test_pieces_join_to_the_block_and_none_starts_a_new_day(
    start: int, count: int, interval: int
) -> None:
    whole = IntervalBlock(
        IMPORT,
        datetime.fromtimestamp(start, UTC),
        interval,
        np.arange(count),
        np.arange(count, dtype=np.int16),
    )
    cut = pieces.cut(whole)
    assert np.concatenate([piece.values for piece in cut]).tolist() == list(range(count))
    assert np.concatenate([piece.quality for piece in cut]).tolist() == list(range(count))
    at = whole.start
    for piece in cut:
        assert piece.start == at
        last = piece.period.end - timedelta(seconds=interval)
        assert last.date() == piece.start.date()
        at = piece.period.end
    assert len({piece.start.date() for piece in cut}) == len(cut)


def test_the_digest_tells_values_qualities_and_lengths_apart_and_stays() -> None:
    one = block(DAY, [1, 2, 3])
    assert pieces.digest(one) == pieces.digest(block(DAY, [1, 2, 3], [0, 0, 0]))
    others = [
        block(DAY, [1, 2, 4]),
        block(DAY, [1, 2, 3], [0, 10, 0]),
        IntervalBlock(IMPORT, DAY, 1800, np.array([1, 2, 3])),
    ]
    assert len({pieces.digest(other) for other in [one, *others]}) == 4
    # Rows of years ago must be recognised: this number may never change.
    assert pieces.digest(one) == 3177006431326594856


@pytest.mark.storage
def test_what_lands_is_cut_at_midnight_and_says_what_arrived(database_url: str) -> None:
    with database.connect(database_url) as connection:
        device = end_device(connection, "M1")
        answer = Answer(
            device,
            [block(DAY + timedelta(hours=23), [1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 11, 0])],
            [RegisterReading("active_energy_import", DAY, 12_345_678_901)],
            [EndDeviceEvent(DAY, "power", 1, "power down")],
        )
        landed = landing.land(connection, [answer], source="dlms", now=NOW)
        assert landed == {device: landing.Landed(6, 1, 1, 0)}
        rows = connection.execute(
            "SELECT starts_at, values, quality, source, collected_at FROM raw_interval_block"
            " ORDER BY starts_at"
        ).fetchall()
        assert rows == [
            (DAY + timedelta(hours=23), [1, 2, 3, 4], None, "dlms", NOW),
            (DAY + timedelta(hours=24), [5, 6], [11, 0], "dlms", NOW),
        ]
        arrived = connection.execute(
            "SELECT starts_at, ends_at FROM arrival ORDER BY starts_at, ends_at"
        ).fetchall()
        assert arrived == [
            (DAY, DAY),
            # What is known of outages changes what the day is worth.
            (DAY, DAY + timedelta(seconds=1)),
            (DAY + timedelta(hours=23), DAY + timedelta(hours=24.5)),
        ]


@pytest.mark.storage
def test_landing_twice_changes_nothing(database_url: str) -> None:
    answers = []
    with database.connect(database_url) as connection:
        for number in range(20):
            device = end_device(connection, f"M{number}")
            answers.append(
                Answer(
                    device,
                    [block(DAY, list(range(192))), block(DAY, [number])],
                    [RegisterReading("active_energy_import", DAY, number)] * 2,
                    [EndDeviceEvent(DAY, "power", 1, "power down")] * 2,
                )
            )
        first = landing.land(connection, answers, source="dlms", now=NOW)
        assert {landed.intervals for landed in first.values()} == {193}
        connection.commit()
        tables = ("raw_interval_block", "raw_register_reading", "end_device_event", "arrival")
        before = [count(connection, table) for table in tables]
        assert before == [60, 20, 20, 60]
        again = landing.land(connection, answers, source="dlms", now=NOW + timedelta(hours=1))
        assert set(again.values()) == {landing.Landed()}
        assert [count(connection, table) for table in tables] == before


def test_another_answer_for_the_same_time_lands_beside_the_first(database_url: str) -> None:
    with database.connect(database_url) as connection:
        device = end_device(connection, "M1")
        for value in (1, 2):
            answer = Answer(device, [block(DAY, [value])])
            landing.land(connection, [answer], source="dlms", now=NOW)
        assert count(connection, "raw_interval_block") == 2


def test_a_value_beyond_32_bits_is_kept_in_the_quarantine_once(database_url: str) -> None:
    with database.connect(database_url) as connection:
        device = end_device(connection, "M1")
        answer = Answer(
            device,
            [block(DAY, [1, 2**31, 3])],
            [RegisterReading("active_energy_import", DAY, 2**63)],
        )
        for _ in range(2):
            landed = landing.land(connection, [answer], source="dlms", now=NOW)
            assert landed[device].quarantined == 2
        row = connection.execute("SELECT values, quality FROM raw_interval_block").fetchone()
        assert row == ([1, 0, 3], [0, quality.MISSING, 0])
        kept = connection.execute("SELECT payload, reason FROM quarantine ORDER BY id").fetchall()
        assert [b'"value": 2147483648' in kept[0][0], "32 bits" in kept[0][1]] == [True, True]
        assert [b'"value": 9223372036854775808' in kept[1][0], len(kept)] == [True, 2]
        assert count(connection, "raw_register_reading") == 0


def test_intervals_that_the_meter_does_not_have_are_counted_apart(database_url: str) -> None:
    with database.connect(database_url) as connection:
        device = end_device(connection, "M1")
        codes = [0, quality.MISSING, quality.MISSING, 11]
        answer = Answer(device, [block(DAY, [1, 0, 0, 4], codes)])
        landed = landing.land(connection, [answer], source="dlms", now=NOW)[device]
        assert (landed.intervals, landed.missing) == (4, 2)
        again = landing.land(connection, [answer], source="dlms", now=NOW)[device]
        assert (again.intervals, again.missing) == (0, 0)


def test_where_a_register_wraps_is_kept_as_its_driver_told_last(database_url: str) -> None:
    def told(modulus: int | None) -> RegisterReading:
        return RegisterReading("active_energy_import", DAY, 5, modulus=modulus)

    with database.connect(database_url) as connection:
        device = end_device(connection, "M1", protocol="modbus")
        for modulus, known in [(None, []), (10**6, [10**6]), (None, [10**6]), (10**7, [10**7])]:
            answer = Answer(device, registers=[told(modulus)])
            landing.land(connection, [answer], source="modbus", now=NOW)
            rows = connection.execute("SELECT modulus FROM register_wrap").fetchall()
            assert [row[0] for row in rows] == known
