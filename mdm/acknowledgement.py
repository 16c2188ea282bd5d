"""What an invoicing system says became of a bill: billed, or rejected with a reason.

The same acknowledgement may come any number of times and at any time. One that fits no bill, or
contradicts an earlier one, changes nothing and is kept for people to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Self, get_args

from schemas import statements
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
        if outcome not in get_args(Outcome) or (outcome == "rejected" and not reason):
            raise ValueError(f"{point} must be billed, or rejected with a reason")
        return cls(point, version, outcome, reason)


class Stray(NamedTuple):
    """An acknowledgement that was not taken, and why."""

    given: Acknowledgement
    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of acknowledgements: how many are new, which were not taken."""

    new: int = 0
    strays: tuple[Stray, ...] = ()

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.new + other.new, self.strays + other.strays)


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
            _SQL["outcomes"], {"export": export_id}
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
        "sets": list(new),
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
    for stray in strays:
        one = stray.given
        bill = f"{one.usage_point}, version {one.version}"
        kept = {"bill": bill, "outcome": one.outcome, "reason": one.reason, "why": stray.why}
        connection.execute(_SQL["keep_stray"], {"export": export_id, "now": now, **kept})
    return Taken(len(new), tuple(strays))


def strays(connection: Connection, cycle_id: int) -> list[KeptStray]:
    """List a cycle's stray acknowledgements, and those of no known bill; oldest first."""
    return [KeptStray(*row) for row in connection.execute(_SQL["strays"], {"cycle": cycle_id})]
