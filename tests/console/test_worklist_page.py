"""The pages of the worklist, as a client of HTTP and as a phone in a real browser get them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from playwright.sync_api import sync_playwright

from mdm import vee, worklist, worklist_people
from mdm.intake_layout import Weeks
from schemas import database
from tests.console import town
from tests.console.reading import words
from tests.console.test_pages_browser import FLAGS
from tests.mdm import record
from tests.mdm.test_editing import CURVE, DAY, LATER, NOW, QUARTER

EVIL = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    """A usage point whose second day has a spike that nobody can explain, and a gap."""
    with database.connect(module_database_url) as connection:
        point = record.usage_point(connection)
        record.installation(connection, point, "M-1")
        for day in (-7, -1):
            record.land(connection, "M-1", DAY + timedelta(days=day), CURVE)
        record.land(connection, "M-1", DAY, [*CURVE[:10], 90_000, *CURVE[11:40]])
        record.land(connection, "M-1", DAY + 42 * QUARTER, CURVE[42:])
        vee.run(connection, now=NOW, weeks=Weeks(), rule_sets=record.RULES)
        (spike,) = worklist.findings(connection, rule="spike")
        worklist_people.assign(connection, [spike.id], EVIL, person="Mona", now=LATER)
    with town.served(module_database_url) as at:
        yield at


def spike_of(client: httpx.Client) -> str:
    found = re.search(r'href="(/worklist/\d+)"', client.get("/worklist?rule=spike").text)
    assert found
    return found[1]


def test_findings_by_cause_and_age(client: httpx.Client) -> None:
    page = client.get("/worklist?lang=en")
    text = words(page)
    assert page.status_code == 200
    assert "1 spike issues" in text
    assert re.search(r"spike #\d+ UP-1 .* overdue", text)
    assert EVIL in text
    assert EVIL not in page.text
    narrowed = words(client.get("/worklist?rule=gap"))
    assert re.search(r"gap #\d+", narrowed)
    assert not re.search(r"spike #\d+", narrowed)
    assert 'href="/worklist"' in client.get("/").text


@pytest.mark.parametrize("query", ["rule=%00", "page=-1", "page=999999", "who=' OR 1=1", "page=9"])
def test_bad_questions_are_harmless(client: httpx.Client, query: str) -> None:
    assert client.get(f"/worklist?{query}").status_code == 200


def test_a_finding_beside_its_neighbours_and_estimate(client: httpx.Client) -> None:
    page = client.get(spike_of(client))
    text = words(page)
    assert "02:30 90.000 0.130 90.000 Failed validation and not resolved" in text
    for name in ("raw", "estimate", "like", "before"):
        assert f'class="stroke {name}" d="M' in page.text
    # A spike does not flatten the rest: the top of the drawing is what is usual.
    assert "What was read goes above it." in text
    assert "assigned" in text


def test_what_is_not_there_is_said(client: httpx.Client) -> None:
    assert client.get("/worklist/77").status_code == 404
    assert client.get("/worklist/999999999999999999999999").status_code == 404
    assert client.get("/worklist/x").status_code == 404


@pytest.mark.parametrize("language", ["en", "ar"])
def test_on_a_phone_nothing_scrolls_sideways(
    client: httpx.Client, address: str, chromium: str, language: str
) -> None:
    complaints: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("console", lambda message: complaints.append(message.text))
        for path in ("/worklist", spike_of(client)):
            page.goto(f"{address}{path}?lang={language}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.locator("h1").inner_text()
        browser.close()
    assert complaints == []
