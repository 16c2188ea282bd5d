"""The page of energy balances: what is lost in each node, and which meter explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from console import balance_words, store
from console.pages.language import Language
from console.pages.refusal import Refusal
from console.pages.showing import Reader
from mdm import balance, cycle_status
from mdm.balance import Accused, BalanceError
from schemas.database import Connection
from schemas.reading_type import ReadingType


def content(
    connection: Connection, query: Mapping[str, str], language: Language
) -> tuple[Reader, dict[str, Any]]:
    """Ask for the nodes, and for the balance of the one that the address names, or the first.

    Raises
    ------
    Refusal
        if there is no such node, what should be a date is none, or its days cannot be shown.
    """
    now = store.now(connection)
    nodes = balance.nodes(connection)
    name = query.get("node", "").replace("\0", "")
    if not nodes:
        zone = cycle_status.zone(connection, None)
        return Reader(language, zone, now), {"nodes": [], "told": None}
    first, end = _day(query.get("from")), _day(query.get("to"))
    try:
        node = balance.named(connection, name) if name else nodes[0]
    except BalanceError as problem:
        raise Refusal(404, "no_node", name) from problem
    try:
        told = balance.view(connection, node, now=now, first=first, end=end)
    except BalanceError as problem:
        raise Refusal(400, "wrong_days", f"{first or ''} … {end or ''}") from problem
    largest = max((abs(sums.unexplained) for _, sums in told.days), default=0)
    return Reader(language, ZoneInfo(told.time_zone), now), {
        "nodes": nodes,
        "told": told,
        "amount": lambda value: balance_words.shown(value, told.kind),
        "factor": balance_words.factor,
        "ratio": balance_words.ratio,
        "chart": lambda one: _chart(one, told.kind),
        "width": lambda sums: round(100 * abs(sums.unexplained) / largest) if largest else 0,
    }


def _chart(one: Accused, kind: ReadingType) -> dict[str, Any] | None:
    """Give the lines of a graph, 100 wide and 40 high: unexplained, without it, and its count."""
    if len(one.days) < 2:
        return None
    days, *lines = zip(*one.days, strict=True)
    top = max(*(max(line) for line in lines), 1e-9)
    low = min(0.0, *(min(line) for line in lines))

    def height(value: float) -> str:
        return f"{40 - 39 * (value - low) / (top - low):.1f}"

    def points(line: Sequence[float]) -> str:
        step = 100 / (len(line) - 1)
        return " ".join(f"{n * step:.1f},{height(value)}" for n, value in enumerate(line))

    return {
        "unexplained": points(lines[0]),
        "counted": points(lines[1]),
        "without": points(lines[2]),
        "zero": height(0.0),
        "top": balance_words.shown(top, kind),
        "first": days[0],
        "last": days[-1],
    }


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as problem:
        raise Refusal(400, "wrong_date", text or "") from problem
