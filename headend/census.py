"""How many meters talk and which do not, without judging each of them.

Of a hundred thousand meters nearly all are in the same state. The database compares what the
verdict compares (``diagnosis.SILENCE``, ``diagnosis.CLOCK_LIMIT``) and counts those for which all
came out the same; one of each group is judged by ``diagnosis.verdict`` and stands for the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from headend import diagnosis
from headend.diagnosis import Condition, Verdict
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "census.sql")


class Group(NamedTuple):
    """Installed meters of one verdict; ``verdict`` is None if they are read by hand.

    ``key`` tells the comparisons that they have in common.
    """

    key: str
    meters: int
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some meters of a list by their numbers, and how many it has in all."""

    ids: tuple[int, ...]
    found: int


def groups(connection: Connection, *, now: datetime) -> list[Group]:
    """Count the meters that are installed now by how they are."""
    rows = connection.execute(_SQL["groups"], _limits(now)).fetchall()
    judged = verdicts(connection, [one for _, by_hand, _, one in rows if not by_hand], now=now)
    return [Group(key, meters, judged.get(one)) for key, _, meters, one in rows]


def everything(
    connection: Connection, *, now: datetime, limit: int, offset: int = 0
) -> tuple[int, ...]:
    """List meters that are installed now by their numbers, in the order of their names."""
    page = {"now": now, "limit": limit, "offset": offset}
    return tuple(row[0] for row in connection.execute(_SQL["all"], page))


def members(
    connection: Connection,
    *,
    now: datetime,
    keys: Iterable[str] | None = None,
    text: str | None = None,
    oldest: bool = False,
    limit: int,
    offset: int = 0,
) -> Page:
    """List meters that are installed now, by name, and count those that there are.

    Parameters
    ----------
    keys : of groups; all unless given
    text : what the name of the meter, its usage point or its segment has in it, small letters
    oldest : whether the longest silent come first
    """
    wanted = {
        "keys": None if keys is None else list(keys),
        "text": text or None,
        "oldest": oldest,
        "limit": limit,
        "offset": offset,
    }
    rows = connection.execute(_SQL["members"], {**_limits(now), **wanted}).fetchall()
    return Page(tuple(row[0] for row in rows), rows[0][1] if rows else 0)


def verdicts(connection: Connection, ids: Sequence[int], *, now: datetime) -> dict[int, Verdict]:
    """Judge some meters, by number."""
    judged = {}
    for number, seconds, *said in connection.execute(_SQL["conditions"], {"ids": list(ids)}):
        deviation = None if said[8] is None else timedelta(seconds=said[8])
        condition = [*said[:8], deviation, *said[9:]]
        interval = timedelta(seconds=seconds)
        judged[number] = diagnosis.verdict(Condition(*condition), now=now, interval=interval)
    return judged


def _limits(now: datetime) -> dict[str, object]:
    return {
        "now": now,
        "silence": diagnosis.SILENCE,
        "clock": diagnosis.CLOCK_LIMIT.total_seconds(),
    }
