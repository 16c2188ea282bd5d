"""Rows of people's CSV files, by the names that their first line has."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Final, NamedTuple

from mdm.registry_row import Rejected

_SHOWN: Final = 100
# An index takes no more than 2,700 bytes, of which a letter may need four.
_LONGEST: Final = 500
_FIRST: Final = date(1900, 1, 1)
_LAST: Final = date(8999, 12, 31)


class HeadingError(ValueError):
    """The file's first line lacks columns; nothing was imported."""


class Row(NamedTuple):
    """A row of a file.

    ``line`` counts from 1, the heading; ``cells`` are by column, without the spaces around them;
    ``surplus`` is what stands after the last column.
    """

    line: int
    cells: dict[str, str]
    surplus: str = ""

    def refusal(self) -> Rejected | None:
        """Refuse a row that has more cells than the heading, or a cell that nobody means so."""
        if self.surplus:
            shown = self.surplus[:_SHOWN]
            return Rejected(self.line, "(after the last)", shown, "more cells than columns")
        for column, text in self.cells.items():
            if len(text) > _LONGEST or not text.isprintable():
                return Rejected(self.line, column, text[:_SHOWN], _why(text))
        return None


def _why(text: str) -> str:
    if len(text) > _LONGEST:
        return f"has {len(text):,} characters; at most {_LONGEST} are taken"
    at, hidden = next(each for each in enumerate(text) if not each[1].isprintable())
    return (
        f"has a character that cannot be seen, U+{ord(hidden):04X}, after {at} others; take it out"
    )


def day(text: str) -> date:
    """Read a day.

    Raises
    ------
    ValueError
        if it is none, or one that no meter has seen or will see.
    """
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = date.min
    if not _FIRST <= found <= _LAST:
        raise ValueError("must be a local day such as 2026-06-01")
    return found


def rows(lines: Iterable[str], columns: Sequence[str]) -> Iterator[Row]:
    """Read a file's rows; empty ones are passed over, cells that a row lacks are empty.

    Parameters
    ----------
    lines : CSV with a heading, in whatever order; other columns are passed over

    Raises
    ------
    HeadingError
        if the heading lacks a column or has one twice.
    csv.Error
        if a row cannot be taken apart.
    """
    reader = csv.reader(lines)
    heading = [name.strip() for name in next(reader, ())]
    places = _places(heading, columns)
    for cells in _read(reader):
        if not any(map(str.strip, cells)):
            continue
        surplus = ",".join(cells[len(heading) :])
        cells.extend([""] * (len(heading) - len(cells)))
        yield Row(reader.line_num, {name: cells[at].strip() for name, at in places}, surplus)


def _places(heading: Sequence[str], columns: Sequence[str]) -> list[tuple[str, int]]:
    missing = [name for name in columns if name not in heading]
    if missing:
        raise HeadingError(
            f"the first line must name the columns; missing: {', '.join(missing)}. "
            f"The full heading is: {','.join(columns)}"
        )
    twice = [name for name in columns if heading.count(name) > 1]
    if twice:
        raise HeadingError(f"the first line names {', '.join(twice)} more than once; take one out")
    return [(name, heading.index(name)) for name in columns]


def _read(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """Give rows; what cannot be taken apart is named by its line."""
    last = 1
    try:
        for cells in reader:
            yield cells
            last = reader.line_num  # type: ignore[attr-defined]  # csv's reader has it
    except csv.Error as error:
        raise csv.Error(
            f"after line {last}: {error}; is a quotation mark not closed there?"
        ) from error
