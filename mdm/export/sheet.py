"""What an export says of many usage points whose lines differ in figures only, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.determinant import Counts
from mdm.export.record import Line, Record


class Heading(NamedTuple):
    """What a line of all usage points has in common.

    Attributes
    ----------
    places : decimals of its figures
    of_device : whether its part is each usage point's own end device
    absent : whether it has no figures; its note says why
    """

    name: str
    reading_type: str
    part: str
    unit: str
    places: int
    rounding: str
    note: str
    of_device: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The lines of n usage points, l each, none of which corrects a bill.

    Attributes
    ----------
    records : n of them, without their lines
    headings : l of them
    units : shape (n, l), figures in units of their last decimal
    starts_at, ends_at : shape (n, l) [s since 1970-01-01 UTC]
    counts : shape (n, l, 5), as ``Counts`` has them
    end_devices : n of them; empty where no line is of one
    """

    records: Sequence[Record]
    headings: Sequence[Heading]
    units: NDArray[np.int64]
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]
    counts: NDArray[np.int32]
    end_devices: Sequence[str] = ()

    def sums(self) -> Iterator[tuple[Heading, Decimal]]:
        """Give the sum over all usage points of each line that has figures."""
        for line, heading in enumerate(self.headings):
            if heading.absent:
                continue
            # As Python's own whole numbers: whatever fits a column, its sum may not.
            total = sum(self.units[:, line].tolist())
            yield heading, Decimal(total).scaleb(-heading.places)

    def lines(self, row: int) -> list[Line]:
        """Give a usage point's lines."""
        columns = (self.units, self.starts_at, self.ends_at, self.counts)
        figures = zip(*(column[row].tolist() for column in columns), strict=True)
        return [
            Line(
                *(
                    h.name,
                    h.reading_type,
                    self.end_devices[row] if h.of_device else h.part,
                    None if h.absent else Decimal(unit).scaleb(-h.places),
                    h.unit,
                ),
                *(_moment(start), _moment(end), Counts(*count), h.rounding, h.note),
            )
            for h, (unit, start, end, count) in zip(self.headings, figures, strict=True)
        ]


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
