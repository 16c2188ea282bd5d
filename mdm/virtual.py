"""Virtual channels: days of the record that are sums of other channels' days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import intake, intake_layout, readings, readings_columns, virtual_sum
from mdm.intake_layout import Layout, Week
from mdm.virtual_sum import Lines, Unfitting
from schemas import binary_copy, quality, statements
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "virtual.sql")
# A day of an input may begin this much before one of another zone that it reaches into.
_REACH: Final = timedelta(hours=26)
_LONGEST: Final = 31
# Cells of the inputs that are added up at once.
_CELLS: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did: stretches taken on, days of virtual channels computed, new versions."""

    taken: int = 0
    days: int = 0
    versions: int = 0

    def __add__(self, other: Report) -> Report:
        return Report(
            self.taken + other.taken, self.days + other.days, self.versions + other.versions
        )


@dataclass(frozen=True, slots=True)
class Term:
    """A term as it stands: another channel's place, times a factor [millionths]."""

    id: int
    usage_point_id: int
    usage_point: str
    reading_type_id: int
    factor: int
    role: str
    starts_on: date
    ends_on: date | None

    def counts(self, day: date) -> bool:
        """Tell whether the term is in force on a local day."""
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


@dataclass(frozen=True, slots=True, eq=False)
class Virtual:
    """A virtual channel with its terms, and the channels that there are for them.

    ``inputs`` are rows of channel id, usage point id, reading type id and interval length.
    """

    channel_id: int
    usage_point: str
    time_zone: str
    interval_seconds: int
    kind: str
    terms: tuple[Term, ...]
    inputs: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """The terms' channels on the slots of some days, before their factors.

    Attributes
    ----------
    layout : the days
    lines : a row for each term of the virtual channel
    counts : shape (terms, days), where each term is in force
    blocks : the versions that were read
    problems : inputs whose intervals do not fit; they are missing
    """

    layout: Layout
    lines: Lines
    counts: NDArray[np.bool_]
    blocks: BlockTable
    problems: tuple[str, ...] = ()


def run(connection: Connection, *, now: datetime, limit: int = 500) -> Report:
    """Compute the days of virtual channels that got new inputs, and record what changed.

    One call is one batch in the caller's transaction; nothing is left to do when ``taken`` is 0.
    Values of virtual channels that a person edited or accepted stand.
    """
    due = connection.execute(_SQL["claim"], {"limit": limit}).fetchall()
    if not due:
        return Report()
    channels = sorted({row[0] for row in due})
    readings.lock(connection, channels)
    done = Report(taken=len(due))
    for each in definitions(connection, channels):
        stretches = [(row[1], row[2]) for row in due if row[0] == each.channel_id]
        days = _days(connection, each, stretches, now)
        for first, count in _chunks(days, each):
            wanted = [day for day in days if first <= day < first + timedelta(days=count)]
            done += _compute(connection, each, first, count, wanted, now=now)
    return done


def definitions(
    connection: Connection, channels: Iterable[int], *, known_at: datetime | None = None
) -> list[Virtual]:
    """Give virtual channels by their ids, with terms and inputs, as they were at a moment."""
    rows = connection.execute(_SQL["definitions"], {"channels": list(channels)}).fetchall()
    found = []
    for channel, mrid, zone, seconds, kind in rows:
        limits = {"channel": channel, "known_at": known_at or "infinity"}
        terms = tuple(Term(*row) for row in connection.execute(_SQL["terms"], limits))
        inputs = np.array(
            connection.execute(_SQL["inputs"], limits).fetchall(), np.int64
        ).reshape(-1, 4)  # fmt: skip
        found.append(Virtual(channel, mrid, zone, seconds, kind, terms, inputs))
    return found


def flows(
    connection: Connection,
    virtual: Virtual,
    first: date,
    count: int,
    *,
    known_at: datetime | None = None,
) -> Flows:
    """Read what stands in the record for each term, on the virtual channel's slots.

    Parameters
    ----------
    known_at : versions recorded after this moment are left out; None for none
    """
    layout = intake_layout.of(first, count, virtual.time_zone, virtual.interval_seconds, Week())
    start, end = (readings_columns.moment(layout.bounds[n]) for n in (0, -1))
    period = Period(start - _REACH, end)
    blocks = readings.current(connection, virtual.inputs[:, 0], period, known_at=known_at)
    ends = blocks.starts_at + blocks.length.astype(np.int64) * blocks.interval_seconds
    blocks = readings_columns.taken(blocks, np.flatnonzero(ends > layout.bounds[0]))
    lines, problems = _lines(virtual, blocks, int(layout.bounds[0]), int(layout.bounds[-1]))
    days = [first + timedelta(days=n) for n in range(count)]
    counts = np.array([[term.counts(day) for day in days] for term in virtual.terms], np.bool_)
    counts = counts.reshape(-1, count)
    return Flows(layout, _of_terms(virtual, lines), counts, blocks, tuple(sorted(set(problems))))


