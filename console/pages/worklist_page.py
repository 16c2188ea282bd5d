"""The pages of the worklist: findings by cause and age; one with all that stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from console import store
from console.pages import finding_figures, finding_plot
from console.pages.language import Language
from console.pages.refusal import Refusal
from console.pages.showing import Reader
from mdm import cycle_status, worklist, worklist_item, worklist_people
from mdm.worklist import Item
from mdm.worklist_days import WorklistError
from mdm.worklist_item import Line, Look
from schemas import reading_type
from schemas.database import Connection
from schemas.settings import Settings

_PAGE = 50
_AROUND = 2
_MOST_SHOWN = 24
_MOST_PAGES = 999


@dataclass(frozen=True, slots=True)
class Row:
    """An interval of a finding's day in all its values [display unit]."""

    at: datetime
    marked: bool
    raw: Decimal | None
    recorded: Decimal | None
    code: int
    before: Decimal | None
    after: Decimal | None
    like: Decimal | None
    estimate: Decimal | None


def listing(
    connection: Connection, query: Mapping[str, str], language: Language
) -> tuple[Reader, dict[str, Any]]:
    """Ask for the worklist, narrowed by the address: rule, person, page."""
    now = store.now(connection)
    rule, person = (query.get(name, "").replace("\0", "") or None for name in ("rule", "who"))
    asked = query.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 1
    number = min(max(1, number), _MOST_PAGES)
    found = worklist.findings(
        connection, rule=rule, assigned_to=person, limit=_PAGE + 1, offset=(number - 1) * _PAGE
    )
    zone = ZoneInfo(found[0].time_zone) if found else cycle_status.zone(connection, None)
    return Reader(language, zone, now), {
        "groups": worklist.groups(connection),
        "found": found[:_PAGE],
        "more": len(found) > _PAGE,
        "number": number,
        "rule": rule,
        "overdue": _overdue(found, now=now),
    }


def finding(
    connection: Connection, number: int, language: Language
) -> tuple[Reader, dict[str, Any]]:
    """Ask for one finding and what stands beside it.

    Raises
    ------
    Refusal
        if there is none.
    """
    now = store.now(connection)
    found = worklist.findings(connection, state=None, number=number)
    if not found:
        raise Refusal(404, "no_finding", f"#{number}")
    (item,) = found
    kind = reading_type.named(item.reading_type)
    seen, gone = _look(connection, item, now)
    reader = Reader(language, ZoneInfo(item.time_zone), now)
    saw, limit = finding_figures.figures(reader, item)
    return reader, {
        "item": item,
        "saw": saw,
        "limit": limit,
        "kind": kind,
        "seen": seen,
        "gone": gone,
        "plot": finding_plot.plot(seen, kind) if seen else None,
        "rows": _rows(seen, kind.shown) if seen else (),
        "events": worklist_people.history(connection, number),
        "overdue": _overdue([item], now=now),
    }


def _look(connection: Connection, item: Item, now: datetime) -> tuple[Look | None, str | None]:
    try:
        return worklist_item.look(connection, item.id, now=now), None
    except WorklistError as problem:
        return None, str(problem)


def _overdue(found: list[Item], *, now: datetime) -> set[int]:
    after: dict[str, timedelta] = Settings().overdue_after()
    return {item.id for item in found if item.overdue(after, now)}


def _rows(seen: Look, shown: Callable[[int], Decimal]) -> list[Row]:
    """Give the finding's intervals and a few beside them."""
    places = [n for n, mark in enumerate(seen.marked) if mark] or [0]
    first, last = places[0] - _AROUND, min(places[-1], places[0] + _MOST_SHOWN) + _AROUND
    estimates = {one.at: one.value for one in seen.estimates}

    def at(line: Line, n: int) -> Decimal | None:
        value = line[n] if n < len(line) else None
        return None if value is None else shown(value)

    like = finding_plot.mean_of([line for _, line in seen.like_days], len(seen.moments))
    rows = []
    for n, moment in enumerate(seen.moments):
        if first <= n <= last:
            estimate = estimates.get(moment)
            rows.append(
                Row(
                    moment, seen.marked[n], at(seen.raw, n), at(seen.recorded, n), seen.codes[n],
                    at(seen.before, n), at(seen.after, n), at(like, n),
                    None if estimate is None else shown(estimate),
                )
            )  # fmt: skip
    return rows
