"""The energy balance of a node: what flows in and out, what is lost, and who may be the cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import balance_causes, virtual
from mdm.balance_causes import Suspect
from mdm.virtual import Flows, Virtual
from mdm.virtual_sum import MILLION
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from schemas.reading_type import ReadingType

_SQL = statements.load("mdm", "balance.sql")
USUAL_DAYS: Final = 35
_MOST_DAYS: Final = 400
_WHOLE_DAY: Final = 0.5


class BalanceError(ValueError):
    """There is no such balance; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """A virtual usage point of kind balance."""

    channel_id: int
    usage_point: str
    reading_type: str


@dataclass(frozen=True, slots=True)
class Sums:
    """Energy of the slots of which every flow is known [the reading type's unit].

    Attributes
    ----------
    flow_in, flow_out : what came in and what meters counted
    expected : the technical loss that the definition expects
    known, slots : slots of which every flow is known, and all
    """

    flow_in: Fraction
    flow_out: Fraction
    expected: Fraction
    known: int
    slots: int

    @property
    def lost(self) -> Fraction:
        """What came in and was not counted going out."""
        return self.flow_in - self.flow_out

    @property
    def unexplained(self) -> Fraction:
        """What is lost beyond the expected loss."""
        return self.lost - self.expected

    def part(self, amount: Fraction) -> float | None:
        """Give an amount as a percentage of what came in; None where nothing did."""
        return float(100 * amount / self.flow_in) if self.flow_in else None


@dataclass(frozen=True, slots=True)
class Lack:
    """A flow that is missing in some slots."""

    usage_point: str
    slots: int


@dataclass(frozen=True, slots=True)
class Accused:
    """A meter that explains what is lost; ``since`` is None for the whole time."""

    usage_point: str
    since: date | None
    suspect: Suspect


@dataclass(frozen=True, slots=True)
class Balance:
    """A node over some days; ``days`` has those of which something is known."""

    node: Node
    kind: ReadingType
    time_zone: str
    first: date
    end: date
    meters: int
    days: tuple[tuple[date, Sums], ...]
    total: Sums
    lacking: tuple[Lack, ...]
    accused: tuple[Accused, ...]
    enough: bool


def nodes(connection: Connection) -> list[Node]:
    """List the balances that there are."""
    return [Node(*row) for row in connection.execute(_SQL["nodes"])]


def named(connection: Connection, name: str) -> Node:
    """Find a balance by its own name or by that of a usage point that feeds it.

    Raises
    ------
    BalanceError
        if there is none, or more than one.
    """
    found = [Node(*row) for row in connection.execute(_SQL["node_named"], {"name": name})]
    if not found:
        raise BalanceError(
            f"no balance is named {name!r} or fed by a usage point of that name; define one with "
            "`miqyas import virtual` (kind balance)"
        )
    if len(found) > 1:
        names = ", ".join(each.usage_point for each in found)
        raise BalanceError(f"{name} feeds more than one balance; name one of {names}")
    return found[0]


def view(
    connection: Connection,
    node: Node,
    *,
    now: datetime,
    first: date | None = None,
    end: date | None = None,
) -> Balance:
    """Give a node's balance from the record as it stands, by local days.

    Parameters
    ----------
    first, end : local days, ``end`` not among them; the last five weeks if they are not given

    Raises
    ------
    BalanceError
        if the days are none, or more than 400.
    """
    (known,) = virtual.definitions(connection, [node.channel_id])
    today = now.astimezone(ZoneInfo(known.time_zone)).date()
    end = min(end or today, today)
    first = first or end - timedelta(days=USUAL_DAYS)
    if not 0 < (end - first).days <= _MOST_DAYS:
        raise BalanceError(
            f"a balance is of 1 to {_MOST_DAYS} days that are over, not from {first} to {end}"
        )
    found = virtual.flows(connection, known, first, (end - first).days)
    return _balance(node, known, found, first, end)


@dataclass(frozen=True, slots=True, eq=False)
class _Slots:
    """Slots of a node's days.

    Attributes
    ----------
    counts, missing : shape (terms, t), where a term is in force and something is known of the node,
        and where the term has no value then
    whole : shape (t,), where every flow is known
    day, place : shape (t,), number of the slot's day, and its place in it
    """

    counts: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    whole: NDArray[np.bool_]
    day: NDArray[np.int64]
    place: NDArray[np.int64]


