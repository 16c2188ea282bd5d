"""What exports say of determinant sets, read from the database.

Sets whose lines are alike are read as columns, a sheet of them together; what has lines of its own,
or corrects a bill, is read line by line.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm import delivery_series, readings_columns
from mdm.determinants.determinant import Counts
from mdm.export.record import Line, Record, key
from mdm.export.sheet import Heading, Sheet
from schemas import binary_copy, binary_fields, statements
from schemas.binary_fields import Column
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery_records.sql")
# A set, its heading, figures, starts, ends, its end device, and counts by quality.
_PAGE: Final = ("int8", "int4", "int8[]", *["timestamptz[]"] * 2, "text", *["int4[]"] * 5)

Change = tuple[Decimal | None, Decimal | None]


class _Figure(NamedTuple):
    """What names a figure in a set."""

    name: str
    reading_type: str
    part: str
    unit: str


class Paged(NamedTuple):
    """Determinant sets whose lines are alike, and these."""

    sets: Sequence[int]
    sheet: Sheet


@dataclass(frozen=True, slots=True)
class Found:
    """What was read of determinant sets.

    Attributes
    ----------
    paged : those whose lines are alike
    records : all others
    """

    paged: Sequence[Paged]
    records: Mapping[int, Record]

    def __len__(self) -> int:
        return len(self.records) + sum(len(page.sets) for page in self.paged)

    def numbered(self) -> dict[int, Record]:
        """Give all of them by set, each with its lines."""
        found = dict(self.records)
        for sets, sheet in self.paged:
            for row, (number, record) in enumerate(zip(sets, sheet.records, strict=True)):
                found[number] = record._replace(lines=sheet.lines(row))
        return found

    def whole(self) -> list[Record]:
        """Give all of them by usage point, each with its lines."""
        return sorted(self.numbered().values(), key=lambda record: record.usage_point)


def read(
    connection: Connection,
    sets: Sequence[int],
    starts_on: date,
    ends_on: date,
    *,
    with_series: bool = False,
) -> Found:
    """Read determinant sets of a cycle.

    Raises
    ------
    SeriesError
        if readings that a set names are gone.
    """
    records = _heads(connection, sets, starts_on, ends_on)
    if with_series:
        for number, series in delivery_series.of_sets(connection, sets).items():
            records[number] = records[number]._replace(series=series)
    paged = _paged(connection, records)
    for number in (number for page in paged for number in page.sets):
        del records[number]
    lines = _lines(connection, list(records))
    return Found(paged, {n: one._replace(lines=lines[n]) for n, one in records.items()})


def _heads(
    connection: Connection, sets: Sequence[int], starts_on: date, ends_on: date
) -> dict[int, Record]:
    """Give sets without their lines."""
    found = {}
    for number, mrid, version, *rest in connection.execute(
        _SQL["sets"], {"sets": binary_copy.array(sets)}
    ):
        name = key(mrid, starts_on, ends_on, version)
        commodity, sector, tariff, zone, starts_at, ends_at, corrects, digest = rest
        found[number] = Record(
            *(name, mrid, commodity, sector, tariff, zone, starts_at, ends_at, version),
            *(corrects, digest, ()),
        )
    return found


def _paged(connection: Connection, records: Mapping[int, Record]) -> list[Paged]:
    """Give those sets that stand as pages and correct nothing, by heading."""
    sets = [number for number, record in records.items() if record.corrects is None]
    number, heading, units, starts_at, ends_at, end_device, *counts = binary_copy.read(
        connection, _SQL["pages"], {"sets": binary_copy.array(sets)}, _PAGE
    )
    found = []
    for kind, headings in _headings(connection, np.unique(heading.values)).items():
        rows = np.flatnonzero(heading.values == kind)
        width = len(headings)
        chosen = number.values[rows].tolist()
        sheet = Sheet(
            records=[records[each] for each in chosen],
            headings=headings,
            units=units.values[rows, :width],
            starts_at=starts_at.values[rows, :width] // readings_columns.SECOND,
            ends_at=ends_at.values[rows, :width] // readings_columns.SECOND,
            counts=np.stack([_counts(column, rows, width) for column in counts], axis=2),
            end_devices=[text.decode() for text in end_device.values[rows].tolist()],
        )
        found.append(Paged(chosen, sheet))
    return found


def _counts(column: Column, rows: NDArray[np.intp], width: int) -> NDArray[np.int32]:
    """Give counts of a quality; where a page has NULL, none of its figures has any."""
    found = np.zeros((len(rows), width), np.int32)
    there = ~binary_fields.nulls(column)[rows]
    if there.any():
        found[there] = column.values[rows[there], :width]
    return found


def _headings(connection: Connection, kinds: NDArray[np.int32]) -> dict[int, list[Heading]]:
    """Give the lines of headings, by id."""
    found: dict[int, list[Heading]] = defaultdict(list)
    rows = connection.execute(_SQL["headings"], {"headings": binary_copy.array(kinds)})
    for kind, name, reading_type, part, unit, scale, rounding, note in rows:
        places = 0 if scale is None else -scale.as_tuple().exponent
        bare = part is None, scale is None
        found[kind].append(
            Heading(name, reading_type, part or "", unit, places, rounding, note, *bare)
        )
    return found


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
