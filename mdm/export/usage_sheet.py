"""Usage of a sheet's figures, as ``usage`` has it of records: each has a value, none corrects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.determinant import Counts
from mdm.export import form
from mdm.export.form import Piece
from mdm.export.record import Record
from mdm.export.sheet import Sheet

SEPARATOR = "\n"
"""What stands between a usage point's events; JSON has none inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """What a usage point's events share, by usage point.

    Attributes
    ----------
    keys : of the bill, inside of a JSON text
    subjects : JSON texts
    ends : of an event's properties
    starts_at, ends_at : of the billing period, shape (n,) [s since 1970-01-01 UTC]
    """

    keys: Piece
    subjects: Piece
    ends: Piece
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]

    @classmethod
    def of(cls, found: Sheet) -> Self:
        """Write it down once for all lines."""
        records = found.records
        return cls(
            form.texts([form.json_inside(record.key) for record in records]),
            form.texts([form.json_text(record.usage_point) for record in records]),
            form.texts([_end(record) for record in records]),
            np.array([int(record.starts_at.timestamp()) for record in records], np.int64),
            np.array([int(record.ends_at.timestamp()) for record in records], np.int64),
        )

    def at(self, found: Sheet, line: int) -> NDArray[np.int64]:
        """Give a moment of the billing period for each usage point, as ``usage`` chooses it."""
        ends: NDArray[np.int64] = np.minimum(found.ends_at[:, line], self.ends_at)
        return np.maximum(ends - 1, self.starts_at)


def identity(points: Points, found: Sheet, line: int) -> Iterator[Piece]:
    """Give the idempotency key of a line's events, a JSON text."""
    heading = found.headings[line]
    own = "/".join(("", heading.name, heading.reading_type, heading.part))
    yield form.fixed('"')
    yield points.keys
    yield form.fixed(f'{form.json_inside(own)}"')


def properties(points: Points, found: Sheet, line: int) -> Iterator[Piece]:
    """Give the properties of a line's events, a JSON object."""
    heading = found.headings[line]
    figure = form.decimals(found.units[:, line], heading.places)
    named = {"unit": heading.unit, "part": heading.part, "reading_type": heading.reading_type}
    yield form.fixed('{"amount":"')
    yield figure
    yield form.fixed('","value":"')
    yield figure
    yield form.fixed(f'",{form.json_text(named)[1:-1]},"starts_at":"')
    yield form.moments(found.starts_at[:, line])
    yield form.fixed('","ends_at":"')
    yield form.moments(found.ends_at[:, line])
    yield form.fixed('"')
    for name, column in zip(Counts._fields, found.counts[:, line].T, strict=True):
        yield form.fixed(f',"{name}":')
        yield form.whole(column)
    told = {"rounding": heading.rounding, "note": heading.note}
    yield form.fixed(f",{form.json_text(told)[1:-1]},")
    yield points.ends


def _end(record: Record) -> str:
    shared = {
        "commodity": record.commodity,
        "sector": record.sector,
        "tariff": record.tariff,
        "key": record.key,
        "version": record.version,
        "corrects": record.corrects,
        "digest": record.digest,
    }
    return form.json_text(shared)[1:]
