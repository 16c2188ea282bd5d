"""Writing of determinant sets: what is new makes a version, what is as it was writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib import metadata
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm import correction_log, cycle_columns, cycle_pages
from mdm.correction_log import Change
from mdm.cycle_gates import Hold
from mdm.determinants.batch import Batch
from mdm.determinants.determinant import Determinant
from mdm.determinants.pages import Page, Pages
from mdm.determinants.registers import Span
from schemas import binary_copy, reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle.sql")

SOFTWARE: Final = f"miqyas {metadata.version('miqyas')}, tzdata {metadata.version('tzdata')}"
"""What computes: the program and the rules of time zones that it goes by."""

Outcome = Literal["written", "corrected", "unchanged", "waiting", "withdrawn", "logged"]


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A usage point's determinants before it is known whether they are new.

    ``waits`` tells that more data are waited for; not after something was billed.
    """

    usage_point_id: int
    determinants: Sequence[Determinant]
    holds: tuple[Hold, ...]
    waits: bool
    spans: Sequence[Span]
    dials: Mapping[str, Sequence[Span]]
    facts: str
    blocks: Mapping[int, tuple[NDArray[np.int64], NDArray[np.int32]]]
    rule_sets: Sequence[str]
    input_digest: str
    digest: str


class Standing(NamedTuple):
    """What is there of a usage point in a cycle: the newest version that counts, the billed one."""

    newest: int
    current: int | None
    state: str | None
    input_digest: str | None
    digest: str | None
    billed: int | None
    billed_digest: str | None


_NOTHING: Final = Standing(0, None, None, None, None, None, None)


def outcome(
    standing: Standing, draft: Draft, *, bill_stands: bool, held_by: Collection[str] | None = None
) -> Outcome:
    """Decide what becomes of a draft.

    Parameters
    ----------
    bill_stands : whether the draft's figures are those of the billed set, or nearly
    held_by : the gates that hold what is there; None if it is past them
    """
    if (standing.input_digest, standing.digest) == (draft.input_digest, draft.digest):
        gates = {hold.gate for hold in draft.holds}
        # A gate may look at more than the inputs: at findings, which people decide.
        return "unchanged" if held_by is None or set(held_by) == gates else "written"
    if standing.state == "exported":
        # It may be billed already: what comes of it is known when it is acknowledged.
        return "waiting"
    if standing.billed is not None and bill_stands:
        return "unchanged" if standing.current == standing.billed else "withdrawn"
    return "corrected" if standing.billed is not None else "written"


def write(
    connection: Connection, cycle_id: int, batch: Batch, drafts: Sequence[Draft], now: datetime
) -> Counter[Outcome]:
    """Write the drafts that are new; give how many had which outcome."""
    standing = _standing(connection, cycle_id, drafts)
    billed = _values(connection, [s.billed for s in standing.values() if s.billed is not None])
    changes = _changes(standing, billed, drafts)
    held_by = _held_by(connection, standing)
    mattering = {
        change.usage_point_id
        for change in changes
        if batch.tariff.corrections.matters(batch.tariff.unit, change.billed, change.now)
    }
    outcomes = {
        draft.usage_point_id: outcome(
            standing[draft.usage_point_id],
            draft,
            bill_stands=draft.usage_point_id in billed.keys() - mattering,
            held_by=held_by.get(draft.usage_point_id),
        )
        for draft in drafts
    }
    small = [
        c
        for c in changes
        if c.usage_point_id not in mattering
        and outcomes[c.usage_point_id] in ("unchanged", "withdrawn")
    ]
    moving = [d for d in drafts if outcomes[d.usage_point_id] not in ("unchanged", "waiting")]
    before = [standing[d.usage_point_id] for d in moving]
    gone = [s.current for s in before if s.current is not None and s.current != s.billed]
    connection.execute(_SQL["supersede"], {"sets": gone})
    new = [d for d in moving if outcomes[d.usage_point_id] != "withdrawn"]
    if new:
        versions = {d.usage_point_id: standing[d.usage_point_id].newest + 1 for d in new}
        ids = _add_sets(connection, cycle_id, batch, new, versions=versions, billed=billed, now=now)
        _copy(connection, new, ids)
        _copy_facts(connection, new, ids)
        _correct(
            connection,
            [(standing[d.usage_point_id].billed, ids[d.usage_point_id]) for d in new],
            now,
        )
    for point in correction_log.write(connection, small, now):
        if outcomes[point] == "unchanged":
            outcomes[point] = "logged"
    return Counter(outcomes.values())


