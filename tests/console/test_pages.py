"""The pages of the fleet and of a meter as any client of HTTP gets them."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest

from headend import read_rate
from schemas import database
from schemas.period import Period
from tests.console import town
from tests.console.reading import words
from tests.mdm import billing, record

KUWAIT = ZoneInfo("Asia/Kuwait")


def test_the_fleet_is_summed_up(client: httpx.Client) -> None:
    page = client.get("/")
    text = words(page)
    assert page.status_code == 200
    assert "4 meters" in text
    assert "1 do not talk" in text
    assert "not read yet: 1" in text
    assert f"16.6 % of the intervals of the last 7 whole days were read {336} of 2,016" in text
    assert "1 open findings issues: 1" in text
    assert "as of 2026-06-05 09:00 Asia/Kuwait (UTC+03:00)" in text
    assert "2026-06-01 … 2026-06-03" in text
    assert "held 4" in text


def test_who_does_not_talk_is_listed_with_since_when_why_and_what_to_do(
    client: httpx.Client,
) -> None:
    text = words(client.get("/"))
    listed = text.partition("Meters that do not talk")[2].partition("Billing cycles")[0]
    assert "M2 UP2 · cell-7" in listed
    assert "It does not accept our key" in listed
    assert "2026-06-03 09:00 (2 days)" in listed
    assert "Import the right key" in listed
    assert "M1" not in listed


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["H1", "M1", "M2", town.EVIL]),
        ({"q": "up2"}, ["M2"]),
        ({"q": "CELL-7"}, ["H1", "M1", "M2"]),
        ({"q": "<b>"}, [town.EVIL]),
        ({"show": "silent"}, ["M2"]),
        ({"show": "talking"}, ["M1"]),
        ({"show": "unread"}, [town.EVIL]),
        ({"show": "by_hand"}, ["H1"]),
        ({"q": "nobody"}, []),
        ({"q": "' OR 1=1 --"}, []),
        ({"q": "\0"}, []),
        ({"show": "'; DROP TABLE reading", "page": "-1", "x": "\0"}, ["H1", "M1", "M2", town.EVIL]),
        ({"page": "99999999999999999999"}, ["H1", "M1", "M2", town.EVIL]),
        ({"page": "9", "lang": "xx"}, ["H1", "M1", "M2", town.EVIL]),
    ],
)
def test_the_list_can_be_narrowed_and_bad_questions_are_harmless(
    client: httpx.Client, query: dict[str, str], found: list[str]
) -> None:
    page = client.get("/", params=query)
    assert page.status_code == 200
    table = page.text.partition('<h2 id="meters">')[2]
    names = re.findall(r'href="/meters/([^"]+)"', table)
    # Their order is the database's collation.
    assert sorted(names) == sorted(quote(name, safe="") for name in found)


def test_the_list_has_pages_that_keep_the_question(database_url: str) -> None:
    rows = [town.row(f"K{n:03}", f"P{n:03}", protocol="manual") for n in range(60)]
    with database.connect(database_url) as connection:
        town.registry.import_rows(connection, rows)
    with town.served(database_url) as address, httpx.Client(base_url=address) as asking:
        seen: list[str] = []
        at: str | None = "/?q=k0&show=by_hand"
        while at:
            text = asking.get(at).text
            seen += re.findall(r'href="/meters/(K\d+)"', text)
            following = re.search(r'rel="next" href="([^"]+)"', text)
            at = unescape(following[1]) if following else None
    assert seen == [f"K{n:03}" for n in range(60)]


def test_an_empty_database_says_how_to_begin(database_url: str) -> None:
    with town.served(database_url) as address:
        page = httpx.get(address)
    assert page.status_code == 200
    assert "miqyas import registry FILE.csv" in page.text


def test_a_meter_that_talks(client: httpx.Client) -> None:
    text = words(client.get("/meters/M1"))
    assert "✓ It talks" in text
    assert "last talked 2026-06-05 06:00 (2 hours)" in text
    assert "clock off by +4 s" in text
    assert "usage point UP1" in text
    assert "sector Commercial · electricity" in text
    assert "multiplier × 40" in text
    assert "firmware 2.7" in text
    assert "Active energy import, register 2026-06-05 06:00 1,234.567 kWh" in text
    assert "Power down" in text
    assert "337 intervals · 1 register · 1 event" in text
    assert "1.2 s" in text


def test_missing_periods_are_what_was_never_answered(client: httpx.Client) -> None:
    text = words(client.get("/meters/M1"))
    missing = text.partition("Missing periods")[2].partition("Open findings")[0]
    assert "2026-05-01 00:00 2026-06-01 00:00 2,976" in missing
    assert "2026-06-04 12:15 2026-06-05 09:00 83" in missing


def test_the_days_are_drawn_by_class_of_quality(client: httpx.Client) -> None:
    page = client.get("/meters/M1").text
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 7
    classes = [sorted(re.findall(r'path class="(\w+)"', drawing)) for drawing in drawings]
    assert classes == [
        [], [], [],
        ["missing", "questionable", "valid"],
        ["edited", "estimated", "valid"],
        ["valid"],
        [],
    ]  # fmt: skip
    text = words(client.get("/meters/M1"))
    assert "top of each day: 1.000 kWh per 15 minutes. Doubted values above that are" in text
    assert "Mon 06-01 184.000 kWh" in text
    assert "missing 1 questionable 1" in text


def test_findings_and_the_bill_of_its_usage_point(client: httpx.Client) -> None:
    text = words(client.get("/meters/M1"))
    findings = text.partition("Open findings of the usage point")[2]
    assert "spike Active energy import, interval 2026-06-01 12:30 2026-06-01 12:45" in findings
    bill = text.partition("Bill of the last cycle")[2]
    assert "held monthly , 2026-06-01 … 2026-06-03 , version 1" in bill
    assert "why it waits:" in bill
    assert "Consumption by register 378.000 kWh" in bill
    assert "Register at start · M1 1.000 kWh" in bill


def test_a_meter_that_refuses_says_since_when_why_and_what_to_do(client: httpx.Client) -> None:
    text = words(client.get("/meters/M2"))
    assert "✕ It does not accept our key since 2026-06-03 09:00 (2 days)" in text
    assert "What to do: Import the right key" in text
    assert "last talked never" in text
    assert "not tried again before somebody acts" in text
    assert "M2: the meter refuses <our> key" in text


def test_a_usage_point_leads_to_its_meter(client: httpx.Client) -> None:
    found = client.get("/usage-points/UP2")
    assert (found.status_code, found.headers["location"]) == (303, "/meters/M2")
    evil = client.get(f"/usage-points/{quote('<i>UP3</i>', safe='')}", follow_redirects=True)
    assert town.EVIL in words(evil)
    lost = client.get("/usage-points/NOBODY?lang=ar")
    assert lost.status_code == 404
    assert "لا توجد نقطة استهلاك بهذا الاسم" in words(lost)
    client.get("/?lang=en")


def test_a_meter_that_is_read_by_hand_is_not_called_silent(client: httpx.Client) -> None:
    text = words(client.get("/meters/H1"))
    assert "It is read by hand." in text
    assert "Add it to a schedule" not in text


def test_devices_that_await_registration_are_shown_in_both_languages(
    client: httpx.Client,
) -> None:
    page = words(client.get("/?lang=en"))
    assert "2 push and await registration" in page
    heard = "2026-06-05 07:00 (2 hours)"
    assert f"4D51530000000007 system title udp 192.0.2.7 {heard} 1,234 (0)" in page
    assert f"{town.EVIL} name or serial number udp" in page
    assert "أجهزة مجهولة ترسل قراءاتها" in words(client.get("/?lang=ar"))
    client.get("/?lang=en")


def test_names_are_shown_as_they_are_and_never_run(client: httpx.Client) -> None:
    for at in ("/", f"/meters/{quote(town.EVIL, safe='')}", "/?q=%3Cscript%3Ealert(1)"):
        page = client.get(at)
        assert page.status_code == 200
        assert "<script" not in page.text.replace(town.SCRIPT, "")
        assert "<b>cell" not in page.text
    page = client.get(f"/meters/{quote(town.EVIL, safe='')}")
    assert town.EVIL in words(page)
    other = re.search(r'class="language" href="([^"]+)"', page.text)
    assert other
    assert town.EVIL in words(client.get(unescape(other[1])))


def test_the_page_of_a_meter_shows_what_was_done_with_it(client: httpx.Client) -> None:
    english = words(client.get("/meters/M1?lang=en"))
    for text in (
        "disconnected · no supply", "Supply switched off", "waits for a second person", "asked by",
        "Clock set", "What it offers", "15 minutes", "load profile",
    ):  # fmt: skip
        assert text in english, text
    arabic = words(client.get("/meters/M1?lang=ar"))
    for text in ("مفصول", "فصل التغذية", "ينتظر موافقة شخص ثان", "ما يقدمه العداد"):
        assert text in arabic, text


def test_the_read_rate_of_meters_without_a_memory_counts_their_samples(database_url: str) -> None:
    row = town.row("W1", "UP1", protocol="mqtt", interval_seconds="3600", host="", port="")
    late = town.row("W2", "UP2", installed_from="2026-06-02T00:00:00+03:00")
    start = billing.PERIOD.start
    with database.connect(database_url) as connection:
        assert not town.registry.import_rows(connection, [row, late]).rejected
        samples = [(start + timedelta(minutes=60 * n + 3), n) for n in range(10)]
        record.land_registers(connection, "W1", [*samples, (samples[0][0], 5)])
        values = [1] * 96
        record.land(connection, "W2", start + timedelta(days=1), values, [0] * 90 + [200] * 6)
        # What came later stands beside what was missing at first.
        record.land(connection, "W2", start + timedelta(days=1, minutes=15 * 90), [4, 4])
        rate = read_rate.read_rate(connection, Period(start, start + timedelta(days=2)))
    assert (rate.due, rate.read) == (48 + 96, 10 + 92)


@pytest.mark.parametrize("at", ["/balance?lang=en", "/worklist?rule=none&lang=en"])
def test_pages_with_nothing_on_them_tell_the_time_of_the_fleet(
    client: httpx.Client, at: str
) -> None:
    assert "Asia/Kuwait (UTC+03:00)" in words(client.get(at))
