"""The pages as any client of HTTP gets them, and the command that serves them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest

from console.pages import headers, interval_chart, language, showing
from console.pages.showing import Reader
from drivers.control import ImageStatus, SwitchPosition
from headend import control_kinds, controls, diagnosis, read_rate, talking
from headend.diagnosis import Condition
from mdm import tariff
from schemas import database, quality, reading_type, statements
from schemas.period import Period, local_day
from tests.console import town
from tests.mdm import billing, record
from validation import failures

KUWAIT = ZoneInfo("Asia/Kuwait")


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    town.build(module_database_url)
    with town.served(module_database_url) as at:
        yield at


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=30) as asking:
        yield asking


def words(response: httpx.Response) -> str:
    """What a reader sees, white space reduced."""
    body = re.sub(r"<(style|svg).*?</\1>", " ", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


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
        assert "<script" not in page.text
        assert "<b>cell" not in page.text
    page = client.get(f"/meters/{quote(town.EVIL, safe='')}")
    assert town.EVIL in words(page)
    other = re.search(r'class="language" href="([^"]+)"', page.text)
    assert other
    assert town.EVIL in words(client.get(unescape(other[1])))


@pytest.mark.parametrize(
    ("at", "status", "says"),
    [
        ("/meters/NOBODY", 404, "There is no meter of that name."),
        ("/meters/%00", 404, "There is no meter of that name."),
        ("/meters/%3Cscript%3E", 404, "There is no meter of that name."),
        ("/meters/", 404, "There is no meter of that name."),
        ("/nothing", 404, "There is no such page."),
        ("/static/..%2f..%2fcommand.py", 404, "There is no such page."),
    ],
)
def test_what_is_not_there_is_said_in_plain_words(
    client: httpx.Client, at: str, status: int, says: str
) -> None:
    page = client.get(at)
    assert page.status_code == status
    assert says in page.text
    assert "<script" not in page.text


def test_a_page_cannot_be_posted_to(client: httpx.Client) -> None:
    page = client.post("/meters/M1")
    assert page.status_code == 405
    assert "cannot be asked for in that way" in page.text


@pytest.mark.parametrize("at", ["/", "/meters/M1", "/nothing", "/static/style.css", "/healthz"])
def test_every_answer_is_guarded(client: httpx.Client, at: str) -> None:
    got = client.get(at).headers
    assert got["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in got["content-security-policy"]
    assert got["x-content-type-options"] == "nosniff"
    assert got["x-frame-options"] == "DENY"
    assert "server" not in got


def test_other_names_for_this_machine_are_not_served(client: httpx.Client) -> None:
    assert client.get("/", headers={"host": "evil.example:80"}).status_code == 421
    assert client.get("/", headers={"host": "127.0.0.1:1"}).status_code == 200
    assert headers.host_name("[::1]:8000") == "::1"


def test_health(client: httpx.Client) -> None:
    answer = client.get("/healthz").json()
    assert answer["status"] == "ok"
    assert datetime.fromisoformat(answer["now"]) == town.NOW


def test_a_lost_database_is_said_so() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"
    with town.served(nowhere) as address:
        assert httpx.get(f"{address}/healthz", timeout=60).status_code == 503
        page = httpx.get(address, timeout=60)
    assert page.status_code == 503
    assert "The database does not answer." in page.text


def test_arabic_is_remembered_and_runs_from_right_to_left(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url) as asking:
        assert '<html lang="en" dir="ltr">' in asking.get("/").text
        assert '<html lang="ar" dir="rtl">' in asking.get("/?lang=ar").text
        page = asking.get("/meters/M2")
        assert '<html lang="ar" dir="rtl">' in page.text
        assert "العداد لا يقبل المفتاح" in page.text
        assert "سكن خاص" in page.text
        assert '<html lang="en" dir="ltr">' in asking.get("/?lang=en").text
        assert '<html lang="en" dir="ltr">' in asking.get("/meters/M2").text
    arabic = client.get("/", headers={"accept-language": "ar-KW,ar;q=0.9"})
    assert 'dir="rtl"' in arabic.text


def test_a_page_cannot_change_anything(module_database_url: str, client: httpx.Client) -> None:
    before = _rows(module_database_url)
    for at in ("/", "/meters/M1", "/meters/M2"):
        client.get(at)
    assert _rows(module_database_url) == before


def _rows(url: str) -> list[object]:
    tables = ("device_status", "collection_session", "arrival", "finding", "determinant_set")
    with database.connect(url) as connection:
        return [
            connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall()
            for table in tables
        ]


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


@pytest.mark.parametrize("file", ["places.sql", "bill.sql"])
def test_every_statement_can_be_prepared(database_url: str, file: str) -> None:
    with database.connect(database_url) as connection:
        for name, text in statements.load("mdm", file).items():
            record.prepare(connection, name, text)


def test_every_word_stands_in_both_languages() -> None:
    english, arabic = language.words("en"), language.words("ar")
    assert [key for key in english if not english[key] or not arabic[key]] == []
    wanted = [
        *(f"rule:{name}" for name in failures.NAMES),
        *(f"determinant:{name}" for name in tariff.DETERMINANTS),
        *(f"class:{each.name.lower()}" for each in quality.QualityClass),
        *(f"severity:{name}" for name in ("info", "issue", "terminate")),
        *(f"outcome:{name}" for name in ("ok", "partial", "failed")),
        *(f"control:{name}" for name in control_kinds.KINDS),
        *(f"control_state:{name}" for name in (*controls.OPEN, "waits", "done", "failed")),
        *(f"image:{name}" for name in get_args(ImageStatus)),
        *(f"switch:{name}" for name in get_args(SwitchPosition)),
    ]
    assert [key for key in wanted if key not in english] == []


def test_every_word_is_used_somewhere() -> None:
    folder = Path(language.__file__).parents[1]
    files = [*folder.glob("templates/*.html"), *folder.glob("pages/*.py")]
    source = "\n".join(file.read_text("utf-8") for file in files)
    plain = [key for key in language.words("en") if ":" not in key]
    advice = {key for key in plain if key.endswith("_advice")}
    unused = [k for k in plain if k not in advice and not re.search(rf"['\"._]{k}\b", source)]
    assert unused == []


@pytest.mark.parametrize(
    ("count", "english", "arabic"),
    [
        (0, "0 days", "0 يوما"),
        (1, "1 day", "يوم واحد"),
        (2, "2 days", "يومان"),
        (3, "3 days", "3 أيام"),
        (10, "10 days", "10 أيام"),
        (11, "11 days", "11 يوما"),
        (103, "103 days", "103 أيام"),
        (1_234, "1,234 days", "1,234 يوما"),
    ],
)
def test_counted_nouns(count: int, english: str, arabic: str) -> None:
    assert _reader("en").counted("days", count) == english
    assert _reader("ar").counted("days", count) == arabic


def _reader(chosen: language.Language) -> Reader:
    return Reader(chosen, KUWAIT, town.NOW)


def test_figures_and_moments() -> None:
    reader = _reader("en")
    assert reader.length(timedelta(seconds=59)) == "0 minutes"
    assert reader.length(timedelta(hours=47)) == "1 day"
    assert reader.moment(town.NOW) == "2026-06-05 09:00"
    assert reader.moment(town.NOW, "Asia/Kuwait") == "2026-06-05 09:00"
    assert reader.moment(town.NOW, "Asia/Dubai") == "2026-06-05 10:00 Asia/Dubai"
    assert showing.number(Decimal("1234567.890")) == "1,234,567.890"
    assert showing.factor(Decimal("400.000000")) == "400"
    assert showing.factor(Decimal("0.500000")) == "0.5"
    assert (showing.percent(99.99), showing.percent(100.0), showing.percent(None)) == (
        "99.9", "100.0", "–",
    )  # fmt: skip


def test_bars_that_stand_side_by_side_make_one_outline() -> None:
    heights = np.array([10.0, 20.0, 0.0, 100.0])
    assert interval_chart.path(heights, [0, 1, 3]) == "M0 100V90H1V80H2V100ZM3 100V0H4V100Z"


def test_a_drawing_of_the_day_when_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    whole = local_day(date(2026, 3, 29), berlin)
    blocks = record.blocks([1], [int(whole.start.timestamp())], [[7] * 92])
    kind = reading_type.named("active_energy_import_interval")
    drawn = interval_chart.chart(blocks, kind, 900, whole, berlin)
    (day,) = drawn.days
    assert (day.slots, day.total, drawn.highest) == (92, Decimal("0.644"), Decimal("0.007"))
    assert day.paths["valid"].endswith("H92V100Z")


@pytest.mark.parametrize(
    ("condition", "talks"),
    [
        (Condition(), None),
        (Condition(last_attempt=town.NOW, last_ok=town.NOW), True),
        (Condition(last_attempt=town.NOW, last_ok=town.NOW - timedelta(days=9)), False),
        (
            Condition(last_attempt=town.NOW, failing_since=town.NOW, error="TimedOut", failures=1),
            False,
        ),
        (
            Condition(
                last_attempt=town.NOW, last_ok=town.NOW, clock_deviation=timedelta(minutes=9)
            ),
            True,
        ),
    ],
)
def test_who_talks(condition: Condition, talks: bool | None) -> None:
    assert talking.talks(diagnosis.verdict(condition, now=town.NOW)) is talks


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


def test_the_command_serves_until_it_is_interrupted(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = _serve(database_url, "--port", str(port))
        _, said = refused.communicate(timeout=60)
        assert refused.returncode == 1
        assert f"Port {port} is taken by another program." in said
    for ending in (signal.SIGINT, signal.SIGTERM):
        running = _serve(database_url, "--port", "0")
        assert running.stdout
        try:
            address = running.stdout.readline().split()[3]
            assert httpx.get(f"{address}/healthz").json()["status"] == "ok"
        finally:
            running.send_signal(ending)
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out, err) == (0, "Ended.\n", "")


def _serve(url: str, *options: str) -> subprocess.Popen[str]:
    program = "import typer; from console import serve; typer.run(serve.serve)"
    return subprocess.Popen(
        [sys.executable, "-c", program, *options],
        env={**os.environ, "MIQYAS_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
