"""Virtual channels: exact sums of others, as good as their worst, as new as their newest."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm import readings, usage_points, virtual, virtual_import, virtual_sum
from mdm.csv_rows import HeadingError
from mdm.virtual_file import COLUMNS
from mdm.virtual_import import Report
from mdm.virtual_sum import Lines
from schemas import database, quality, statements
from schemas.database import Connection
from schemas.period import Period, local_day
from schemas.reading import BlockTable
from tests.mdm import record
from tests.mdm.record import NOW

IMPORT = "active_energy_import_interval"
HOUR = timedelta(hours=1)
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)  # 2 June 2026 in Kuwait
ONE = timedelta(days=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def lines(*terms: str, virtual: str = "V", kind: str = "total", seconds: int = 900,
          zone: str = "Asia/Kuwait") -> str:  # fmt: skip
    """Terms as ``usage_point,source_reading_type,factor,role,from,until``."""
    common = f"{virtual},{kind},electricity,service,{zone},none,none,{IMPORT},{seconds}"
    return "".join(f"{common},{term}\n" for term in terms)


def take(connection: Connection, *texts: str, now: datetime = NOW) -> Report:
    file = io.StringIO(",".join(COLUMNS) + "\n" + "".join(texts))
    return virtual_import.import_definitions(connection, file, now=now)


def put(connection: Connection, mrid: str, values: Sequence[int], *, start: datetime = DAY,
        codes: Sequence[int] | None = None, seconds: int = 900, zone: str = "Asia/Kuwait",
        when: datetime = NOW) -> int:  # fmt: skip
    """Record a day of a usage point, made if need be; give its channel."""
    point = usage_points.named(connection, mrid)
    number = point.id if point else record.usage_point(connection, mrid, zone)
    channel = record.channel(connection, number, interval_seconds=seconds)
    day = int(start.timestamp())
    table = record.blocks([channel], [day], [values], [codes] if codes else None, seconds)
    record.record(connection, table, when)
    return channel


def compute(connection: Connection, now: datetime = NOW) -> virtual.Report:
    total, last = virtual.Report(), virtual.Report(taken=1)
    while last.taken:
        last = virtual.run(connection, now=now)
        total += last
    return total


def result(connection: Connection, mrid: str = "V") -> BlockTable:
    point = usage_points.named(connection, mrid)
    assert point
    ids = [each.id for each in usage_points.channels(connection, [point.id])]
    ever = Period(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    return readings.current(connection, ids, ever, origins=True)


A = [1000 + i for i in range(96)]
B = [300 + 2 * i for i in range(96)]


@pytest.mark.storage
def test_a_feeder_less_its_meters_and_its_loss_is_exact(connection: Connection) -> None:
    feeder, meter = put(connection, "F", A), put(connection, "M", B)
    report = take(
        connection,
        lines("F,,1,,2026-01-01,", "F,,-0.03,loss,2026-01-01,", "M,,-2.5,,2026-01-01,"),
    )
    assert (report.channels, report.added, report.rejected) == (1, 3, [])
    done = compute(connection)
    assert (done.days, done.versions) == (1, 1)
    table = result(connection)
    exact = [Decimal("0.97") * a - Decimal("2.5") * b for a, b in zip(A, B, strict=True)]
    values = table.values[0].tolist()
    assert sum(values) == round(sum(exact))
    assert all(abs(v - e) <= 1 for v, e in zip(values, exact, strict=True))
    assert (table.quality == quality.DERIVED).all()
    inputs = connection.execute(
        "SELECT input_channels, input_versions, cardinality(terms) FROM virtual_version"
    ).fetchall()
    assert inputs == [([feeder, meter], [1, 1], 3)]
    kinds = connection.execute("SELECT DISTINCT kind FROM provenance WHERE kind = 'virtual'")
    assert kinds.rowcount == 1


def test_a_new_version_of_an_input_recomputes_its_day_only(connection: Connection) -> None:
    for n in range(3):
        put(connection, "F", A, start=DAY + n * ONE)
        put(connection, "M", B, start=DAY + n * ONE)
    take(connection, lines("F,,1,,2026-01-01,", "M,,-1,,2026-01-01,"))
    assert compute(connection).versions == 3
    put(connection, "M", [0, *B[1:]], start=DAY + ONE, when=NOW + HOUR)
    done = compute(connection, NOW + HOUR)
    assert (done.days, done.versions) == (1, 1)
    table = result(connection)
    assert table.version.tolist() == [1, 2, 1]
    assert table.values[1, 0] == A[0]
    # Only the first interval has another origin than before.
    assert table.origin is not None
    assert len(set(table.origin[1].tolist())) == 2
    assert compute(connection, NOW + HOUR) == virtual.Report()


def test_the_quality_is_that_of_the_worst_input(connection: Connection) -> None:
    codes = [0] * 96
    codes[1], codes[2], codes[3], codes[4] = (
        quality.EDITED, quality.ESTIMATED_LINEAR, quality.SUSPECT, quality.MISSING,
    )  # fmt: skip
    put(connection, "F", A)
    put(connection, "M", [0 if c == quality.MISSING else v for v, c in zip(B, codes, strict=True)],
        codes=codes)  # fmt: skip
    take(connection, lines("F,,1,,2026-01-01,", "M,,1,,2026-01-01,"))
    compute(connection)
    table = result(connection)
    assert table.quality[0, :6].tolist() == [
        quality.DERIVED, quality.EDITED, quality.ESTIMATED_LINEAR, quality.SUSPECT,
        quality.MISSING, quality.DERIVED,
    ]  # fmt: skip
    assert table.values[0, :6].tolist() == [1300, 1303, 1306, 1309, 0, 1315]


def test_a_term_counts_on_its_days_only(connection: Connection) -> None:
    for n in range(3):
        put(connection, "F", A, start=DAY + n * ONE)
        put(connection, "M", B, start=DAY + n * ONE)
    take(connection, lines("F,,1,,2026-06-01,", "M,,-1,,2026-06-03,2026-06-04"))
    compute(connection)
    assert result(connection).values[:, 0].tolist() == [1000, 700, 1000]


def test_an_input_without_its_day_is_missing_until_it_comes(connection: Connection) -> None:
    put(connection, "F", A)
    record.usage_point(connection, "M")
    take(connection, lines("F,,1,,2026-01-01,", "M,,-1,,2026-01-01,"))
    compute(connection)
    assert (result(connection).quality == quality.MISSING).all()
    put(connection, "M", B)
    compute(connection, NOW + HOUR)
    assert result(connection).values[0, 0] == 700


def test_hours_and_quarters_meet(connection: Connection) -> None:
    put(connection, "F", A)
    put(connection, "H", [401 + i for i in range(24)], seconds=3600)
    take(
        connection,
        lines("F,,1,,2026-01-01,", "H,,-1,,2026-01-01,", virtual="V60", seconds=3600),
        lines("F,,1,,2026-01-01,", "H,,-1,,2026-01-01,", virtual="V15", seconds=900),
    )
    compute(connection)
    hourly, quarterly = result(connection, "V60"), result(connection, "V15")
    assert hourly.values[0, 0] == sum(A[:4]) - 401
    assert (hourly.quality == quality.DERIVED).all()
    # 401 over four quarters: the odd unit is the first one's.
    assert quarterly.values[0, :4].tolist() == [1000 - 101, 901, 902, 903]
    assert (quarterly.quality == quality.ESTIMATED).all()
    assert quarterly.values.sum() == hourly.values.sum()


def test_lengths_that_do_not_fit_are_refused_with_the_reason(connection: Connection) -> None:
    put(connection, "F", [1] * 48, seconds=1800)
    report = take(connection, lines("F,,1,,2026-01-01,", seconds=1200))
    (refused,) = report.rejected
    assert "F has intervals of 1800 s" in refused.reason
    assert connection.execute("SELECT count(*) FROM virtual_channel").fetchone() == (0,)


def test_lengths_that_change_later_are_missing_and_said(connection: Connection) -> None:
    record.usage_point(connection, "F")
    assert not take(connection, lines("F,,1,,2026-01-01,", seconds=1200)).rejected
    put(connection, "F", [1] * 48, seconds=1800)
    compute(connection)
    (row,) = connection.execute("SELECT subject, reason FROM quarantine")
    assert row[0] == "virtual usage point V"
    assert "1800 s fit into none of 1200 s" in row[1]
    assert (result(connection).quality == quality.MISSING).all()


def test_a_circle_is_refused_and_named(connection: Connection) -> None:
    put(connection, "F", A)
    report = take(
        connection,
        lines("F,,1,,2026-01-01,", "W,,1,,2026-01-01,", virtual="V"),
        lines("V,,-1,,2026-01-01,", virtual="W"),
        lines("S,,1,,2026-01-01,", virtual="S"),
    )
    assert [(r.value, r.reason.rpartition(": ")[2]) for r in report.rejected] == [
        ("W", "W → V → W"),
        ("S", "S → S"),
    ]
    assert report.channels == 1


def test_virtual_channels_of_virtual_channels(connection: Connection) -> None:
    put(connection, "F", A)
    put(connection, "M", B)
    take(
        connection,
        lines("V,,2,,2026-01-01,", virtual="W"),
        lines("F,,1,,2026-01-01,", "M,,-1,,2026-01-01,", virtual="V"),
    )
    compute(connection)
    assert result(connection, "W").values[0, 0] == 2 * 700
    put(connection, "M", [0, *B[1:]], when=NOW + HOUR)
    compute(connection, NOW + HOUR)
    assert result(connection, "W").values[0, 0] == 2000


@pytest.mark.parametrize(("day", "slots"), [(date(2026, 3, 29), 92), (date(2025, 10, 26), 100)])
def test_a_day_of_another_length(connection: Connection, day: date, slots: int) -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    start = local_day(day, ZoneInfo("Europe/London")).start
    put(connection, "F", list(range(slots)), start=start, zone="Europe/London")
    put(connection, "H", [10] * (slots // 4), start=start, zone="Europe/London", seconds=3600)
    take(connection, lines("F,,1,,2020-01-01,", "H,,1,,2020-01-01,", seconds=3600,
                           zone="Europe/London"))  # fmt: skip
    compute(connection)
    table = result(connection)
    assert table.length.tolist() == [slots // 4]
    assert table.values[0, :2].tolist() == [16, 32]


def test_the_same_file_again_changes_nothing_and_another_withdraws(connection: Connection) -> None:
    put(connection, "F", A)
    put(connection, "M", B)
    text = lines("F,,1,,2026-01-01,", "M,,-1,,2026-01-01,")
    take(connection, text)
    compute(connection)
    again = take(connection, text)
    assert (again.added, again.withdrawn, again.unchanged) == (0, 0, 2)
    assert compute(connection) == virtual.Report()
    other = take(connection, lines("F,,1,,2026-01-01,"))
    assert (other.added, other.withdrawn, other.unchanged) == (0, 1, 1)
    assert compute(connection, NOW + HOUR).versions == 1
    assert result(connection).values[0].tolist() == A


def test_what_a_person_decided_about_the_sum_stands(connection: Connection) -> None:
    put(connection, "F", A)
    take(connection, lines("F,,1,,2026-01-01,"))
    compute(connection)
    table = result(connection)
    values, codes = table.values.copy(), table.quality.copy()
    values[0, 5], codes[0, 5] = 7, quality.EDITED
    edit = readings.add_provenance(
        connection, "edit", recorded_at=NOW, person="Huda", reason="agreed"
    )
    edited = record.blocks(table.channel_id.tolist(), table.starts_at.tolist(), values.tolist(),
                           codes.tolist())  # fmt: skip
    readings.record(connection, edited, provenance_id=edit, recorded_at=NOW)
    put(connection, "F", [9, *A[1:]], when=NOW + HOUR)
    compute(connection, NOW + HOUR)
    assert result(connection).values[0, :6].tolist() == [9, *A[1:5], 7]


@pytest.mark.parametrize(
    ("term", "column", "reason"),
    [
        ("M,,0,,2026-01-01,", "factor", "other than 0"),
        ("M,,1,loss,2026-01-01,", "factor", "must be negative"),
        ("M,,1,,yesterday,", "from", "local day"),
        ("M,,1,,2026-02-01,2026-01-01", "until", "must be after"),
        ("M,reactive_energy_import_interval,1,,2026-01-01,", "source_reading_type", "varh"),
        ("NOBODY,,1,,2026-01-01,", "usage_point", "no such usage point"),
    ],
)
def test_a_bad_line_refuses_its_virtual_usage_point_whole(
    connection: Connection, term: str, column: str, reason: str
) -> None:
    put(connection, "F", A)
    put(connection, "M", B)
    report = take(
        connection,
        lines("F,,1,,2026-01-01,", term, virtual="BAD"),
        lines("F,,1,,2026-01-01,", virtual="GOOD"),
    )
    (refused,) = report.rejected
    assert (refused.line, refused.column) == (3, column)
    assert reason in refused.reason
    assert report.channels == 1


def test_a_place_with_a_meter_is_not_virtual(connection: Connection) -> None:
    record.installation(connection, record.usage_point(connection, "UP-1"), "M-1")
    put(connection, "F", A)
    (refused,) = take(connection, lines("F,,1,,2026-01-01,", virtual="UP-1")).rejected
    assert "has a meter" in refused.reason


def test_a_heading_without_columns_is_refused(connection: Connection) -> None:
    with pytest.raises(HeadingError, match="missing: kind"):
        virtual_import.import_definitions(connection, io.StringIO("virtual\n"), now=NOW)


@pytest.mark.parametrize("file", ["virtual.sql", "virtual_due.sql", "virtual_import.sql"])
def test_every_statement_is_understood(connection: Connection, file: str) -> None:
    for name, body in statements.load("mdm", file).items():
        record.prepare(connection, f"s_{name}", body)


LINE = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=6, max_size=6)


@given(
    terms=st.lists(st.tuples(LINE, st.integers(-10_000 * 10**6, 10_000 * 10**6)), min_size=1,
                   max_size=5)
)  # fmt: skip
def test_each_day_is_exact_and_each_slot_within_one(terms: list[tuple[list[int], int]]) -> None:
    values = np.array([line for line, _ in terms], np.int64)
    held = Lines(values, np.zeros(values.shape, np.int16))
    factors = np.array([factor for _, factor in terms], np.int64)
    line = virtual_sum.total(held, factors, np.ones(values.shape, np.bool_), [2, 4])
    exact = [
        sum(Decimal(v) * f for v, (_, f) in zip(column, terms, strict=True)) / 10**6
        for column in values.T.tolist()
    ]
    fits = [-(2**31) < e < 2**31 - 1 for e in exact]
    told = line.values[0].tolist()
    for t, e, ok in zip(told, exact, fits, strict=True):
        assert abs(t - e) <= 1 or not ok
    for day in (slice(0, 2), slice(2, 6)):
        if all(fits[day]):
            assert abs(sum(told[day]) - sum(exact[day])) <= Decimal("0.5")
