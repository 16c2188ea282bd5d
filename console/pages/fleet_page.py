"""The page of the fleet: who talks and who does not, what was read, what waits, what is billed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from console import store
from console.pages.language import Language
from console.pages.recent import Recent
from console.pages.showing import Reader
from headend import overview, quarantine, read_rate, talking, unknown_devices
from headend.diagnosis import Verdict
from headend.overview import Fleet
from headend.read_rate import ReadRate
from mdm import cycle, cycle_status, places, worklist
from mdm.cycle_status import Status
from mdm.places import Place
from schemas.database import Connection
from schemas.period import Period, local_day

KINDS: Final = ("all", "silent", "warning", "talking", "unread", "by_hand")
"""Which meters the list can be narrowed to."""

_PAGE = 25
_FIRST_SILENT = 12
_CYCLES = 4
_STRANGERS = 8
_RATE_DAYS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """A meter in a list; ``verdict`` is None if no machine reads it, ``kind`` out of ``KINDS``."""

    place: Place
    verdict: Verdict | None
    kind: str

    def is_shown(self, kind: str) -> bool:
        """Tell whether a list narrowed to a kind has it; who talks with a warning talks."""
        return kind in {"all", self.kind} or (kind == "talking" and self.kind == "warning")

    def is_named(self, text: str) -> bool:
        """Tell whether the meter, its usage point or its segment has a text in its name."""
        names = (self.place.end_device, self.place.usage_point, self.place.segment or "")
        return any(text in name.casefold() for name in names)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list of meters, and what was asked for."""

    rows: Sequence[Row]
    found: int
    number: int
    pages: int
    text: str
    kind: str


def content(
    connection: Connection,
    query: Mapping[str, str],
    language: Language,
    rates: Recent[ReadRate],
) -> tuple[Reader, dict[str, Any]]:
    """Ask for everything that the page shows.

    Parameters
    ----------
    query : ``q`` narrows the list to names with a text, ``show`` to one of ``KINDS``, ``page``
        turns its pages; whatever else stands there counts for nothing
    rates : keeps the read rate, which of 3 M intervals takes half a second to count
    """
    now = store.now(connection)
    installed = places.installed(connection, now=now)
    reader = Reader(language, _zone(installed), now)
    days = _rate_period(now, reader.zone)
    rows = _rows(installed, overview.fleet(connection, now=now))
    return reader, {
        "counts": Counter(row.kind for row in rows),
        "meters": len(rows),
        "rate": rates.answer(days, lambda: read_rate.read_rate(connection, days)),
        "findings": _findings(connection),
        "quarantined": quarantine.count_open(connection),
        "unknown": unknown_devices.count(connection),
        "strangers": unknown_devices.awaiting(connection, limit=_STRANGERS),
        "cycles": _cycles(connection),
        "silent": _silent(rows)[:_FIRST_SILENT],
        "listing": _listing(rows, query),
        "kinds": KINDS,
    }


def _zone(installed: Sequence[Place]) -> ZoneInfo:
    """Choose the zone in which most usage points are."""
    common = Counter(place.time_zone for place in installed).most_common(1)
    return ZoneInfo(common[0][0] if common else "UTC")


def _rows(installed: Sequence[Place], fleet: Fleet) -> list[Row]:
    verdicts = {line.mrid: line.verdict for line in fleet.devices}
    judged = ((place, verdicts.get(place.end_device)) for place in installed)
    return [Row(place, verdict, _kind(verdict)) for place, verdict in judged]


def _kind(verdict: Verdict | None) -> str:
    if verdict is None:
        return "by_hand"
    talks = talking.talks(verdict)
    if talks is None:
        return "unread"
    if not talks:
        return "silent"
    return "warning" if verdict.words.level == "warning" else "talking"


def _silent(rows: Sequence[Row]) -> list[Row]:
    """List meters that do not talk, the longest silent first."""
    silent = [(row.verdict, row) for row in rows if row.verdict and row.kind == "silent"]
    return [row for verdict, row in sorted(silent, key=lambda pair: _moment(pair[0].since))]


def _moment(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _rate_period(now: datetime, zone: ZoneInfo) -> Period:
    """Give the last whole local days; today's readings are on their way."""
    today = now.astimezone(zone).date()
    first = local_day(today - timedelta(days=_RATE_DAYS), zone)
    return Period(first.start, local_day(today, zone).start)


def _findings(connection: Connection) -> Counter[str]:
    counts: Counter[str] = Counter()
    for group in worklist.groups(connection):
        counts[group.severity] += group.findings
    return counts


def _cycles(connection: Connection) -> list[Status]:
    newest = cycle.cycles(connection)[-_CYCLES:]
    return [cycle_status.status(connection, one) for one in reversed(newest)]


def _listing(rows: Sequence[Row], query: Mapping[str, str]) -> Listing:
    text = query.get("q", "").strip()
    kind = query.get("show", "")
    kind = kind if kind in KINDS else "all"
    chosen = [row for row in rows if row.is_shown(kind) and row.is_named(text.casefold())]
    pages = max(1, -(-len(chosen) // _PAGE))
    asked = query.get("page", "")
    number = min(int(asked), pages) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
    number = max(1, number)
    shown = chosen[(number - 1) * _PAGE : number * _PAGE]
    return Listing(shown, len(chosen), number, pages, text, kind)
