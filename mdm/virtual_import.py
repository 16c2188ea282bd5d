"""Takes definitions of virtual channels into the database."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg

from mdm import usage_points, vee_late, virtual_file
from mdm.registry_row import Rejected
from mdm.vee_late import Late
from mdm.virtual_file import Definition, Term
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.period import local_day

_SQL = statements.load("mdm", "virtual_import.sql")
_Key = tuple[int, int, Any, str, date, date | None]
# Usage points' ids, and the lengths of intervals by usage point and reading type.
_Sources = tuple[Mapping[str, int], Mapping[tuple[int, int], list[int]]]
# Days further ahead than this are computed when they are there.
_FAR: Final = date(9000, 1, 1)


@dataclass(slots=True)
class Report:
    """What an import did: virtual channels and terms by what became of them, and lines refused."""

    channels: int = 0
    added: int = 0
    withdrawn: int = 0
    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)


def import_definitions(connection: Connection, lines: Iterable[str], *, now: datetime) -> Report:
    """Take every good definition of a file whole, and report every bad one.

    A definition takes the place of the one that its virtual usage point had: terms that are not in
    the file are withdrawn. What changes is computed by the next run. Importing the same file again
    changes nothing. The caller owns the transaction.

    Raises
    ------
    csv_rows.HeadingError
        if a column is missing from the heading.
    """
    report = Report()
    good: list[Definition] = []
    for each in virtual_file.parse(lines):
        if isinstance(each, Rejected):
            report.rejected.append(each)
        else:
            good.append(each)
    # Virtual usage points may be terms of each other, in whatever order the file has them.
    known = [each for each in good if _made(connection, each, report)]
    for each in known:
        _take(connection, each, report, now)
    return report


def _made(connection: Connection, wanted: Definition, report: Report) -> bool:
    found = connection.execute(_SQL["place"], {"mrid": wanted.virtual}).fetchone()
    line = wanted.terms[0].line
    if found is not None and found[2]:
        reason = "this usage point has a meter; a virtual one has none. Choose another name"
        report.rejected.append(Rejected(line, "virtual", wanted.virtual, reason))
        return False
    if found is not None and found[1] != wanted.commodity:
        reason = f"usage point {wanted.virtual} is already one of {found[1]}; it cannot change"
        report.rejected.append(Rejected(line, "commodity", wanted.commodity, reason))
        return False
    connection.execute(_SQL["put_usage_point"], asdict(wanted))
    return True


def _take(connection: Connection, wanted: Definition, report: Report, now: datetime) -> None:
    """Store one definition whole or not at all."""
    counts: Counter[str] = Counter()
    problem: Rejected | None = None
    with connection.transaction():
        problem = _store(connection, wanted, counts, now)
        if problem:
            raise psycopg.Rollback
    if problem:
        report.rejected.append(problem)
        return
    report.channels += 1
    report.added += counts["added"]
    report.withdrawn += counts["withdrawn"]
    report.unchanged += counts["unchanged"]


def _store(
    connection: Connection, wanted: Definition, counts: Counter[str], now: datetime
) -> Rejected | None:
    found = connection.execute(_SQL["place"], {"mrid": wanted.virtual}).fetchone()
    point = int(found[0]) if found else 0
    key = (point, wanted.reading_type, wanted.interval_seconds)
    channel = usage_points.ensure_channels(connection, [key])[key]
    line = wanted.terms[0].line
    other = connection.execute(
        _SQL["other_virtual"], {"usage_point": point, "channel": channel}
    ).fetchone()
    if other:
        reason = f"this usage point has a virtual channel of {other[1]} s already"
        return Rejected(line, "interval_seconds", str(wanted.interval_seconds), reason)
    connection.execute(_SQL["put_channel"], {"channel": channel, "kind": wanted.kind, "now": now})
    terms: dict[_Key, Term] = {}
    known = _sources(connection, wanted.terms)
    for term in wanted.terms:
        key_ = _key(known, term, wanted)
        if isinstance(key_, Rejected):
            return key_
        terms[key_] = term
    touched = _replace(connection, channel, terms, counts, now)
    back = connection.execute(_SQL["way_back"], {"channel": channel}).fetchone()
    if back:
        way = " → ".join([wanted.virtual, *back[0]])
        reason = f"a virtual channel cannot be made of itself: {way}"
        return Rejected(line, "virtual", wanted.virtual, reason)
    if touched:
        first, last = _compute(connection, channel, wanted, touched)
        last = min(last, now.date() + timedelta(days=1))
        if wanted.kind == "balance" and first <= last:
            late = Late(kind="node", channel=channel, first=first, last=last, own=True)
            vee_late.note(connection, [late], now=now)
    return None


def _sources(connection: Connection, terms: Sequence[Term]) -> _Sources:
    """Look up the usage points of terms, and the lengths of the intervals that each has."""
    mrids = {"mrids": [term.usage_point for term in terms]}
    known: dict[str, int] = dict(connection.execute(_SQL["places"], mrids).fetchall())
    lengths: dict[tuple[int, int], list[int]] = defaultdict(list)
    found = connection.execute(_SQL["lengths"], {"usage_points": list(known.values())})
    for point, kind, seconds in found:
        lengths[point, kind].append(seconds)
    return known, lengths


def _key(sources: _Sources, term: Term, wanted: Definition) -> _Key | Rejected:
    known, lengths = sources
    point = known.get(term.usage_point)
    if point is None:
        reason = "no such usage point; import the registry first"
        return Rejected(term.line, "usage_point", term.usage_point, reason)
    kind = reading_type.named(term.reading_type)
    for seconds in lengths.get((point, kind.id), ()):
        long, short = (
            max(seconds, wanted.interval_seconds), min(seconds, wanted.interval_seconds)
        )  # fmt: skip
        if long % short:
            reason = (
                f"{term.usage_point} has intervals of {seconds} s; they fit into none of "
                f"{wanted.interval_seconds} s, and the other way round"
            )
            return Rejected(term.line, "interval_seconds", str(wanted.interval_seconds), reason)
    return (point, kind.id, term.factor, term.role, term.starts_on, term.ends_on)


def _replace(
    connection: Connection,
    channel: int,
    wanted: dict[_Key, Term],
    counts: Counter[str],
    now: datetime,
) -> list[tuple[date, date | None]]:
    """Bring a channel's terms to what is wanted; give the stretches of days that this touches."""
    rows = connection.execute(_SQL["terms"], {"channel": channel}).fetchall()
    known: dict[_Key, int] = {(*row[1:],): row[0] for row in rows}
    gone = [number for key, number in known.items() if key not in wanted]
    connection.execute(_SQL["withdraw"], {"ids": gone, "now": now})
    new = [key for key in wanted if key not in known]
    if new:
        names = ("usage_points", "reading_types", "factors", "roles", "starts_on", "ends_on")
        columns = dict(zip(names, map(list, zip(*new, strict=True)), strict=True))
        connection.execute(_SQL["add_terms"], {**columns, "channel": channel, "now": now})
    counts.update(added=len(new), withdrawn=len(gone), unchanged=len(known) - len(gone))
    changed = [*new, *(key for key in known if key not in wanted)]
    return [(key[4], key[5]) for key in changed]


def _compute(
    connection: Connection,
    channel: int,
    wanted: Definition,
    touched: list[tuple[date, date | None]],
) -> tuple[date, date]:
    """Have the days that changed terms touch computed, as far as there is something; give them."""
    zone = ZoneInfo(wanted.time_zone)
    first = min(starts for starts, _ in touched)
    last = max(ends or _FAR for _, ends in touched) - timedelta(days=1)
    stretch = {
        "channel": channel,
        "starts_at": local_day(first, zone).start,
        "ends_at": local_day(last, zone).end,
    }
    connection.execute(_SQL["compute_from"], stretch)
    return first, last