def _changes(
    standing: Mapping[int, Standing], billed: Mapping[int, Figures], drafts: Sequence[Draft]
) -> list[Change]:
    """Give what differs from a bill."""
    found = []
    for draft in drafts:
        before = standing[draft.usage_point_id]
        if before.billed is None:
            continue
        figures = billed.get(draft.usage_point_id, set())
        now = _figures(draft.determinants)
        if figures != now:
            found.append(Change(draft.usage_point_id, before.billed, draft.digest, figures, now))
    return found


def _held_by(
    connection: Connection, standing: Mapping[int, Standing]
) -> dict[int, tuple[str, ...]]:
    """Give the gates of sets that wait or are held and stand against no bill, by usage point."""
    points = {
        one.current: point
        for point, one in standing.items()
        if one.current is not None and one.billed is None and one.state in ("held", "waiting")
    }
    if not points:
        return {}
    rows = connection.execute(_SQL["held_by"], {"sets": list(points)})
    gates = {points[number]: tuple(names) for number, names in rows}
    return dict.fromkeys(points.values(), ()) | gates


def _standing(
    connection: Connection, cycle_id: int, drafts: Sequence[Draft]
) -> dict[int, Standing]:
    ids = [draft.usage_point_id for draft in drafts]
    key = {"cycle": cycle_id, "usage_points": binary_copy.array(ids)}
    rows = connection.execute(_SQL["current_sets"], key)
    return dict.fromkeys(ids, _NOTHING) | {row[0]: Standing(*row[1:]) for row in rows}


Figures = set[tuple[str, str, str, str, Decimal | None]]


def _values(connection: Connection, sets: Sequence[int]) -> dict[int, Figures]:
    """Give the figures of sets by usage point."""
    found: dict[int, Figures] = {}
    for point, *figure in connection.execute(_SQL["values"], {"sets": list(sets)}):
        found.setdefault(point, set()).add(tuple(figure))
    return found


def _figures(determinants: Iterable[Determinant]) -> Figures:
    return {(d.name, d.reading_type, d.part, d.unit, d.value) for d in determinants}


def _add_sets(
    connection: Connection,
    cycle_id: int,
    batch: Batch,
    drafts: Sequence[Draft],
    *,
    versions: Mapping[int, int],
    billed: Collection[int],
    now: datetime,
) -> dict[int, int]:
    """Insert sets; give their ids by usage point."""
    _define(connection, batch)
    points = binary_copy.array(d.usage_point_id for d in drafts)
    rows = connection.execute(_SQL["new_sets"], {"usage_points": points}).fetchall()
    ids, sectors = {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}
    # Sets of one history of rules are one table; nearly all have the same.
    alike: dict[tuple[str, ...], list[Draft]] = {}
    for draft in drafts:
        alike.setdefault(tuple(draft.rule_sets), []).append(draft)
    shared: dict[str, int | str | datetime] = {
        "cycle_id": cycle_id,
        "starts_at": batch.period.start,
        "ends_at": batch.period.end,
        "time_zone": batch.zone.key,
        "tariff": batch.tariff.digest,
        "calendar": batch.calendar.digest,
        "computed_at": now,
        "software": SOFTWARE,
    }
    for rule_sets, several in alike.items():
        numbers = [d.usage_point_id for d in several]
        own = {
            "id": [ids[number] for number in numbers],
            "usage_point_id": numbers,
            "version": [versions[number] for number in numbers],
            "state": [_state(d, after_billing=d.usage_point_id in billed) for d in several],
            "sector": [sectors[number] for number in numbers],
            "input_digest": [d.input_digest for d in several],
            "digest": [d.digest for d in several],
        }
        cycle_columns.sets(connection, shared, own, rule_sets)
    return ids


