"""The balance's page and command, as a client of HTTP, a phone and a terminal get them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest
from playwright.sync_api import sync_playwright

from benchmarks import balance as planted
from schemas import database
from tests.console import town
from tests.console.shell import Shell, shell
from tests.console.test_pages_browser import FLAGS
from tests.mdm.record import NOW
from tests.mdm.test_balance import recorded


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    """A node with a meter whose multiplier is wrong."""
    with database.connect(module_database_url) as connection:
        connection.execute("INSERT INTO simulated_clock (now) VALUES (%s)", [NOW])
        recorded(connection, planted.feeder(3, "ten times", meters=12), lost=slice(5, 8))
    with town.served(module_database_url) as at:
        yield at


@pytest.fixture
def run(
    address: str,
    module_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", module_database_url)
    with shell(monkeypatch, capsys) as run:
        yield run


def words(text: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", text)))


def test_the_page_names_the_cause_in_both_languages(address: str) -> None:
    with httpx.Client(base_url=address, timeout=60) as client:
        english = words(client.get("/balance?lang=en").text)
        arabic = words(client.get("/balance?lang=ar&node=F").text)
    planted_ = f"M{planted.feeder(3, 'ten times', meters=12).planted:02}"
    assert f"{planted_} : wrong multiplier" in english
    assert "× 10" in english
    assert "kWh" in english
    assert "M03 : 3 intervals" in english
    assert "معامل ضرب خاطئ" in arabic


@pytest.mark.parametrize("query", ["node=%00", "from=2026-06-20&to=2026-06-22"])
def test_odd_questions_are_harmless(address: str, query: str) -> None:
    assert httpx.get(f"{address}/balance?{query}", timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "english", "arabic"),
    [
        ("node=NOBODY", 404, "There is no balance of that name.", "لا يوجد ميزان بهذا الاسم"),
        ("from=2031-01-01", 400, "A balance cannot be made of these days.", "لا يمكن حساب الميزان"),
        ("from=x&to=y", 400, "That is not a date.", "هذا ليس تاريخا"),
        ("to=2026-02-30", 400, "Write days as 2026-06-30", "اكتب الأيام هكذا"),
    ],
)
def test_what_cannot_be_answered_is_said(
    address: str, query: str, status: int, english: str, arabic: str
) -> None:
    for language, text in (("en", english), ("ar", arabic)):
        page = httpx.get(f"{address}/balance?{query}&lang={language}", timeout=60)
        assert page.status_code == status
        assert text in words(page.text)


def test_on_a_phone_nothing_sticks_out(address: str, chromium: str) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 360, "height": 740})
        for language in ("en", "ar"):
            page.goto(f"{address}/balance?lang={language}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
        browser.close()


def test_the_command_says_the_same(run: Shell) -> None:
    said = run("balance", "F", "--from", "2026-06-01", "--to", "2026-06-29")
    text = " ".join(" ".join(said.lines).split())
    name = f"M{planted.feeder(3, 'ten times', meters=12).planted:02}"
    assert said.status == 0
    assert f"{name}: wrong multiplier: 10 times what it counts flows" in text
    assert "missing: M03, 3 intervals" in text
    assert "NODE" in " ".join(run("balance").lines)
    wrong = run("balance", "NOBODY")
    assert wrong.status == 1
    assert "miqyas import virtual" in wrong.err
