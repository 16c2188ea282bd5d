"""docs/meters.md: its files can be read, and it names every profile and operation that there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from drivers import activity_calendar, kept
from drivers.activity_calendar import ActivityCalendar, SpecialDay
from drivers.control import PushSetup
from drivers.dlms import companion

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/meters.md").read_text("utf-8")


def test_the_files_of_the_page_are_what_the_commands_take() -> None:
    calendar, days, push = (
        tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    )
    known = activity_calendar.checked(kept.loaded(ActivityCalendar, calendar))
    assert known.weeks[0].days == (1, 1, 1, 1, 2, 2, 1)
    assert [kept.loaded(SpecialDay, day).day for day in days["days"]] == [2]
    assert kept.loaded(PushSetup, push).destination == "192.0.2.7:4059"


def test_the_page_names_every_companion_profile() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE) == sorted(
        companion.names(), key=["generic", "idis-1", "idis-2", "dsmr"].index
    )
    readme = (ROOT / "README.md").read_text("utf-8")
    row = next(line for line in readme.splitlines() if line.startswith("| `dlms`, acting"))
    assert all(f"`{name}`" in row for name in companion.names())
    assert "docs/meters.md" in readme
