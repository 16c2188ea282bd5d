"""docs/billing.md tells of every determinant, gate, format, column and key, and of no other."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mdm import calendar_file, cycle_plan, tariff_file
from mdm.cycle_gates import GATES
from mdm.export import csv_
from mdm.export.formats import FORMATS
from mdm.export.manifest import Made, Tally
from mdm.export.record import Head
from mdm.tariff import DETERMINANTS

PAGE = (Path(__file__).parents[2] / "docs" / "billing.md").read_text("utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> set[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_determinants_and_gates() -> None:
    assert first_cells(section("Determinants")) == set(DETERMINANTS)
    assert first_cells(section("Gates")) == set(GATES)


def test_formats_and_columns() -> None:
    page = section("Billing export")
    assert set(re.findall(r"\*\*`(\w+)`\*\*", page)) == set(FORMATS)
    listed = re.search(r"in the order `([^`]+)`", page)
    assert listed
    assert tuple(re.split(r",\s+", listed[1])) == csv_.COLUMNS
    for name in csv_.COLUMNS:
        assert f"`{name}`" in page or name in listed[1]


def test_the_manifest() -> None:
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    head = Head("A-1", "A", date(2026, 6, 1), date(2026, 7, 1), moment, "miqyas", "The palace")
    content = json.loads(Tally().manifest(head, [], Made([], [], [], [])))
    text = section("Billing export").split("**Manifest**")[1].split("\n\n")[0]
    assert content["addressee"] == "The palace"
    for name in (*content, *content["versions"]):
        assert f"`{name}`" in text


def test_calendars() -> None:
    for name in re.findall(r"`(\w+)` \(weekend|and `(\w+)` come", section("Calendars")):
        assert calendar_file.named("".join(name))


def test_the_tariff_on_the_page_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("Tariffs"), re.DOTALL)
    (tariff,) = tariff_file.parse(example, "the page")
    assert tariff.name == "kw-residential"


def test_the_calendar_of_cycles_on_the_page_is_one() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("Calendar of cycles"), re.DOTALL)
    plans = cycle_plan.parse(example, "the page")
    assert [plan.group for plan in plans] == ["monthly", "government", "ships"]
    assert set(example.split()) >= cycle_plan.KEYS - {"day"}


def test_the_gates_on_the_page_are_a_tariffs() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("Gates"), re.DOTALL)
    (tariff,) = re.findall(r"```toml\n(.*?)```", section("Tariffs"), re.DOTALL)
    text = re.sub(r"\[tariff.gates\].*?\n(?=\[)", "", tariff, flags=re.DOTALL) + example
    (made,) = tariff_file.parse(text, "the page")
    assert made.gates.period_days == (25, 70)
    assert made.gates.usage is not None
    assert made.wait_days == 5


@pytest.mark.parametrize(
    "word", ["waiting", "held", "ready", "released", "exported", "billed", "rejected"]
)
def test_states(word: str) -> None:
    assert f"`{word}`" in section("From cycle to bill")
