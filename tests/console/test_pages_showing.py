"""Words, figures and drawings of the pages."""

from __future__ import annotations

import re
import time
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from console.pages import interval_chart, language, showing
from console.pages.recent import Recent
from console.pages.showing import Reader
from drivers.control import ImageStatus, SwitchPosition
from headend import control_kinds, controls, diagnosis, talking
from headend.diagnosis import Condition
from mdm import calendar_file, tariff
from schemas import quality, reading_type
from schemas.period import local_day
from tests.console import town
from tests.mdm import record
from validation import failures

KUWAIT = ZoneInfo("Asia/Kuwait")


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


def test_every_shipped_time_of_use_period_has_words() -> None:
    folder = Path(calendar_file.__file__).with_name("calendars")
    periods = {
        period
        for file in folder.glob("*.toml")
        for period in calendar_file.named(file.stem).periods
    }
    assert len(periods) > 8
    assert [name for name in sorted(periods) if f"part:{name}" not in language.words("ar")] == []
    reader = _reader("ar")
    assert reader.part("off_peak") == "خارج الذروة"
    assert reader.part("peak 2026-06-01/2026-06-04 A_1") == "ذروة 2026-06-01/2026-06-04 A_1"
    assert (reader.part("30 min"), _reader("en").part("30 min")) == ("30 دقيقة", "30 minutes")


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


def test_an_answer_is_kept_for_as_long_as_it_was_dear() -> None:
    asked: list[str] = []

    def dear(what: str) -> str:
        asked.append(what)
        time.sleep(0.2)
        return what

    recent = Recent[str](0)
    answers = [recent.answer(about, partial(dear, about)) for about in ("a", "b", "a", "b")]
    assert answers == ["a", "b", "a", "b"]
    assert asked == ["a", "b"]
    cheap = Recent[int](0)
    assert cheap.answer("c", lambda: 1) == 1
    time.sleep(0.1)
    assert cheap.answer("c", lambda: 2) == 2


def test_figures_and_moments() -> None:
    reader = _reader("en")
    assert reader.length(timedelta(seconds=59)) == "under a minute"
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