def _define(connection: Connection, batch: Batch) -> None:
    """Keep what the sets are computed by; nobody waits where it is known."""
    things = {
        thing.digest: {"kind": kind, "name": thing.name, "definition": thing.definition}
        for kind, thing in (("tariff", batch.tariff), ("calendar", batch.calendar))
    }
    known = connection.execute(_SQL["definitions"], {"digests": list(things)})
    new = things.keys() - {row[0] for row in known}
    if new:
        # Two that each bring one which the other brings, too, would wait in a circle.
        connection.execute(_SQL["lock_definitions"])
    for digest in sorted(new):
        connection.execute(_SQL["add_definition"], {"digest": digest, **things[digest]})


def _state(draft: Draft, *, after_billing: bool) -> str:
    if draft.waits and not after_billing:
        return "waiting"
    return "held" if draft.holds else "ready"


def _copy(connection: Connection, drafts: Sequence[Draft], ids: Mapping[int, int]) -> None:
    """COPY everything that belongs to the sets."""
    sets = [ids[draft.usage_point_id] for draft in drafts]
    _copy_determinants(connection, drafts, sets)
    blocks = [(one, draft.blocks) for one, draft in zip(sets, drafts, strict=True)]
    cycle_columns.interval_inputs(connection, blocks)
    spans = [(one, draft.spans) for one, draft in zip(sets, drafts, strict=True)]
    cycle_columns.register_inputs(connection, spans)
    with connection.cursor() as cursor, cursor.copy(_SQL["copy_holds"]) as copy:
        for one, draft in zip(sets, drafts, strict=True):
            for hold in draft.holds:
                copy.write_row((one, *hold))


def _copy_determinants(
    connection: Connection, drafts: Sequence[Draft], sets: Sequence[int]
) -> None:
    """COPY determinants: pages as columns, the others row by row."""
    paged: dict[Pages, list[tuple[int, int]]] = {}
    with (
        connection.cursor() as cursor,
        cursor.copy(_SQL["copy_determinants"]) as copy,
    ):
        for one, draft in zip(sets, drafts, strict=True):
            page = draft.determinants
            if isinstance(page, Page):
                paged.setdefault(page.pages, []).append((page.row, one))
                continue
            for position, determinant in enumerate(page, 1):
                copy.write_row((one, position, *_determinant_row(determinant)))
    for pages, pairs in paged.items():
        cycle_pages.write(connection, pages, *zip(*pairs, strict=True))


def _copy_facts(connection: Connection, drafts: Sequence[Draft], ids: Mapping[int, int]) -> None:
    """COPY what the sets rest on besides the tariff's own register and blocks."""
    kinds = dict.fromkeys(kind for draft in drafts for kind in draft.dials)
    for kind in kinds:
        spans = [(ids[d.usage_point_id], d.dials[kind]) for d in drafts if kind in d.dials]
        cycle_columns.register_inputs(connection, spans, kind)
    facts = [(ids[draft.usage_point_id], draft.facts) for draft in drafts if draft.facts]
    if facts:
        with connection.cursor() as cursor, cursor.copy(_SQL["copy_facts"]) as copy:
            for row in facts:
                copy.write_row(row)


def _determinant_row(d: Determinant) -> tuple[Any, ...]:
    kind = reading_type.named(d.reading_type).id
    moments = _moment(d.starts_at), _moment(d.ends_at)
    return (d.name, kind, d.part, d.value, d.unit, *moments, *d.counts, d.rounding, d.note)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _correct(
    connection: Connection, pairs: Iterable[tuple[int | None, int]], now: datetime
) -> None:
    """Raise a correction for each new set that stands against a billed one."""
    for old, new in pairs:
        if old is None:
            continue
        parameters = {"old": old, "new": new, "raised_at": now}
        row = connection.execute(_SQL["add_correction"], parameters).fetchone()
        if row:
            items = {"old": old, "new": new, "correction": row[0]}
            connection.execute(_SQL["add_correction_items"], items)
