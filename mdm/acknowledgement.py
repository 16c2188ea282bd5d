"""What an invoicing system says became of a bill: billed, or rejected with a reason.

The same acknowledgement may come any number of times and at any time. One that fits no bill, or
contradicts an earlier one, changes nothing and is kept for people to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, get_args

from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "acknowledgement.sql")
Outcome = Literal["billed", "rejected"]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What an invoicing system made of one bill; a rejection has a reason."""

    usage_point: str
    version: int
    outcome: Outcome
    reason: str = ""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """Read an acknowledgement.

        Raises
        ------
        KeyError, TypeError, ValueError
            if it is none.
        """
        point, version, outcome = item["usage_point"], item["version"], item["outcome"]
        reason = item.get("reason") or ""
        if not (isinstance(point, str) and type(version) is int and isinstance(reason, str)):
            raise TypeError(f"{dict(item)} is no acknowledgement")
        if not _storable(point + reason):
            raise ValueError(f"{point!r} or its reason is not text that can be kept")
        if outcome not in get_args(Outcome) or (outcome == "rejected" and not reason):
            raise ValueError(f"{point} must be billed, or rejected with a reason")
        return cls(point, version, outcome, reason)


class Stray(NamedTuple):
    """An acknowledgement that was not taken, and why."""

    given: Acknowledgement
    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of acknowledgements: how many are new, which were not taken.

    ``unseen`` counts those of the latter that nobody had said before.
    """

    new: int = 0
    strays: tuple[Stray, ...] = ()
    unseen: int = 0

    def __add__(self, other: Taken) -> Taken:
        strays = self.strays + other.strays
        return Taken(self.new + other.new, strays, self.unseen + other.unseen)


@dataclass(frozen=True, slots=True)
class KeptStray:
    """A stray acknowledgement as it was kept; ``export`` is None where not even that is known."""

    export: str | None
    bill: str
    outcome: str
    reason: str
    why: str
    first_at: datetime


def sorted_out(
    connection: Connection, export_id: int, given: Sequence[Acknowledgement]
) -> tuple[dict[int, Acknowledgement], list[Stray]]:
    """Tell new acknowledgements, by determinant set, from strays; what repeats is neither.

    The export stays locked until the transaction ends: of two deliveries at once the later one
    finds what the first wrote.
    """
    connection.execute(_SQL["lock_export"], {"export": export_id})
    known = {
        (mrid, version): (set_id, outcome)
        for set_id, mrid, version, outcome in connection.execute(
            _SQL["outcomes"],
            {"export": export_id, "usage_points": list({one.usage_point for one in given})},
        )
    }
    new: dict[int, Acknowledgement] = {}
    strays = []
    for one in given:
        found = known.get((one.usage_point, one.version))
        if found is None:
            strays.append(Stray(one, "it is not in the export"))
            continue
        set_id, before = found
        before = new[set_id].outcome if set_id in new else before
        if before is None:
            new[set_id] = one
        elif before != one.outcome:
            strays.append(Stray(one, f"it was said before that it is {before}"))
    return new, strays


def settle(
    connection: Connection, export_id: int, new: Mapping[int, Acknowledgement], now: datetime
) -> None:
    """Write new acknowledgements down: the sets are billed or rejected."""
    parameters = {
        "export": export_id,
        "now": now,
        "sets": binary_copy.array(new),
        "outcomes": [given.outcome for given in new.values()],
        "reasons": [given.reason for given in new.values()],
    }
    connection.execute(_SQL["acknowledge"], parameters)
    connection.execute(_SQL["settle"], parameters)


def take(
    connection: Connection, export_id: int, given: Sequence[Acknowledgement], *, now: datetime
) -> Taken:
    """Write down what fits and keep what does not."""
    new, strays = sorted_out(connection, export_id, given)
    settle(connection, export_id, new, now)
    return Taken(len(new), tuple(strays), _keep(connection, export_id, strays, now))


def keep_unknown(
    connection: Connection, file: str, given: Sequence[Acknowledgement], *, now: datetime
) -> Taken:
    """Keep what a file says whose name is that of no export."""
    strays = tuple(Stray(one, f"{file} is the name of no export") for one in given)
    return Taken(0, strays, _keep(connection, None, strays, now))


def _keep(
    connection: Connection, export_id: int | None, strays: Sequence[Stray], now: datetime
) -> int:
    """Keep strays, each once; give how many were not kept before."""
    unseen = 0
    for one, why in strays:
        bill = f"{one.usage_point}, version {one.version}"
        kept = {"bill": bill, "outcome": one.outcome, "reason": one.reason, "why": why}
        done = connection.execute(_SQL["keep_stray"], {"export": export_id, "now": now, **kept})
        unseen += done.rowcount
    return unseen


def _storable(text: str) -> bool:
    """Tell whether the database can keep a text: no NUL, and no half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def strays(connection: Connection, cycle_id: int) -> list[KeptStray]:
    """List a cycle's stray acknowledgements, and those of no known bill; oldest first."""
    return [KeptStray(*row) for row in connection.execute(_SQL["strays"], {"cycle": cycle_id})]
