"""How figures, moments and lengths of time are written for a reader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from console.pages import language
from console.pages.language import Language
from headend.diagnosis import Verdict
from schemas import facts, quality, reading_type

_STEPS = (("days", 86400), ("hours", 3600), ("minutes", 60))
_FEW = 10
_WINDOW = re.compile(r"(\d+) min")


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who reads a page: in a language, and at ``now`` in a time zone."""

    language: Language
    zone: ZoneInfo
    now: datetime

    def word(self, key: str) -> str:
        """Give a word of ``words.csv``; a name that is not there is shown as it is."""
        return language.words(self.language).get(key, key.rpartition(":")[2].replace("_", " "))

    def moment(self, at: datetime | None, zone: str | None = None) -> str:
        """Write a moment to the minute, in the page's zone or in another that is then named."""
        if at is None:
            return "–"
        other = zone is not None and zone != self.zone.key
        local = at.astimezone(ZoneInfo(zone) if other and zone else self.zone)
        return f"{local:%Y-%m-%d %H:%M}" + (f" {zone}" if other else "")

    def zone_name(self) -> str:
        """Name the zone, with what it was off UTC at ``now``."""
        offset = f"{self.now.astimezone(self.zone):%z}"
        return f"{self.zone.key} (UTC{offset[:3]}:{offset[3:]})"

    def day(self, day: date) -> str:
        """Write a local day with its day of the week."""
        return f"{self.word(f'weekday:{day.isoweekday()}')} {day:%m-%d}"

    def length(self, length: timedelta) -> str:
        """Write a length of time in its largest unit, rounded down."""
        seconds = max(0, int(length.total_seconds()))
        if seconds < 60:
            return self.word("under_a_minute")
        name, step = next((s for s in _STEPS if seconds >= s[1]), _STEPS[-1])
        return self.counted(name, seconds // step)

    def ago(self, at: datetime) -> str:
        """Write how long ago a moment was."""
        return self.length(self.now - at)

    def counted(self, name: str, count: int) -> str:
        """Write a count with its noun; Arabic has forms for one, two, few and many."""
        form = "one" if count == 1 else "two" if count == 2 else "many"
        if 3 <= count % 100 <= _FEW:
            form = "few"
        return self.word(f"{name}:{form}").replace("#", f"{count:,}")

    def part(self, part: str) -> str:
        """Name a part of a figure: a time-of-use period, a window, what it was computed by."""
        window = _WINDOW.fullmatch(part)
        if window:
            return self.counted("minutes", int(window[1]))
        words = (self._named(f"part:{word}") or word for word in part.split(" "))
        return " ".join(words)

    def _named(self, key: str) -> str | None:
        return language.words(self.language).get(key)

    def quality(self, code: int) -> str:
        """Say what a quality code means."""
        meanings = {row["code"]: row[f"description_{self.language}"] for row in _codes()}
        return meanings.get(str(code)) or quality.name_of(code)

    def reading_type(self, name: str) -> str:
        """Say what a reading type measures."""
        kind = reading_type.named(name)
        return kind.description_ar if self.language == "ar" else kind.description_en

    def sector(self, code: str) -> str:
        """Name a sector."""
        names = {row["code"]: row[f"name_{self.language}"] for row in facts.rows("sectors.csv")}
        return names.get(code, code)

    def verdict(self, verdict: Verdict) -> str:
        """Say what a verdict says."""
        return verdict.words.text_ar if self.language == "ar" else verdict.words.text_en

    def advice(self, verdict: Verdict) -> str:
        """Say what to do about a verdict."""
        return verdict.words.advice_ar if self.language == "ar" else verdict.words.advice_en


def _codes() -> list[dict[str, str]]:
    return facts.rows("quality_codes.csv")


def number(value: Decimal | float) -> str:
    """Write a number with marks at the thousands and all its digits."""
    return f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"


def factor(value: Decimal) -> str:
    """Write a multiplier without the empty places that the store keeps."""
    return f"{value.normalize():,f}"


def last_day(ends_on: date) -> date:
    """Give the last day of a stretch whose end is not in it."""
    return ends_on - timedelta(days=1)


def percent(value: float | None) -> str:
    """Write a percentage to a tenth, rounded down, so that 100 means all; a dash if unknown."""
    return "–" if value is None else f"{int(value * 10) / 10:.1f}"
