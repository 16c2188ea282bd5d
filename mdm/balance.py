"""The energy balance of a node: what flows in and out, what is lost, and who may be the cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import balance_causes, virtual
from mdm.balance_causes import Look, Suspect
from mdm.virtual import Flows, Term, Virtual
from mdm.virtual_sum import MILLION
from schemas import quality, reading_type, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from schemas.reading_type import ReadingType

_SQL = statements.load("mdm", "balance.sql")
USUAL_DAYS: Final = 35
# Meters of the same routes that are looked at beside the node's own.
_OTHERS: Final = 200
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
    """A meter that explains what is lost; ``since`` is None for the whole time.

    ``days`` are the evidence, by local day: what is unexplained, what the meter counts, and what is
    unexplained without what it accounts for [the reading type's unit].
    """

    usage_point: str
    since: date | None
    suspect: Suspect
    days: tuple[tuple[date, float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Unmetered:
    """Something that no meter counts: since when, None for all the time, and how much a day."""

    since: date | None
    energy_a_day: float


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
    unmetered: Unmetered | None
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
    return _balance(node, known, (found, _others(connection, known, found)), first, end)


def _others(connection: Connection, known: Virtual, found: Flows) -> dict[str, Line]:
    """Give what meters beside the node counted on its slots, of which nothing is missing."""
    limits = {
        "node": known.channel_id,
        "members": sorted({term.usage_point_id for term in known.terms}),
        "limit": _OTHERS,
    }
    rows = connection.execute(_SQL["others"], limits).fetchall()
    if not rows:
        return {}
    terms = tuple(
        Term(0, point, mrid, kind, MILLION, "out", found.layout.first, None)
        for _, point, mrid, kind, _ in rows
    )
    inputs = np.array(sorted((row[0], row[1], *row[3:]) for row in rows), np.int64)
    beside = replace(known, terms=terms, inputs=inputs)
    told = virtual.flows(connection, beside, found.layout.first, found.layout.count)
    gone = quality.class_table()[told.lines.quality] == QualityClass.MISSING
    return {
        term.usage_point: Line(told.lines.values[n].astype(np.float64), ~gone[n])
        for n, term in enumerate(terms)
    }


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """What a meter counted in each slot, and where that is known, shape (t,)."""

    values: NDArray[np.float64]
    known: NDArray[np.bool_]


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


def _balance(
    node: Node, known: Virtual, seen: tuple[Flows, dict[str, Line]], first: date, end: date
) -> Balance:
    found = seen[0]
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
    accused, unmetered, enough = _accused(known, seen, slots, wanted)
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
        unmetered=unmetered,
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
    known: Virtual, seen: tuple[Flows, dict[str, Line]], slots: _Slots, wanted: Sequence[date]
) -> tuple[list[Accused], Unmetered | None, bool]:
    """Hold what is unexplained against meters; say too whether there was enough to judge by."""
    found, others = seen
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
        return [], None, False
    beside = [(name, each.values[use]) for name, each in others.items() if each.known[use].all()]
    whole = _Held(energy, lines + beside, slots.day[use], wanted)
    look = balance_causes.look(
        energy[role == "in"].sum(axis=0),
        energy.sum(axis=0),
        np.stack([line for _, line in lines]),
        (slots.day[use], slots.place[use]),
        np.stack([line for _, line in beside]) if beside else None,
    )
    return [whole.accused(each) for each in look.suspects], whole.unmetered(look), True


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What was held against meters: terms' energies, meters' lines by name, the slots' days."""

    energy: NDArray[np.float64]
    lines: Sequence[tuple[str, NDArray[np.float64]]]
    day: NDArray[np.int64]
    wanted: Sequence[date]

    def date(self, place: int | None) -> date | None:
        """Give the date of a day by its place among those that were looked at."""
        return None if place is None else self.wanted[int(np.unique(self.day)[place])]

    def accused(self, suspect: Suspect) -> Accused:
        """Name a suspect, with what is unexplained by day, with and without it."""
        name, line = self.lines[suspect.meter]
        days = np.unique(self.day)
        first = np.searchsorted(self.day, days)
        left, counted = (np.add.reduceat(each, first) for each in (self.energy.sum(axis=0), line))
        mine = np.arange(len(days)) >= (suspect.since or 0)
        # Of one that counts nothing any more, what is missing is known on the whole only.
        part = np.where(mine, counted if suspect.factor is not None else 1.0, 0.0)
        part = part * (suspect.energy / max(float(part.sum()), 1e-9))
        rows = zip(days.tolist(), left.tolist(), counted.tolist(), (left - part).tolist(),
                   strict=True)  # fmt: skip
        evidence = tuple((self.wanted[day], a, b, c) for day, a, b, c in rows)
        return Accused(name, self.date(suspect.since), suspect, evidence)

    def unmetered(self, look: Look) -> Unmetered | None:
        """Give what no meter counts, by day."""
        if look.unmetered is None:
            return None
        count = len(np.unique(self.day)) - (look.unmetered.since or 0)
        return Unmetered(self.date(look.unmetered.since), look.unmetered.energy / max(count, 1))
