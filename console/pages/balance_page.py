"""The page of energy balances: what is lost in each node, and which meter explains it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from console import balance_words, store
from console.pages.language import Language
from console.pages.showing import Reader
from mdm import balance
from schemas.database import Connection


def content(
    connection: Connection, query: Mapping[str, str], language: Language
) -> tuple[Reader, dict[str, Any]]:
    """Ask for the nodes, and for the balance of the one that the address names, or the first.

    Raises
    ------
    BalanceError
        if there is no such node, or its days cannot be shown.
    """
    now = store.now(connection)
    nodes = balance.nodes(connection)
    name = query.get("node", "").replace("\0", "")
    if not nodes:
        return Reader(language, ZoneInfo("UTC"), now), {"nodes": [], "told": None}
    node = balance.named(connection, name) if name else nodes[0]
    told = balance.view(
        connection, node, now=now, first=_day(query.get("from")), end=_day(query.get("to"))
    )
    largest = max((abs(sums.unexplained) for _, sums in told.days), default=0)
    return Reader(language, ZoneInfo(told.time_zone), now), {
        "nodes": nodes,
        "told": told,
        "amount": lambda value: balance_words.shown(value, told.kind),
        "factor": balance_words.factor,
        "ratio": balance_words.ratio,
        "width": lambda sums: round(100 * abs(sums.unexplained) / largest) if largest else 0,
    }


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None
