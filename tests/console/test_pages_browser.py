"""The pages in a real browser: on a desk and on a phone, in English and in Arabic."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.console import town

# The last ones keep Chromium from looking for its maker's servers.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATHS = ("/", "/meters/M1", "/meters/M2", f"/meters/{quote(town.EVIL, safe='')}", "/meters/NOBODY")
SIZES = {"desk": (1280, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def address(module_database_url: str) -> Iterator[str]:
    town.build(module_database_url)
    with town.served(module_database_url) as at:
        yield at


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, complaints: list[str]) -> Iterator[Page]:
    width, height = SIZES[request.param]
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    # Chromium itself writes down that a page was not found; that is what was asked for.
    opened.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type in {"error", "warning"} and "404" not in message.text
            else None
        ),
    )
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    yield opened
    context.close()


@pytest.mark.parametrize("language", ["en", "ar"])
@pytest.mark.parametrize("path", PATHS)
def test_no_page_scrolls_sideways_and_none_complains(
    page: Page, address: str, complaints: list[str], path: str, language: str
) -> None:
    page.goto(f"{address}{path}?lang={language}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.documentElement.dir") == {"en": "ltr", "ar": "rtl"}[language]
    assert page.evaluate("getComputedStyle(document.body).direction") == (
        "rtl" if language == "ar" else "ltr"
    )
    assert complaints == []


def test_a_technician_finds_the_meter_and_what_to_do(page: Page, address: str) -> None:
    page.goto(f"{address}/?lang=en")
    page.get_by_role("searchbox").fill("m2")
    page.get_by_role("button", name="Search").click()
    page.locator("#meters ~ .scroll").get_by_role("link", name="M2").click()
    box = page.locator(".verdict")
    seen = page.viewport_size
    place = box.bounding_box()
    assert seen
    assert place
    # All of it is on the first screen.
    assert place["y"] + place["height"] <= seen["height"]
    for text in (
        "It does not accept our key",
        "2026-06-03 09:00",
        "Import the right key",
        "the meter refuses <our> key",
    ):
        assert box.get_by_text(text).is_visible()


def test_the_language_is_changed_with_one_touch_and_stays(page: Page, address: str) -> None:
    page.goto(f"{address}/meters/M2")
    page.get_by_role("link", name="العربية").click()
    assert page.get_by_text("العداد لا يقبل المفتاح").is_visible()
    assert page.get_by_text("استورد المفتاح الصحيح").is_visible()
    page.goto(f"{address}/")
    assert page.get_by_role("heading", name="العدادات", exact=True).is_visible()
    page.get_by_role("link", name="English").click()
    assert page.get_by_role("heading", name="The fleet").is_visible()


def test_the_drawing_fills_its_place_and_shows_each_class(page: Page, address: str) -> None:
    page.goto(f"{address}/meters/M1?lang=en")
    drawings = page.locator(".day svg")
    sizes = [drawings.nth(n).bounding_box() for n in range(drawings.count())]
    assert all(size and size["width"] > 100 and size["height"] > 40 for size in sizes)
    fills = {
        name: page.locator(f"path.{name}").first.evaluate("e => getComputedStyle(e).fill")
        for name in ("valid", "questionable", "missing", "estimated", "edited")
    }
    assert len(set(fills.values())) == 5
    assert "rgb(0, 0, 0)" not in fills.values()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(browser: Browser, address: str, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    opened = context.new_page()
    opened.goto(f"{address}/meters/M2?lang=en")
    for selector in ("h1", ".verdict .advice", ".verdict dt", "a.language"):
        assert _contrast(opened, selector) >= 4.5, selector
    context.close()


def _contrast(page: Page, selector: str) -> float:
    """The ratio of WCAG 2, of an element's text to what is behind it."""
    ink, paper = page.locator(selector).first.evaluate(
        """e => { let b = e; const numbers = c => c.match(/[\\d.]+/g).map(Number);
        while (b && numbers(getComputedStyle(b).backgroundColor)[3] === 0) b = b.parentElement;
        return [numbers(getComputedStyle(e).color),
                numbers(getComputedStyle(b || document.body).backgroundColor)]; }"""
    )
    one, two = sorted((_luminance(ink), _luminance(paper)))
    return (two + 0.05) / (one + 0.05)


def _luminance(colour: list[float]) -> float:
    parts = [c / 255 for c in colour[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
