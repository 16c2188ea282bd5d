"""Text of many usage points at once: a form that all share, with places for what differs.

A sheet's columns are put into the places row by row: what takes Python's time is one filling a
usage point, not a step a figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm.export.record import plain

Piece = tuple[str, tuple[Sequence[object], ...]]
"""A piece of a form, with the columns that go into its places."""

# Of as many decimals all fractions are kept written: ten thousand.
_KNOWN: Final = 4
_JSON: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def filled(pieces: Iterable[Piece]) -> Iterator[str]:
    """Fill a form once a row; it has at least one column."""
    form: list[str] = []
    columns: list[Sequence[object]] = []
    for piece, given in pieces:
        form.append(piece)
        columns += given
    template = "".join(form)
    return (template % row for row in zip(*columns, strict=True))


def fixed(text: str) -> Piece:
    """Give what is alike in all rows."""
    return text.replace("%", "%%"), ()


def texts(column: Sequence[str]) -> Piece:
    """Give texts, as they are."""
    return "%s", (column,)


def whole(column: NDArray[np.integer[Any]]) -> Piece:
    """Give whole numbers."""
    return (str(column[0]), ()) if _same(column) else ("%d", (column.tolist(),))


def decimals(units: NDArray[np.int64], places: int) -> Piece:
    """Give figures with all their decimals."""
    if not places:
        return whole(units)
    if (units < 0).any():
        return "%s", ([plain(Decimal(unit).scaleb(-places)) for unit in units.tolist()],)
    one, rest = np.divmod(units, 10**places)
    if places > _KNOWN:
        return f"%d.%0{places}d", (one.tolist(), rest.tolist())
    behind = _fractions(places)
    return "%d.%s", (one.tolist(), [behind[i] for i in rest.tolist()])


def moments(seconds: NDArray[np.int64]) -> Piece:
    """Give moments as ``record.instant`` does."""
    if _same(seconds):
        return _instants(seconds[:1])[0], ()
    distinct, place = np.unique(seconds, return_inverse=True)
    written = _instants(distinct)
    return "%s", ([written[i] for i in place.tolist()],)


def json_text(value: object) -> str:
    """Write a value as JSON does, without blanks, letters as they are."""
    return _JSON.encode(value)


def json_inside(text: str) -> str:
    """Write a text as JSON does, without its quotes: it is a part of one."""
    return _JSON.encode(text)[1:-1]


def _instants(seconds: NDArray[np.int64]) -> list[str]:
    texts: list[str] = np.datetime_as_string(
        seconds.astype("datetime64[s]"), timezone="UTC"
    ).tolist()
    return texts


@cache
def _fractions(places: int) -> tuple[str, ...]:
    """Give all fractions of some decimals: to look one up takes a third of writing it."""
    return tuple(f"{rest:0{places}d}" for rest in range(10**places))


def _same(column: NDArray[Any]) -> bool:
    return bool((column == column[0]).all())
