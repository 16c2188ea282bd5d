"""Proration: where a tariff or a consumer changes inside a cycle, parts are billed apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm import billing_terms, csv_rows, cycle, replay, tariff_file, tariff_parts
from mdm.determinants import batch as batches
from mdm.tariff import Tariffs, collected
from mdm.tariff_parts import Term
from schemas import database
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS, Point, add_point, june
from tests.mdm.declaring import BASE, IMPORT, LONDON, batch
from tests.mdm.test_determinants import days

FIRST, SECOND, UNTIL = date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 4)
USUAL = (
    BASE.replace('"london"', '"kuwait"')
    .replace(
        "determinants = []", 'determinants = ["consumption", "register_start", "block_demand"]'
    )
    .replace('["interval"]', '["register", "interval"]')
)


def tariffs(*more: str) -> Tariffs:
    """Works, and house from the second day on; each further key for both."""
    keys = "\n".join(more)
    house = USUAL.replace('"works"', '"house"').replace("kuwait", "london")
    later = USUAL.replace("2020-01-01", "2026-06-03")
    versions = (USUAL, house, later) if "later" in more else (USUAL, house)
    keys = keys.replace("later", "")
    return collected(
        one for text in versions for one in tariff_file.parse(f"{text}\n{keys}\n", "parts.toml")
    )


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def put(connection: Connection, *lines: str) -> billing_terms.Imported:
    heading = "usage_point,starts_on,tariff,account"
    return billing_terms.import_terms(connection, [heading, *lines])


def shown(connection: Connection) -> dict[tuple[str, str], tuple[Decimal | None, str]]:
    rows = connection.execute("SELECT determinant, part, value, note FROM billing")
    return {(name, part): (value, note) for name, part, value, note in rows}


def whole(connection: Connection, dials: tuple[int, ...] = (0, 9_600, 19_200, 28_800)) -> Point:
    point = add_point(connection, "UP-1", tariff="works")
    billing.record_intervals(connection, point.interval, [100] * SLOTS)
    moments = [PERIOD.start + timedelta(days=day) for day in range(4)]
    found = {moment: dial for moment, dial in zip(moments, dials, strict=True) if dial >= 0}
    billing.record_register(connection, point.register, point.installation, found)
    return point


def test_nothing_changes_nothing() -> None:
    of = tariffs()
    found = tariff_parts.during(of, "works", "electricity", days=(FIRST, UNTIL))
    assert found is of.on("works", "electricity", FIRST)
    # A term of before, or of the same tariff for nobody in particular, makes no part either.
    terms = [Term(date(2025, 1, 1), "house", ""), Term(SECOND, "house", "")]
    found = tariff_parts.during(of, "works", "electricity", days=(FIRST, UNTIL), terms=terms)
    assert found is of.on("house", "electricity", FIRST)


def test_a_tariff_of_parts_is_made_again_from_its_definition() -> None:
    terms = [Term(SECOND, "house", "A-77")]
    found = tariff_parts.during(tariffs(), "works", "electricity", days=(FIRST, UNTIL), terms=terms)
    assert [(part.starts_on, part.account, part.tariff.name) for part in found.parts] == [
        (FIRST, "", "works"),
        (SECOND, "A-77", "house"),
    ]
    assert tariff_file.restored(found.definition) == found


@pytest.mark.storage
def test_a_tariff_that_changes_on_the_second_day(connection: Connection) -> None:
    whole(connection)
    assert put(connection, "UP-1,2026-06-02,house,").changed == 1
    this = june(connection)
    run = cycle.run(connection, this, now=NOW, tariffs=tariffs())
    assert (run.written, run.problems) == (1, ())
    first, second = "2026-06-01/2026-06-02", "2026-06-02/2026-06-04"
    assert shown(connection) == {
        ("consumption", first): (Decimal("9.600"), "by register; tariff works"),
        ("register_start", f"M-UP-1 {first}"): (Decimal("0.000"), "tariff works"),
        ("block_demand", f"30 min {first}"): (Decimal("0.400"), "tariff works"),
        ("consumption", second): (Decimal("19.200"), "by register; tariff house"),
        ("register_start", f"M-UP-1 {second}"): (Decimal("9.600"), "tariff house"),
        ("block_demand", f"30 min {second}"): (Decimal("0.400"), "tariff house"),
    }
    found = replay.of_usage_point(connection, this, "UP-1")
    assert found.identical, [str(each) for each in found.differences]
    # The registry forgets; the bill does not.
    connection.execute("DELETE FROM usage_point_term")
    assert replay.of_usage_point(connection, this, "UP-1").identical


def test_a_new_version_and_a_move_in_make_three_parts(connection: Connection) -> None:
    whole(connection, dials=(0, -1, -1, 28_800))
    put(connection, "UP-1,2026-06-02,works,A-77")
    this = june(connection)
    assert cycle.run(connection, this, now=NOW, tariffs=tariffs("later")).written == 1
    found = shown(connection)
    # Without a reading where they part, each goes by its intervals.
    for part in (
        "2026-06-01/2026-06-02",
        "2026-06-02/2026-06-03 A-77",
        "2026-06-03/2026-06-04 A-77",
    ):
        value, note = found["consumption", part]
        assert value == Decimal("9.600")
        assert note.startswith("by interval")
    assert replay.of_usage_point(connection, this, "UP-1").identical


def registers_only(connection: Connection) -> None:
    point = add_point(connection, "UP-1", tariff="works")
    dials = {PERIOD.start: 0, PERIOD.end: 10_000}
    billing.record_register(connection, point.register, point.installation, dials)
    put(connection, "UP-1,2026-06-02,house,")


def test_days_share_what_no_reading_parts(connection: Connection) -> None:
    registers_only(connection)
    this = june(connection)
    cycle.run(connection, this, now=NOW, tariffs=tariffs('proration = "days"'))
    found = shown(connection)
    # 10 kWh over three days: 3.333 and 6.667.
    note = "by register, prorated by days: {} of 3; tariff {}"
    assert found["consumption", "2026-06-01/2026-06-02"] == (
        Decimal("3.333"),
        note.format(1, "works"),
    )
    assert found["consumption", "2026-06-02/2026-06-04"] == (
        Decimal("6.667"),
        note.format(2, "house"),
    )
    assert replay.of_usage_point(connection, this, "UP-1").identical


def test_days_share_nothing_unless_the_tariff_says_so(connection: Connection) -> None:
    registers_only(connection)
    cycle.run(connection, june(connection), now=NOW, tariffs=tariffs())
    values = [value for (name, _), (value, _) in shown(connection).items() if name == "consumption"]
    assert values == [None, None]


def test_an_unknown_tariff_of_a_term_is_told(connection: Connection) -> None:
    whole(connection)
    put(connection, "UP-1,2026-06-02,barn,")
    run = cycle.run(connection, june(connection), now=NOW, tariffs=tariffs())
    assert [one.usage_point for one in run.problems] == ["UP-1"]
    assert "no tariff 'barn' for electricity" in run.problems[0].reason


def test_files_of_terms_and_losses(connection: Connection) -> None:
    add_point(connection, "UP-1")
    report = put(
        connection,
        *("UP-1,2026-06-02,house,A-77", "UP-2,2026-06-02,house,", "UP-1,June,house,"),
        *("UP-1,2026-06-03,,A-78", "UP-1,2026-06-02,house,A-77"),
    )
    assert (report.changed, report.unchanged) == (1, 1)
    assert [(one.line, one.column) for one in report.rejected] == [
        (3, "usage_point"),
        (4, "starts_on"),
        (5, "tariff"),
    ]
    heading = "usage_point,name,effective_from,factor"
    good, bad = "UP-1,DLF,2025-07-01,1.0523", "UP-1,DLF,2025-07-01,1.05231234"
    losses = billing_terms.import_losses(connection, [heading, good, bad, "UP-1,,2025-07-01,1"])
    assert (losses.changed, [one.column for one in losses.rejected]) == (1, ["factor", "name"])
    with pytest.raises(csv_rows.HeadingError, match="missing: factor"):
        billing_terms.import_losses(connection, ["usage_point,name,effective_from"])


@settings(max_examples=20, deadline=None)
@given(
    st.sets(st.integers(1, 3)),
    st.lists(st.integers(0, 3000), min_size=190, max_size=190),
)
def test_any_parts_sum_to_the_whole(cuts: set[int], values: list[int]) -> None:
    # Over the day of 23 hours; the whole in Wh, each part by its own days.
    first = date(2026, 3, 27)
    period = days(first, 4, LONDON)
    text = BASE.replace("determinants = []", 'determinants = ["consumption", "block_demand"]')
    of = collected(tariff_file.parse(text, "whole.toml"))
    terms = [Term(first + timedelta(days=n), "works", f"A-{n}") for n in sorted(cuts)]
    until = first + timedelta(days=4)
    tariff = tariff_parts.during(of, "works", "electricity", days=(first, until), terms=terms)
    base = of.on("works", "electricity", first)
    one = batch(base, period, {IMPORT: values})
    lines = batches.results(replace(one, tariff=tariff))[1].determinants
    total = batches.results(one)[1].determinants
    consumed = [line.value for line in lines if line.name == "consumption"]
    peaks = [line.value for line in lines if line.name == "block_demand"]
    assert len(consumed) == len(cuts) + 1
    assert sum(value or 0 for value in consumed) == total[0].value
    assert max(value or 0 for value in peaks) == total[1].value
