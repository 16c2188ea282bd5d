"""The files of an export, made from the database: the same export gives the same bytes."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import IO, Final, NamedTuple

from mdm import delivery_series
from mdm.cycle import Cycle
from mdm.delivery_series import SeriesError
from mdm.determinants.determinant import Counts
from mdm.export import formats, manifest
from mdm.export.manifest import FileEntry, Made, Tally
from mdm.export.record import Head, Line, Record, key
from mdm.export.series import NOTHING
from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")
# A month of a thousand quarter-hour channels is 3 M intervals: some 60 MB at a time.
_TOGETHER: Final = 1000


class DeliveryError(RuntimeError):
    """An export could not be delivered; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """One file of an export, with the determinant sets that it tells of.

    Its content waits on the disk: intervals of a whole town do not fit into memory.
    """

    entry: FileEntry
    sets: Sequence[int]
    store: IO[bytes]
    place: int

    @property
    def content(self) -> bytes:
        """The file, read from the disk."""
        self.store.seek(self.place)
        return self.store.read(self.entry.size)


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """All files of an export and the manifest."""

    files: Sequence[File]
    manifest: bytes

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Give every file by its name, one after the other, the manifest last."""
        for file in self.files:
            yield file.entry.name, file.content
        yield manifest.NAME, self.manifest


class _Figure(NamedTuple):
    """What names a figure in a set."""

    name: str
    reading_type: str
    part: str
    unit: str


def packed(
    connection: Connection, head: Head, format_: str, parts: Sequence[tuple[str, Sequence[int]]]
) -> Package:
    """Write the files of an export.

    Parameters
    ----------
    parts : name of each file and the determinant sets that go in it
    """
    tally, files = Tally(), []
    kind = formats.named(format_)
    # Without a name; it is gone as soon as nobody has it any more, however the program ends.
    store = tempfile.TemporaryFile()  # noqa: SIM115  # its files are read after this has ended
    for name, sets in parts:
        with _uncollected():
            found = records(connection, sets, head.starts_on, head.ends_on, with_series=kind.series)
            content = kind.render(head, found)
        tally.add(found)
        for record in found:
            tally.leave_out(kind.omissions(record))
        digest = hashlib.sha256(content).hexdigest()
        entry = FileEntry(name, kind.media_type, len(content), digest, len(found))
        files.append(File(entry, list(sets), store, store.tell()))
        store.write(content)
    whole = tally.manifest(head, [f.entry for f in files], _made(connection, files))
    return Package(files, whole)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the collector away from values that refer to no one in a circle.

    A file's lines are a hundred thousand of them; it took a quarter of an export to look at each,
    again and again, and find nothing.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def refusals(
    connection: Connection, head: Head, format_: str, sets: Sequence[int]
) -> dict[int, str]:
    """Say which sets cannot be written in a format at all, and why: they stay to be delivered."""
    kind = formats.named(format_)
    if not kind.refuses:
        return {}
    found: dict[int, str] = {}
    for first in range(0, len(sets), _TOGETHER):
        part = sets[first : first + _TOGETHER]
        # One set a usage point is ready at a time, but that is not for this module to know.
        for number, record in _numbered(
            connection, part, head.starts_on, head.ends_on, with_series=kind.series
        ).items():
            reason = kind.refusal(record)
            if reason is not None:
                found[number] = f"{record.usage_point}: {reason}"
    return found


def records(
    connection: Connection,
    sets: Sequence[int],
    starts_on: date,
    ends_on: date,
    *,
    with_series: bool = False,
) -> list[Record]:
    """Give what an export says of determinant sets, by usage point."""
    found = _numbered(connection, sets, starts_on, ends_on, with_series=with_series)
    return sorted(found.values(), key=lambda record: record.usage_point)


def _numbered(
    connection: Connection,
    sets: Sequence[int],
    starts_on: date,
    ends_on: date,
    *,
    with_series: bool,
) -> dict[int, Record]:
    lines = _lines(connection, sets)
    try:
        series = delivery_series.of_sets(connection, sets) if with_series else {}
    except SeriesError as gone:
        raise DeliveryError(str(gone)) from gone
    found = {}
    for set_id, mrid, *fields in connection.execute(
        _SQL["sets"], {"sets": binary_copy.array(sets)}
    ):
        commodity, sector, tariff, zone, starts_at, ends_at, version, corrects, digest = fields
        found[set_id] = Record(
            key=key(mrid, starts_on, ends_on, version),
            usage_point=mrid,
            commodity=commodity,
            sector=sector,
            tariff=tariff,
            time_zone=zone,
            starts_at=starts_at,
            ends_at=ends_at,
            version=version,
            corrects=corrects,
            digest=digest,
            lines=lines[set_id],
            series=series.get(set_id, NOTHING),
        )
    return found


def head(cycle: Cycle, name: str, prepared_at: datetime, software: str) -> Head:
    """Give what the records of an export of a cycle share."""
    group, first, last = cycle.billing_group, cycle.starts_on, cycle.ends_on
    return Head(name, group, first, last, prepared_at, software, cycle.addressee)


def _lines(connection: Connection, sets: Sequence[int]) -> dict[int, list[Line]]:
    """Give the lines of sets; those that correct a bill tell what it said before."""
    changes = _changes(connection, sets)
    lines: dict[int, list[Line]] = defaultdict(list)
    rows = connection.execute(_SQL["lines"], {"sets": binary_copy.array(sets)}).fetchall()
    for set_id, *row in rows:
        name, kind, part, value, unit, starts_at, ends_at, a, q, m, e, d, rounding, note = row
        previous, difference = None, None
        if set_id in changes:
            unchanged = (value, Decimal(0) if value is not None else None)
            figure = _Figure(name, kind, part, unit)
            previous, difference = changes[set_id].pop(figure, unchanged)
        lines[set_id].append(
            Line(
                *(name, kind, part, value, unit, starts_at, ends_at, Counts(a, q, m, e, d)),
                *(rounding, note, previous, difference),
            )
        )
    for set_id, gone in changes.items():
        lines[set_id] += [_withdrawn(f, lines[set_id][0], *gone[f]) for f in sorted(gone)]
    return lines


Change = tuple[Decimal | None, Decimal | None]


def _changes(connection: Connection, sets: Sequence[int]) -> dict[int, dict[_Figure, Change]]:
    """Give what was billed before and the difference, by set; only of sets that correct."""
    changes: dict[int, dict[_Figure, Change]] = defaultdict(dict)
    for set_id, *row in connection.execute(_SQL["differences"], {"sets": binary_copy.array(sets)}):
        name, kind, part, unit, old, difference = row
        changes[set_id][_Figure(name, kind, part, unit)] = (old, difference)
    return changes


def _withdrawn(figure: _Figure, beside: Line, old: Decimal | None, by: Decimal | None) -> Line:
    """Write the line of a figure that was billed and is no longer there."""
    return Line(
        *(figure.name, figure.reading_type, figure.part, None, figure.unit),
        *(beside.starts_at, beside.ends_at, Counts(), beside.rounding, "no longer there"),
        *(old, by),
    )


def _made(connection: Connection, files: Sequence[File]) -> Made:
    sets = binary_copy.array(number for file in files for number in file.sets)
    rows = connection.execute(_SQL["made_by"], {"sets": sets}).fetchall()
    return Made(
        software=sorted({row[0] for row in rows}),
        rule_sets=sorted({rule_set for row in rows for rule_set in row[1]}),
        tariffs=sorted({row[2] for row in rows}),
        calendars=sorted({row[3] for row in rows}),
    )
