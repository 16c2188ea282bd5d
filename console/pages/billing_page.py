"""The page of billing: how far each cycle is, and the worklist of what is held or was rejected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from console import store
from console.pages.language import Language
from console.pages.recent import Recent
from console.pages.showing import Reader
from mdm import (
    account_balance,
    cycle,
    cycle_advance,
    cycle_calendar,
    cycle_holds,
    cycle_status,
    strays,
)
from mdm.cycle_advance import Step
from mdm.cycle_holds import Wanted
from mdm.cycle_plan import Plan, Span
from mdm.cycle_status import Phase, Status, Sum
from mdm.determinants.rounding import UNITS, Rounding
from schemas.database import Connection

STATES: Final = (
    "billed", "exported", "released", "ready", "waiting", "held", "rejected", "absent",
)  # fmt: skip
"""In the order in which a cycle's bar shows them."""

_CYCLES = 8
_COMING = 2
_PAGE = 50
_OWING = 10
_MOST_PAGES = 999
_METRIC: Final = Rounding(3)
_PLACES: Final = 10**9


@dataclass(frozen=True, slots=True)
class Shown:
    """A cycle as the page shows it.

    Attributes
    ----------
    parts : state, its first place and its length on a bar of 100 [%]
    metric : sums once more in m³, for those in other units of volume
    last : the last step that was done by itself; None if there was none
    """

    status: Status
    phase: Phase
    closes_on: date
    parts: tuple[tuple[str, Decimal, Decimal], ...]
    metric: Mapping[str, tuple[Decimal, Decimal]]
    last: Step | None


@dataclass(frozen=True, slots=True)
class Coming:
    """A cycle that a calendar has and that has not begun."""

    plan: Plan
    span: Span


def content(
    connection: Connection,
    query: Mapping[str, str],
    language: Language,
    statuses: Recent[Status],
) -> tuple[Reader, dict[str, Any]]:
    """Ask for cycles and the worklist, narrowed by the address: group, gate, who, page.

    Parameters
    ----------
    statuses : keeps how far cycles are, which of 100,000 bills takes half a second to count
    """
    now = store.now(connection)
    group, gate, who = (query.get(name, "").replace("\0", "") or None
                        for name in ("group", "gate", "who"))  # fmt: skip
    zone = cycle_status.zone(connection, group)
    asked = query.get("page", "")
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else 1
    number = min(max(1, number), _MOST_PAGES)
    wanted = Wanted(billing_group=group, gate=gate, assigned_to=who)
    found = cycle_holds.items(connection, wanted, limit=_PAGE + 1, offset=(number - 1) * _PAGE)
    newest = cycle.cycles(connection, billing_group=group)[-_CYCLES:]
    return Reader(language, zone, now), {
        "cycles": [
            _shown(
                connection,
                one,
                now,
                statuses.answer(one.id, partial(cycle_status.status, connection, one)),
            )
            for one in reversed(newest)
        ],
        "coming": _coming(connection, group, now.astimezone(zone).date()),
        "causes": cycle_holds.causes(connection, group),
        "strays": strays.unclosed(connection, group, limit=_PAGE),
        "stray": strays.standing(connection, group),
        "found": found[:_PAGE],
        "more": len(found) > _PAGE,
        "number": number,
        "group": group,
        "gate": gate if gate in cycle_holds.REASONS else None,
        "who": who,
        "states": STATES,
        "owed": account_balance.sums(connection),
        "owing": account_balance.newest(connection, _OWING),
    }


def _shown(connection: Connection, one: cycle.Cycle, now: datetime, status: Status) -> Shown:
    zone: ZoneInfo = cycle_status.zone(connection, one.billing_group)
    done = cycle_advance.steps(connection, one)
    return Shown(
        status=status,
        phase=cycle_status.phase(one, zone, now),
        closes_on=one.closes_on or one.ends_on,
        parts=_parts(status),
        metric={total.unit: _metric(total) for total in status.sums if _is_volume(total)},
        last=done[-1] if done else None,
    )


def _parts(status: Status) -> tuple[tuple[str, Decimal, Decimal], ...]:
    """Lay the states of a cycle's usage points on a bar of 100."""
    whole = max(1, sum(getattr(status, state) for state in STATES))
    parts, at = [], Decimal(0)
    for state in STATES:
        length = Decimal(100 * getattr(status, state)) / whole
        if length:
            parts.append((state, round(at, 3), round(length, 3)))
            at += length
    return tuple(parts)


def _is_volume(total: Sum) -> bool:
    return total.unit in UNITS["L"] and total.unit != "m³"


def _metric(total: Sum) -> tuple[Decimal, Decimal]:
    """Give what is billed and computed in m³ [m³]."""
    numerator, denominator = UNITS["L"][total.unit]
    litres = 1000 * numerator
    billed, whole = (
        _METRIC.of(int(value * _PLACES) * denominator, litres * _PLACES)
        for value in (total.billed, total.total)
    )
    return billed, whole


def _coming(connection: Connection, group: str | None, today: date) -> list[Coming]:
    """List the next cycles of each calendar that have not begun."""
    return [
        Coming(plan, span)
        for plan in cycle_calendar.standing(connection)
        if group in (None, plan.group)
        for span in cycle_calendar.coming(plan, today, _COMING)
        if span.starts_on > today
    ]
