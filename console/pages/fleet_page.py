"""The page of the fleet: who talks and who does not, what was read, what waits, what is billed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from console import store
from console.pages.language import Language
from console.pages.recent import Recent
from console.pages.showing import Reader
from headend import census, quarantine, read_rate, talking, unknown_devices
from headend.census import Group
from headend.diagnosis import Verdict
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
    """A meter in a list; ``verdict`` is None if no machine reads it."""

    place: Place
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the list of meters, and what was asked for."""

    rows: Sequence[Row]
    found: int
    number: int
    pages: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Judged:
    """How the fleet is: groups of meters that are alike, and who has been silent the longest."""

    groups: Sequence[Group]
    silent: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Fleet:
    """The fleet as a page asks for it."""

    connection: Connection
    now: datetime
    groups: Sequence[Group]

    def counts(self) -> Counter[str]:
        """Count the meters by kind; who talks with a warning is not counted among who talks."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            counts[_kind(group.verdict)] += group.meters
        return counts

    def keys(self, kind: str) -> list[str] | None:
        """Name the groups that a list narrowed to a kind has; None for all."""
        kinds = {"talking", "warning"} if kind == "talking" else {kind}
        if kind == "all":
            return None
        return sorted({group.key for group in self.groups if _kind(group.verdict) in kinds})

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """Tell of some meters where they are and how, in the order of their numbers here."""
        at = places.of(self.connection, ids, now=self.now)
        how = census.verdicts(self.connection, ids, now=self.now)
        by_hand = {number for number, place in at.items() if place.protocol == "manual"}
        # What was listed a moment ago may have been taken down since.
        return [Row(at[n], None if n in by_hand else how[n]) for n in ids if n in at]


def content(
    connection: Connection,
    query: Mapping[str, str],
    language: Language,
    rates: Recent[ReadRate],
    judged: Recent[Judged],
    statuses: Recent[Status],
) -> tuple[Reader, dict[str, Any]]:
    """Ask for everything that the page shows.

    Parameters
    ----------
    query : ``q`` narrows the list to names with a text, ``show`` to one of ``KINDS``, ``page``
        turns its pages; whatever else stands there counts for nothing
    rates : keeps the read rate, which of 3 M intervals takes half a second to count
    judged : keeps how the fleet is, which of 100,000 meters takes as long
    statuses : keeps how far cycles are
    """
    now = store.now(connection)
    seen = judged.answer("fleet", lambda: _judged(connection, now))
    fleet = _Fleet(connection, now, seen.groups)
    reader = Reader(language, cycle_status.zone(connection), now)
    days = _rate_period(now, reader.zone)
    counts = fleet.counts()
    return reader, {
        "counts": counts,
        "meters": counts.total(),
        "rate": rates.answer(days, lambda: read_rate.read_rate(connection, days)),
        "findings": _findings(connection),
        "quarantined": quarantine.count_open(connection),
        "unknown": unknown_devices.count(connection),
        "strangers": unknown_devices.awaiting(connection, limit=_STRANGERS),
        "cycles": _cycles(connection, statuses),
        "silent": fleet.rows(seen.silent),
        "listing": _listing(fleet, query),
        "kinds": KINDS,
    }


def _kind(verdict: Verdict | None) -> str:
    if verdict is None:
        return "by_hand"
    talks = talking.talks(verdict)
    if talks is None:
        return "unread"
    if not talks:
        return "silent"
    return "warning" if verdict.words.level == "warning" else "talking"


def _judged(connection: Connection, now: datetime) -> Judged:
    """Count the fleet, and name the first meters that do not talk, the longest silent first."""
    fleet = _Fleet(connection, now, census.groups(connection, now=now))
    keys = fleet.keys("silent")
    silent = census.members(connection, now=now, keys=keys, oldest=True, limit=_FIRST_SILENT)
    return Judged(fleet.groups, silent.ids if keys else ())


def _rate_period(now: datetime, zone: ZoneInfo) -> Period:
    """Give the last whole local days; today's readings are on their way."""
    today = now.astimezone(zone).date()
    first = local_day(today - timedelta(days=_RATE_DAYS), zone)
    return Period(first.start, local_day(today, zone).start)


def _findings(connection: Connection) -> Counter[str]:
    return Counter(worklist.severities(connection))


def _cycles(connection: Connection, statuses: Recent[Status]) -> list[Status]:
    newest = cycle.cycles(connection)[-_CYCLES:]
    return [
        statuses.answer(one.id, partial(cycle_status.status, connection, one))
        for one in reversed(newest)
    ]


def _listing(fleet: _Fleet, query: Mapping[str, str]) -> Listing:
    text = query.get("q", "").strip()
    kind = query.get("show", "")
    kind = kind if kind in KINDS else "all"
    asked = query.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 7 else 1
    number = max(1, number)
    found = _page(fleet, text, kind, number)
    if not found.ids and number > 1:
        # Past the end: the last page is meant.
        whole = _page(fleet, text, kind, 1).found
        number = max(1, -(-whole // _PAGE))
        found = _page(fleet, text, kind, number)
    pages = max(1, -(-found.found // _PAGE))
    return Listing(fleet.rows(found.ids), found.found, number, pages, text, kind)


def _page(fleet: _Fleet, text: str, kind: str, number: int) -> census.Page:
    if "\0" in text:
        return census.Page((), 0)
    if not text and kind == "all":
        ids = census.everything(
            fleet.connection, now=fleet.now, limit=_PAGE, offset=(number - 1) * _PAGE
        )
        return census.Page(ids, fleet.counts().total())
    return census.members(
        fleet.connection,
        now=fleet.now,
        keys=fleet.keys(kind),
        text=text.lower(),
        limit=_PAGE,
        offset=(number - 1) * _PAGE,
    )