def again(virtual: Virtual, blocks: BlockTable, start: int, end: int) -> Lines:
    """Compute a day of a virtual channel from given versions of its inputs.

    Parameters
    ----------
    virtual : with the terms that counted on the day, and no others
    blocks : the versions
    start, end : of the day [s]
    """
    lines, _ = _lines(virtual, blocks, start, end)
    counts = np.ones((len(virtual.terms), lines.values.shape[1]), np.bool_)
    factors = np.array([term.factor for term in virtual.terms], np.int64)
    return virtual_sum.total(_of_terms(virtual, lines), factors, counts, [counts.shape[1]])


def _lines(virtual: Virtual, blocks: BlockTable, start: int, end: int) -> tuple[Lines, list[str]]:
    """Lay each input on the virtual channel's slots from start to end [s]."""
    ids, seconds = virtual.inputs[:, 0], virtual.inputs[:, 3]
    step = virtual.interval_seconds
    lines, problems = virtual_sum.empty(len(ids), (end - start) // step), []
    for own in np.unique(seconds).tolist():
        mine = np.flatnonzero(seconds == own)
        rows = np.flatnonzero(np.isin(blocks.channel_id, ids[mine]))
        some = readings_columns.taken(blocks, rows)
        place = np.searchsorted(ids[mine], some.channel_id)
        try:
            fine = virtual_sum.placed(some, place, len(mine), start=start, end=end, step=own)
            here = virtual_sum.regridded(fine, own, step)
        except Unfitting as problem:
            problems.append(f"{problem}; give it another interval_seconds and import it again")
            continue
        lines.values[mine], lines.quality[mine] = here.values, here.quality
    return lines, problems


def _of_terms(virtual: Virtual, lines: Lines) -> Lines:
    """Give each term's line; where its place has channels of several lengths, what there is."""
    slots = lines.values.shape[1]
    found = virtual_sum.empty(len(virtual.terms), slots)
    for n, term in enumerate(virtual.terms):
        place = (virtual.inputs[:, 1] == term.usage_point_id) & (
            virtual.inputs[:, 2] == term.reading_type_id
        )
        line = virtual_sum.empty(1, slots)
        for row in np.flatnonzero(place):
            line = virtual_sum.either(line, lines.rows(np.array([row])))
        found.values[n], found.quality[n] = line.values[0], line.quality[0]
    return found


def _days(
    connection: Connection,
    virtual: Virtual,
    stretches: Iterable[tuple[datetime, datetime]],
    now: datetime,
) -> list[date]:
    """Give the local days, over by now, of which an input has something and a term is in force."""
    zone = ZoneInfo(virtual.time_zone)
    today = now.astimezone(zone).date()
    found: set[date] = set()
    for start, end in stretches:
        limits = {
            "channels": binary_copy.array(virtual.inputs[:, 0]), "start": start,
            "end": min(end, now),
        }  # fmt: skip
        first = start.astimezone(zone).date()
        last = (min(end, now) - timedelta(microseconds=1)).astimezone(zone).date()
        for (moment,) in connection.execute(_SQL["days_of_inputs"], limits):
            # An input of another zone may reach into two days.
            near = {moment.astimezone(zone).date(), (moment + _REACH / 2).astimezone(zone).date()}
            found |= {day for day in near if first <= day <= last}
    return sorted(
        day for day in found if day < today and any(term.counts(day) for term in virtual.terms)
    )


def _chunks(days: list[date], virtual: Virtual) -> Iterator[tuple[date, int]]:
    """Part days into stretches of bounded length without long holes."""
    slots = 86400 // int(virtual.inputs[:, 3].min(initial=virtual.interval_seconds))
    most = max(1, min(_LONGEST, _CELLS // (slots * max(1, len(virtual.inputs)))))
    first = last = None
    for day in days:
        if first is None or last is None:
            first = day
        elif (day - first).days >= most or (day - last).days > 1:
            yield first, (last - first).days + 1
            first = day
        last = day
    if first is not None and last is not None:
        yield first, (last - first).days + 1


def _compute(
    connection: Connection,
    virtual: Virtual,
    first: date,
    count: int,
    wanted: list[date],
    *,
    now: datetime,
) -> Report:
    found = flows(connection, virtual, first, count)
    if found.problems:
        payload: dict[str, object] = {"virtual": virtual.usage_point}
        subject = f"virtual usage point {virtual.usage_point}"
        intake.quarantine(connection, [(subject, payload, "; ".join(found.problems))], now=now)
    days = found.layout.days.length.tolist()
    factors = np.array([term.factor for term in virtual.terms], np.int64)
    spread = np.repeat(found.counts, found.layout.days.length, axis=1)
    line = virtual_sum.total(found.lines, factors, spread, days)
    rows = np.array([(day - first).days for day in wanted], np.intp)
    blocks = _blocks(virtual, line, found.layout, rows)
    start, end = (readings_columns.moment(found.layout.bounds[n]) for n in (0, -1))
    before = readings.current(connection, [virtual.channel_id], Period(start, end), origins=True)
    blocks = _settled(connection, blocks, before)
    changed = np.flatnonzero(readings.differing(blocks, before))
    if not len(changed):
        return Report(days=len(wanted))
    blocks = readings_columns.taken(blocks, changed)
    provenance = readings.add_provenance(connection, "virtual", recorded_at=now)
    versions = readings.record(
        connection, blocks, provenance_id=provenance, recorded_at=now, previous=before
    )
    _keep_inputs(connection, virtual, found, blocks, before)
    return Report(days=len(wanted), versions=versions)


def _blocks(virtual: Virtual, line: Lines, layout: Layout, rows: NDArray[np.intp]) -> BlockTable:
    """Cut a line into the days that are wanted."""
    length = layout.days.length[rows]
    first = (layout.bounds[rows] - layout.bounds[0]) // virtual.interval_seconds
    slot = np.arange(int(length.max(initial=0)))
    inside = slot < length[:, None]
    cell = np.where(inside, first[:, None] + slot, 0)
    return BlockTable(
        channel_id=np.full(len(rows), virtual.channel_id, np.int32),
        starts_at=layout.bounds[rows],
        interval_seconds=np.full(len(rows), virtual.interval_seconds, np.int32),
        version=np.zeros(len(rows), np.int32),
        provenance_id=np.zeros(len(rows), np.int64),
        length=length.astype(np.int32),
        values=np.where(inside, line.values[0][cell], 0).astype(np.int32),
        quality=np.where(inside, line.quality[0][cell], quality.MISSING).astype(np.int16),
    )


def _settled(connection: Connection, blocks: BlockTable, before: BlockTable) -> BlockTable:
    """Let what a person has decided about the virtual channel itself stand."""
    if not len(before) or before.origin is None:
        return blocks
    limits = {"ids": binary_copy.array(np.unique(before.origin))}
    people = [row[0] for row in connection.execute(_SQL["by_people"], limits)]
    if not people:
        return blocks
    place = readings_columns.places((before.starts_at,), (blocks.starts_at,))
    values, codes = readings_columns.aligned(blocks, before, place)
    width = min(values.shape[1], before.origin.shape[1])
    stands = np.zeros(values.shape, np.bool_)
    stands[place >= 0, :width] = np.isin(before.origin[place[place >= 0], :width], people)
    return readings_columns.with_content(
        blocks,
        np.where(stands, values, blocks.values).astype(np.int32),
        np.where(stands, codes, blocks.quality).astype(np.int16),
    )


def _keep_inputs(
    connection: Connection,
    virtual: Virtual,
    found: Flows,
    blocks: BlockTable,
    before: BlockTable,
) -> None:
    """Name the versions that went into each new version."""
    place = readings_columns.places((before.starts_at,), (blocks.starts_at,))
    read = found.blocks
    ends = read.starts_at + read.length.astype(np.int64) * read.interval_seconds
    rows = []
    for n in range(len(blocks)):
        start = int(blocks.starts_at[n])
        day = int(found.layout.day_of(np.array([start]))[0])
        mine = (read.starts_at < found.layout.bounds[day + 1]) & (ends > start)
        version = 1 if place[n] < 0 else int(before.version[place[n]]) + 1
        terms = [t.id for t, on in zip(virtual.terms, found.counts[:, day], strict=True) if on]
        rows.append(
            {
                "channel": virtual.channel_id, "starts_at": readings_columns.moment(start),
                "version": version, "terms": terms,
                "input_channels": read.channel_id[mine].tolist(),
                "input_starts": [readings_columns.moment(x) for x in read.starts_at[mine]],
                "input_versions": read.version[mine].tolist(),
            }
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.executemany(_SQL["keep_inputs"], rows)
