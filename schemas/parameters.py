"""Columns of values as PostgreSQL writes arrays of them: one parameter a column, of any length.

psycopg dumps a list value by value and gives it a type by its largest number, so that a statement
is prepared anew for each size of number. Text has the type that the statement casts it to.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime


def numbers(values: Iterable[float | bool | None]) -> str:
    """Write integers, floats or booleans; None is NULL."""
    # A list's own words: what stands in them beside the values is spaces, which count for nothing.
    return f"{{{str(list(values))[1:-1]}}}".replace("None", "NULL")


def moments(values: Iterable[datetime | None]) -> str:
    """Write aware moments; None is NULL."""
    written = ("NULL" if one is None else f'"{one.isoformat()}"' for one in values)
    return f"{{{','.join(written)}}}"


def names(values: Iterable[Iterable[str] | None]) -> list[str | None]:
    """Write lists of names as texts, for ``string_to_array(…, ',')``; names have no commas."""
    return [None if one is None else ",".join(one) for one in values]
