"""Usage of a sheet's figures, as ``usage`` has it of records: lines without a value are none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mdm.export import form, json_
from mdm.export.form import Piece
from mdm.export.record import Record
from mdm.export.sheet import Heading, Sheet

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
    devices : end devices, inside of a JSON text
    starts_at, ends_at : of the billing period, shape (n,) [s since 1970-01-01 UTC]
    """

    keys: Piece
    subjects: Piece
    ends: Piece
    devices: Piece
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
            form.texts([form.json_inside(device) for device in found.end_devices]),
            np.array([int(record.starts_at.timestamp()) for record in records], np.int64),
            np.array([int(record.ends_at.timestamp()) for record in records], np.int64),
        )

    def at(self, found: Sheet, line: int) -> NDArray[np.int64]:
        """Give a moment of the billing period for each usage point, as ``usage`` chooses it."""
        ends: NDArray[np.int64] = np.minimum(found.ends_at[:, line], self.ends_at)
        return np.maximum(ends - 1, self.starts_at)

    def part(self, heading: Heading) -> Piece:
        """Give a line's part, inside of a JSON text."""
        return self.devices if heading.of_device else form.fixed(form.json_inside(heading.part))


def figures(found: Sheet) -> list[int]:
    """Give the lines that have figures."""
    return [line for line, heading in enumerate(found.headings) if not heading.absent]


def identity(points: Points, found: Sheet, line: int) -> Iterator[Piece]:
    """Give the idempotency key of a line's events, a JSON text."""
    heading = found.headings[line]
    yield form.fixed('"')
    yield points.keys
    yield form.fixed(form.json_inside(f"/{heading.name}/{heading.reading_type}/"))
    yield points.part(heading)
    yield form.fixed('"')


def properties(points: Points, found: Sheet, line: int) -> Iterator[Piece]:
    """Give the properties of a line's events, a JSON object."""
    heading = found.headings[line]
    figure = form.decimals(found.units[:, line], heading.places)
    yield form.fixed('{"amount":"')
    yield figure
    yield form.fixed('","value":"')
    yield figure
    yield form.fixed(f'","unit":{form.json_text(heading.unit)},"part":"')
    yield points.part(heading)
    yield form.fixed(f'","reading_type":{form.json_text(heading.reading_type)},')
    yield from json_.provenance(found, line)
    yield form.fixed(",")
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
