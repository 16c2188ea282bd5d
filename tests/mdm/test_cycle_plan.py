"""Calendars of cycles: by the month, by two, on dates; closing days that are working days."""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdm import cycle_calendar, cycle_plan
from mdm.cycle_plan import Plan, PlanError, Span

D = date.fromisoformat


def plan(text: str) -> Plan:
    (made,) = cycle_plan.parse(f"[[group]]\nname = 'A'\n{text}", "a.toml")
    return made


def spans(made: Plan, until: str) -> list[tuple[str, str]]:
    return [(str(s.starts_on), str(s.ends_on)) for s in made.spans(D(until))]


def test_by_the_month() -> None:
    assert spans(plan("from = 2026-11-01"), "2027-02-01") == [
        ("2026-11-01", "2026-12-01"), ("2026-12-01", "2027-01-01"), ("2027-01-01", "2027-02-01"),
    ]  # fmt: skip


def test_from_the_last_day_of_the_month() -> None:
    assert spans(plan("from = 2026-01-31"), "2026-04-30") == [
        ("2026-01-31", "2026-02-28"), ("2026-02-28", "2026-03-31"), ("2026-03-31", "2026-04-30"),
    ]  # fmt: skip
    assert spans(plan("from = 2026-02-28\nday = 31"), "2026-03-01") == [
        ("2026-02-28", "2026-03-31")
    ]


def test_by_two_months_and_on_dates() -> None:
    assert spans(plan("from = 2026-06-15\nmonths = 2"), "2026-09-01") == [
        ("2026-06-15", "2026-08-15"), ("2026-08-15", "2026-10-15"),
    ]  # fmt: skip
    dated = plan("dates = [2026-01-03, 2026-02-10, 2026-04-01]")
    assert spans(dated, "2030-01-01") == [
        ("2026-01-03", "2026-02-10"),
        ("2026-02-10", "2026-04-01"),
    ]
    later = plan("dates = [2026-01-03, 2026-02-10, 2026-04-01]\nfrom = 2026-02-10")
    assert spans(later, "2030-01-01") == [("2026-02-10", "2026-04-01")]


@pytest.mark.parametrize(
    ("after", "closes"),
    [
        (0, "2026-06-01"),  # a Monday
        (3, "2026-06-04"),  # a Thursday, the last working day of the week
        (4, "2026-06-07"),  # Friday: Sunday is next
        (5, "2026-06-07"),
        (16, "2026-06-18"),  # the Hijri New Year, a Wednesday
    ],
)
def test_closing_days_are_working_days(after: int, closes: str) -> None:
    made = plan(f"from = 2026-05-01\nclose_after_days = {after}\nworking_days = 'kuwait'")
    assert next(made.spans(D("2026-06-01"))) == Span(D("2026-05-01"), D("2026-06-01"), D(closes))


@given(
    st.dates(date(2017, 6, 1), date(2030, 1, 1)), st.integers(1, 24), st.integers(0, 40),
    st.sampled_from(["", "working_days = 'kuwait'", "working_days = 'london'"]),
)  # fmt: skip
def test_cycles_follow_each_other_without_gaps(
    first: date, months: int, after: int, works: str
) -> None:
    made = plan(f"from = {first}\nmonths = {months}\nclose_after_days = {after}\n{works}")
    found = list(made.spans(first + timedelta(days=1500)))
    assert found[0].starts_on == first
    for one, other in pairwise(found):
        assert one.ends_on == other.starts_on
    for one in found:
        assert one.starts_on < one.ends_on
        assert timedelta(days=after) <= one.closes_on - one.ends_on <= timedelta(days=after + 12)
    assert cycle_plan.restored(made.definition) == made


def test_the_coming_cycles_begin_with_todays() -> None:
    made = plan("from = 2026-01-01")
    found = cycle_calendar.coming(made, D("2026-06-01"), 2)
    assert [one.starts_on for one in found] == [D("2026-06-01"), D("2026-07-01")]
    assert cycle_calendar.coming(plan("dates = [2026-01-01, 2026-02-01]"), D("2026-06-01"), 3) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'from' is missing"),
        ("from = 2026-06-01\nday = 15", "2026-06-01 is not on day 15"),
        ("from = 2026-06-01\nmonths = 0", "months must be a whole number from 1 to 24"),
        ("from = 2026-06-01\nclose_after_days = -1", "close_after_days"),
        ("from = 2026-06-01\nworking_days = 'mars'", "no calendar 'mars'; known: "),
        ("from = 2026-06-01\nevery = 'month'", "unknown key 'every'; known: addressee"),
        ("dates = [2026-06-01]", "two at least"),
        ("dates = [2026-06-01, 2026-05-01]", "must ascend"),
        ("dates = [2026-06-01, 2026-07-01]\nmonths = 1", "either on dates or by day"),
        ("dates = [2026-06-01, 2026-07-01]\nfrom = 2026-06-02", "none of the dates"),
        ("from = 'soon'", "a.toml: group 1 .A.: Invalid isoformat"),
        ("from = 2026-06-01\nestimate = 1", "must be true or false"),
        ("from = 2026-06-01\n[[group]]\nname = 'A'\nfrom = 2026-06-01", "'A' is there twice"),
        ("from = ", "a.toml: Invalid value"),
    ],
)
def test_wrong_entries_are_named(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(text)


def test_a_file_without_groups_is_refused() -> None:
    with pytest.raises(PlanError, match="needs entries"):
        cycle_plan.parse("groups = []", "b.toml")


def test_kuwaits_government_has_a_cycle_and_addressee_of_its_own() -> None:
    text = resources.files("mdm").joinpath("cycles/kuwait.toml").read_text("utf-8")
    monthly, government = cycle_plan.parse(text, "kuwait.toml")
    assert (monthly.months, government.months) == (1, 2)
    assert monthly.addressee != government.addressee
    assert next(government.spans(D("2026-06-02"))).closes_on == D("2026-08-09")
