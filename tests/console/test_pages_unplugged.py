"""Pages while the database or their server goes away and comes back, and after odd questions."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import expect, sync_playwright

from headend import clock
from mdm import registry
from schemas import database, server
from tests.console import town
from tests.console.reading import words
from tests.console.test_pages_browser import FLAGS

FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
LONG = "UP-" + "قياس-measure-" * 30


def test_pages_mend_themselves_when_the_database_is_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ExitStack() as stack:
        first = server.start(home, "embedded", settings=FAST)
        stack.callback(server.stop, first)
        database.migrate(first.url)
        address = stack.enter_context(town.served(first.url))
        with httpx.Client(base_url=address, timeout=60) as client:
            assert client.get("/").status_code == 200
            assert server.stop(first)
            lost = client.get("/?lang=ar")
            assert lost.status_code == 503
            assert "قاعدة البيانات لا تستجيب" in words(lost)
            assert "miqyas doctor" in words(lost)
            # Whoever has it open gets the page by itself, once it can be had.
            assert '<meta http-equiv="refresh" content="15">' in lost.text
            assert lost.headers["retry-after"] == "15"
            assert client.get("/healthz").status_code == 503
            again = server.start(home, "embedded", settings=FAST)
            stack.callback(server.stop, again)
            assert again.url == first.url
            # The very first question is answered: no broken connection is given out.
            assert client.get("/?lang=en").status_code == 200
            assert client.get("/healthz").status_code == 200


def test_an_open_page_says_that_it_is_old_and_mends_itself(
    database_url: str, chromium: str
) -> None:
    with database.connect(database_url) as connection:
        clock.simulate(connection, town.NOW)
        registry.import_rows(connection, [town.row("K1", "P1", protocol="manual")])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 360, "height": 740})
        with town.served(database_url, port=port) as address:
            page.goto(f"{address}/?lang=en")
            expect(page.locator("#stale")).to_be_hidden()
        page.evaluate("window.dispatchEvent(new Event('offline'))")
        expect(page.locator("#stale")).to_have_text(
            "No connection to the server. What you see may be old; "
            "it is mended as soon as the server answers."
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        with database.connect(database_url) as connection:
            registry.import_rows(connection, [town.row("K2", "P2", protocol="manual")])
        with town.served(database_url, port=port):
            page.evaluate("window.dispatchEvent(new Event('online'))")
            expect(page.locator("#stale")).to_be_hidden()
            expect(page.get_by_role("link", name="K2")).to_be_visible()
        browser.close()


@pytest.mark.parametrize(
    ("at", "status", "english", "arabic"),
    [
        ("/meters/NOBODY", 404, "There is no meter of that name.", "لا يوجد عداد بهذا الاسم"),
        ("/worklist/77", 404, "There is no finding of that number.", "لا توجد ملاحظة بهذا الرقم"),
        ("/nothing", 404, "There is no such page.", "لا توجد صفحة بهذا العنوان"),
    ],
)
def test_what_is_not_there_is_said_in_both_languages(
    client: httpx.Client, at: str, status: int, english: str, arabic: str
) -> None:
    for language, text in (("en", english), ("ar", arabic)):
        page = client.get(f"{at}?lang={language}")
        assert page.status_code == status
        assert text in words(page)


def test_whoever_mistypes_a_meter_can_search_from_there(client: httpx.Client) -> None:
    page = client.get(f"/meters/{quote(town.EVIL[:4], safe='')}?lang=en")
    assert page.status_code == 404
    assert f'name="q" value="{town.EVIL[:3]}' in page.text


def test_a_very_long_name_fits_a_phone(database_url: str, chromium: str) -> None:
    with database.connect(database_url) as connection:
        clock.simulate(connection, town.NOW)
        rows = [town.row("M-" + "9" * 120, LONG, protocol="manual", segment="s" * 200)]
        assert not registry.import_rows(connection, rows).rejected
    with town.served(database_url) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 360, "height": 740})
        for language in ("en", "ar"):
            for at in ("/", f"/meters/M-{'9' * 120}"):
                page.goto(f"{address}{at}?lang={language}")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), at
        browser.close()
