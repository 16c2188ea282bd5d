"""The page of billing, as a client of HTTP and as a phone in a real browser get it."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import httpx
import pytest
from playwright.sync_api import sync_playwright

from headend import clock
from mdm import (
    account_balance,
    acknowledgement,
    cycle,
    cycle_advance,
    cycle_calendar,
    cycle_holds,
    cycle_plan,
    delivery,
    usage_points,
)
from mdm.account_balance import Balance
from mdm.cycle_holds import REASONS
from mdm.delivery_http import Acknowledgement
from schemas import database, quality
from schemas.database import Connection
from tests.console import town
from tests.console.reading import words
from tests.console.test_pages_browser import FLAGS
from tests.mdm import billing
from tests.mdm.billing import NOW, SLOTS, add_point, add_whole, later

EVIL = "<script>alert('x')</script>"
PLAN = """
[[group]]
name = "A"
dates = [2026-06-01, 2026-06-04, 2026-07-01, 2026-08-01]
close_after_days = 3
working_days = "kuwait"
addressee = "The palace & sons"
"""


def add_water(connection: Connection) -> None:
    """Add a water meter of which 288 quarter hours of 10 L are known."""
    connection.execute(
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES ('UP-water', 'water', 'residential', 'Asia/Kuwait', 'kw-residential', 'A')"
    )
    point = usage_points.named(connection, "UP-water")
    assert point
    key = (point.id, "water_volume_interval", 900)
    channels = usage_points.ensure_channels(connection, [key])
    billing.record_intervals(connection, channels[key], [10] * SLOTS)


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    """A closed cycle with a bill, a rejection and holds; the next one is under way."""
    with database.connect(module_database_url) as connection:
        clock.simulate(connection, later(72))
        add_whole(connection, "UP-whole")
        add_whole(connection, "UP-other")
        add_water(connection)
        add_point(connection, "UP-silent")
        point = add_point(connection, "UP-guess")
        codes = dict.fromkeys(range(80), quality.ESTIMATED_LIKE_DAY)
        billing.record_intervals(connection, point.interval, [100] * SLOTS, codes)
        plans = cycle_plan.parse(PLAN, "plan.toml")
        cycle_calendar.keep(connection, plans, now=NOW)
        spans = list(plans[0].spans(date(2026, 6, 5)))
        first, _ = (cycle_calendar.opened(connection, plans[0], s, now=NOW) for s in spans)
        cycle.run(connection, first, now=later(72))
        sent = delivery.prepare(connection, first, file_format="csv", target="x", now=later(72))
        assert sent
        answers = [
            Acknowledgement("UP-whole", 1, "billed"),
            Acknowledgement("UP-other", 1, "rejected", f"no account {EVIL}"),
            Acknowledgement("UP-water", 1, "billed"),
        ]
        delivery.acknowledge(connection, sent, answers, now=later(72))
        unknown = [Acknowledgement(f"UP-{EVIL}", 7, "rejected", f"nobody lives there {EVIL}")]
        acknowledgement.take(connection, sent.id, unknown, now=later(72))
        told = [
            Balance("A-1", "KWD", Decimal("1234.500"), date(2026, 6, 7), ("UP-whole",)),
            Balance(EVIL, "KWD", Decimal("-2.250"), date(2026, 6, 8), ("UP-water",)),
        ]
        account_balance.record(connection, "http://x", told, now=later(72))
        (guess,) = cycle_holds.items(connection, cycle_holds.Wanted(gate="estimated"))
        cycle_holds.assign(connection, [guess.id], EVIL, person="Mona", now=later(72))
    with town.served(module_database_url) as at:
        yield at


def test_how_far_each_cycle_is(client: httpx.Client) -> None:
    page = client.get("/billing?lang=en")
    text = words(page)
    assert page.status_code == 200
    assert "A 2026-06-04 … 2026-06-30 under way closes on 2026-07-05" in text
    assert "A 2026-06-01 … 2026-06-03 closed closes on 2026-06-07 · to: The palace & sons" in text
    assert "billed 2 held 2 rejected 1 of usage points: 5" in text
    # 2 × 28.8 kWh of which one is billed, and what is held of an estimate; 2,880 L of water.
    assert "electricity 28.800 / 86.400 kWh" in text
    assert "0.633511 / 0.633511 1000 imperial gallons 2.880 / 2.880 m³" in text
    assert re.search(r"Cycles that come .* A 2026-07-01 … 2026-07-31 2026-08-04", text)
    assert EVIL in text
    assert EVIL not in page.text
    assert 'href="/billing"' in client.get("/").text


def test_what_waits_and_why(client: httpx.Client) -> None:
    text = words(client.get("/billing?lang=en"))
    assert "1 rejected by the invoicing system" in text
    assert "UP-guess" in text
    assert "80 of 288 intervals ( 27.78 % ) are estimated, at most 25 % may be" in text
    narrowed = words(client.get("/billing?gate=rejected&lang=en"))
    assert "UP-other" in narrowed
    assert "UP-guess" not in narrowed
    mine = words(client.get("/billing", params={"who": EVIL}))
    assert "UP-guess" in mine
    assert "UP-silent" not in mine


def test_reasons_are_said_in_arabic(client: httpx.Client) -> None:
    billing = client.get("/billing?lang=ar")
    assert "الفترات التي هي مقدرة: 80 من 288 ( 27.78 % )، والحد الأعلى 25 %" in words(billing)
    assert "ليست في التصدير" in words(billing)
    silent = client.get("/meters/M-UP-silent?lang=ar")
    assert "لا توجد للعداد M-UP-silent قراءة صالحة عند البداية، 2026-06-01 00:00" in words(silent)
    for page in (billing, silent):
        # What is English is marked so; only receivers write it.
        english = re.findall(r'lang="en">([^<]*)<', page.text)
        assert [text for text in english if "script" not in text] == ["English"]
    client.get("/?lang=en")


def test_what_fits_no_bill_waits_for_a_person(client: httpx.Client) -> None:
    page = client.get("/billing?group=A&lang=en")
    text = words(page)
    assert "1 stray acknowledgements oldest:" in text
    assert f"UP-{EVIL} , version 7 #1 rejected nobody lives there {EVIL}" in text
    assert "it is not in the export" in text
    assert EVIL not in page.text
    # What is of no known group is everybody's; this one is of A.
    assert "UP-<" not in words(client.get("/billing?group=nobody&lang=en"))


def test_what_accounts_owe(client: httpx.Client) -> None:
    text = words(client.get("/billing?lang=en"))
    assert (
        "accounts: 2 · owing: 1 · owed: 1,234.500 KWD · credit: 2.250 KWD as of 2026-06-08" in text
    )
    assert "A-1 1,234.500 KWD 2026-06-07 UP-whole" in text
    assert "أرصدة الحسابات" in words(client.get("/billing?lang=ar"))


def test_the_meters_page_tells_the_cycle_so_far(client: httpx.Client) -> None:
    text = words(client.get("/meters/M-UP-whole?lang=en"))
    assert "This cycle so far: not final 2026-06-04 … 2026-06-07" in text


@pytest.mark.parametrize(
    "query", ["gate=%00", "gate=x", "page=-1", "page=999999", "who=' OR 1=1", "group=nobody"]
)
def test_bad_questions_are_harmless(client: httpx.Client, query: str) -> None:
    assert client.get(f"/billing?{query}").status_code == 200


def test_every_reason_has_words() -> None:
    file = Path(town.__file__).parents[2] / "console" / "words.csv"
    with file.open(encoding="utf-8", newline="") as text:
        known = {row["key"] for row in csv.DictReader(text) if row["en"] and row["ar"]}
    assert {f"gate:{name}" for name in REASONS} <= known
    assert {f"step:{kind}" for kind in get_args(cycle_advance.Kind)} <= known


@pytest.mark.parametrize("language", ["en", "ar"])
def test_on_a_phone_nothing_scrolls_sideways(address: str, chromium: str, language: str) -> None:
    complaints: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("console", lambda message: complaints.append(message.text))
        for path in ("/billing", "/billing?gate=rejected", "/meters/M-UP-whole"):
            page.goto(f"{address}{path}{'&' if '?' in path else '?'}lang={language}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.locator("h1").inner_text()
        browser.close()
    assert complaints == []