def _slots(found: Flows) -> _Slots:
    length = found.layout.days.length
    counts = np.repeat(found.counts, length, axis=1)
    gone = quality.class_table()[found.lines.quality] == QualityClass.MISSING
    # Where nothing at all is known, nothing is missing: the record has not begun there.
    counts[:, (gone | ~counts).all(axis=0)] = False
    missing = counts & gone
    day = np.repeat(np.arange(len(length)), length)
    place = np.arange(len(day)) - np.repeat(np.cumsum(length) - length, length)
    return _Slots(counts, missing, counts.any(axis=0) & ~missing.any(axis=0), day, place)


def _balance(node: Node, known: Virtual, found: Flows, first: date, end: date) -> Balance:
    slots = _slots(found)
    wanted = [first + timedelta(days=n) for n in range(found.layout.count)]
    force = np.bincount(slots.day, slots.counts.any(axis=0), found.layout.count) > 0
    days = tuple(
        (day, _sums(known, found, slots, slots.day == n))
        for n, day in enumerate(wanted)
        if force[n]
    )
    lacking: dict[str, int] = {}
    for term, gone in zip(known.terms, slots.missing, strict=True):
        lacking[term.usage_point] = max(lacking.get(term.usage_point, 0), int(gone.sum()))
    accused, enough = _accused(known, found, slots, wanted)
    return Balance(
        node=node,
        kind=reading_type.named(node.reading_type),
        time_zone=known.time_zone,
        first=first,
        end=end,
        meters=len({term.usage_point for term in known.terms if term.role == "out"}),
        days=days,
        total=_sums(known, found, slots, np.ones(len(slots.day), np.bool_)),
        lacking=tuple(
            Lack(name, count)
            for name, count in sorted(lacking.items(), key=lambda each: (-each[1], each[0]))
            if count
        ),
        accused=tuple(accused),
        enough=enough,
    )


def _sums(known: Virtual, found: Flows, slots: _Slots, which: NDArray[np.bool_]) -> Sums:
    """Add up exactly what is known of some slots."""
    use = which & slots.whole
    amounts = {"in": Fraction(0), "out": Fraction(0), "loss": Fraction(0)}
    for n, term in enumerate(known.terms):
        energy = int(found.lines.values[n, use & slots.counts[n]].sum())
        amounts[term.role] += Fraction(energy * term.factor, MILLION)
    active = which & slots.counts.any(axis=0)
    return Sums(amounts["in"], -amounts["out"], -amounts["loss"], int(use.sum()), int(active.sum()))


def _accused(
    known: Virtual, found: Flows, slots: _Slots, wanted: Sequence[date]
) -> tuple[list[Accused], bool]:
    """Hold what is unexplained against each meter; say too whether there was enough to judge by."""
    # A day of which little is known would stand for a day of low use.
    by_day = np.bincount(slots.day, slots.whole, len(wanted)) >= _WHOLE_DAY * np.bincount(
        slots.day, minlength=len(wanted)
    )
    use = slots.whole & by_day[slots.day]
    factor = np.array([term.factor for term in known.terms])[:, None] / MILLION
    energy = np.where(slots.counts, found.lines.values * factor, 0.0)[:, use]
    role = np.array([term.role for term in known.terms])
    names = sorted({term.usage_point for term in known.terms if term.role == "out"})
    lines = []
    for name in names:
        mine = [n for n, t in enumerate(known.terms) if t.usage_point == name and t.role == "out"]
        # A meter that was not there all the time counts nothing for a good reason.
        if slots.counts[mine][:, use].any(axis=0).all():
            lines.append((name, -energy[mine].sum(axis=0)))
    enough = len(np.unique(slots.day[use])) >= balance_causes.FEWEST_DAYS and bool(lines)
    if not enough:
        return [], False
    suspects = balance_causes.suspects(
        energy[role == "in"].sum(axis=0),
        energy.sum(axis=0),
        np.stack([line for _, line in lines]),
        slots.day[use],
        slots.place[use],
    )
    days = np.unique(slots.day[use])
    return [
        Accused(
            lines[each.meter][0],
            None if each.since is None else wanted[int(days[each.since])],
            each,
        )
        for each in suspects
    ], True
