"""Usage points of a file in their order, whether they stand in sheets or as records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from typing import TypeVar

from mdm.export.record import Record
from mdm.export.sheet import Sheet

_T = TypeVar("_T")


def merged(
    records: Iterable[Record],
    sheets: Iterable[Sheet],
    of_records: Callable[[Sequence[Record]], Iterable[_T]],
    of_sheet: Callable[[Sheet], Iterable[_T]],
) -> list[_T]:
    """Write each usage point's part; give them in the order of their names.

    Parameters
    ----------
    of_records, of_sheet : give one for each usage point, the same for the same figures
    """
    own = list(records)
    parts = list(zip(_names(own), of_records(own), strict=True))
    for sheet in sheets:
        parts += zip(_names(sheet.records), of_sheet(sheet), strict=True)
    return [part for _, part in sorted(parts, key=itemgetter(0))]


def bare(records: Iterable[Record], sheets: Iterable[Sheet]) -> list[Record]:
    """Give all records by usage point; those of sheets stay without their lines.

    For formats that carry readings only: nobody asks for the lines.
    """
    every = [*records, *(record for sheet in sheets for record in sheet.records)]
    return sorted(every, key=attrgetter("usage_point"))


def _names(records: Iterable[Record]) -> Iterable[str]:
    return (record.usage_point for record in records)
