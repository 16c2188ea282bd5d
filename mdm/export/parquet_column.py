"""Columns of a Parquet file: given as Python's values, written from arrays.

Whoever has arrays already gives those: a file of a thousand usage points has tens of thousands of
rows, of which a Python object for each cell would cost more than all the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

Kind = Literal["text", "int32", "int64", "decimal", "timestamp"]

PLACES: Final = 9
"""Decimals that a decimal column keeps."""

PRECISION: Final = 38
"""Digits that a decimal column has in all."""

WIDTH: Final = 16
"""Octets of a decimal: a whole number of its last place, highest octet first."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_HALF: Final = 32
_LOW: Final = 2**_HALF - 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column: text, whole numbers, Decimal or aware datetime.

    Attributes
    ----------
    optional : whether values may be None
    """

    name: str
    kind: Kind
    values: Sequence[Any]
    optional: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A column of n rows as arrays.

    Attributes
    ----------
    values : shape (n,): whole numbers, times [µs since 1970-01-01 UTC] or, of texts, their places
        in ``texts``; shape (n, 16) of decimals: their octets; anything where nothing is
    present : shape (n,): which rows have a value; None where all have
    texts : each once
    """

    name: str
    kind: Kind
    optional: bool
    values: NDArray[Any]
    present: NDArray[np.bool_] | None = None
    texts: Sequence[str] = ()

    @classmethod
    def of(cls, column: Column) -> Self:
        """Make arrays of a column.

        Raises
        ------
        ValueError
            if a decimal has more than ``PLACES`` decimals or does not fit into 38 digits.
        """
        present = None
        values = column.values
        if column.optional:
            present = np.array([value is not None for value in values], np.bool_)
        if column.kind == "text":
            codes = {text: code for code, text in enumerate(dict.fromkeys(values))}
            places = np.array([codes[text] for text in values], np.int64)
            # None has a place, too, which nobody looks up.
            texts = ["" if text is None else text for text in codes]
            return cls(column.name, column.kind, column.optional, places, present, texts)
        packed = _packed(column.kind, values)
        return cls(column.name, column.kind, column.optional, packed, present)

    def taken(self, rows: NDArray[np.intp]) -> Self:
        """Give some rows, in an order, as often as they are asked for."""
        present = None if self.present is None else self.present[rows]
        return replace(self, values=self.values[rows], present=present)


def joined(parts: Sequence[Packed]) -> Packed:
    """Put the rows of columns of one name and kind one after the other."""
    first, texts, values = parts[0], dict[str, int](), []
    for part in parts:
        if part.kind == "text":
            places = [texts.setdefault(text, len(texts)) for text in part.texts]
            values.append(np.array(places, np.int64)[part.values])
        else:
            values.append(part.values)
    present = None
    if first.optional:
        present = np.concatenate([_present(part) for part in parts])
    return replace(first, values=np.concatenate(values), present=present, texts=list(texts))


def decimals(units: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Write figures as a decimal column has them.

    Parameters
    ----------
    units : shape (n,) [units of the last decimal]
    places : shape (n,), decimals, at most ``PLACES``

    Returns
    -------
    octets, shape (n, 16)

    Raises
    ------
    ValueError
        if there are more decimals than a column keeps.
    """
    if len(places) and places.max() > PLACES:
        raise ValueError(f"{places.max()} decimals do not fit into {PLACES}")
    # In two halves of 32 bits: what ten thousand millions make of 64 bits does not fit there.
    tens = 10 ** (PLACES - places)
    low = (units & _LOW) * tens
    high = (units >> _HALF) * tens + (low >> _HALF)
    octets = np.empty((len(units), 2), ">i8")
    octets[:, 0] = high >> _HALF
    octets[:, 1] = (high << _HALF) | (low & _LOW)
    return octets.view(np.uint8).reshape(-1, WIDTH)


def fits(value: Decimal) -> bool:
    """Tell whether a decimal column can hold a figure exactly."""
    return _scaled(value) is not None


def _present(part: Packed) -> NDArray[np.bool_]:
    return np.ones(len(part.values), np.bool_) if part.present is None else part.present


def _packed(kind: Kind, values: Sequence[Any]) -> NDArray[Any]:
    if kind == "decimal":
        octets = bytearray().join(
            bytes(WIDTH) if value is None else _decimal(value) for value in values
        )
        return np.array(octets, np.uint8).reshape(-1, WIDTH)
    if kind == "timestamp":
        stamps = [0 if value is None else (value - _EPOCH) // _MICRO for value in values]
        return np.array(stamps, "<i8")
    numbers = [0 if value is None else value for value in values]
    return np.array(numbers, "<i4" if kind == "int32" else "<i8")


def _decimal(value: Decimal) -> bytes:
    whole = _scaled(value)
    if whole is None:
        raise ValueError(f"{value} does not fit into {PRECISION} digits, {PLACES} of them decimals")
    return whole.to_bytes(WIDTH, "big", signed=True)


def _scaled(value: Decimal) -> int | None:
    with localcontext() as exact:
        exact.prec = 100
        scaled = value.scaleb(PLACES)
        whole = int(scaled)
        return whole if whole == scaled and abs(whole) < 10**PRECISION else None
