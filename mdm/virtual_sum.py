"""Sums of channels, slot by slot, exact in integers. Pure arithmetic on time lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.quality import QualityClass
from schemas.reading import BlockTable

MILLION: Final = 1_000_000
_CODES: Final = 32768
# The worse, the later.
_ORDER: Final = (
    QualityClass.VALID,
    QualityClass.EDITED,
    QualityClass.ESTIMATED,
    QualityClass.QUESTIONABLE,
    QualityClass.MISSING,
)
_INT32: Final = np.iinfo(np.int32)


class Unfitting(ValueError):
    """Interval lengths of which neither is a multiple of the other, or that lie off the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Time lines on one grid, a row each.

    Attributes
    ----------
    values : shape (k, t), int64 [scaled unit]; 0 where missing
    quality : shape (k, t), int16
    """

    values: NDArray[np.int64]
    quality: NDArray[np.int16]

    def rows(self, chosen: NDArray[np.intp]) -> Lines:
        """Choose rows."""
        return Lines(self.values[chosen], self.quality[chosen])


def empty(rows: int, slots: int) -> Lines:
    """Give time lines with nothing on them."""
    shape = (rows, slots)
    return Lines(np.zeros(shape, np.int64), np.full(shape, quality.MISSING, np.int16))


def placed(
    blocks: BlockTable, row: NDArray[np.intp], rows: int, *, start: int, end: int, step: int
) -> Lines:
    """Lay blocks of one interval length on time lines.

    Parameters
    ----------
    row : shape (k,), line of each block
    rows : lines
    start, end : where the lines begin and end [s since 1970 UTC]
    step : interval length of the blocks and of the lines [s]

    Raises
    ------
    Unfitting
        if a block's intervals lie off the grid.
    """
    slots, rest = divmod(end - start, step)
    lines = empty(rows, slots)
    first, off = np.divmod(blocks.starts_at - start, step)
    if rest or off.any():
        raise Unfitting(f"intervals of {step} s lie off the grid of the virtual channel's days")
    width = blocks.values.shape[1]
    slot = first[:, None] + np.arange(width)
    inside = (np.arange(width) < blocks.length[:, None]) & (slot >= 0) & (slot < slots)
    cell = (row[:, None] * slots + slot)[inside]
    lines.values.ravel()[cell] = blocks.values[inside]
    lines.quality.ravel()[cell] = blocks.quality[inside]
    return _blanked(lines)


def regridded(lines: Lines, step: int, wanted: int) -> Lines:
    """Bring time lines from one interval length to another.

    Fine values are added up; coarse ones are cut into equal whole parts, the remainder one each on
    the earliest, and are estimates then: when in the interval they flowed is not known.

    Parameters
    ----------
    step, wanted : interval lengths, the one there is and the one there is to be [s]

    Raises
    ------
    Unfitting
        if neither is a multiple of the other.
    """
    if step == wanted:
        return lines
    if wanted % step == 0:
        return _added(lines, wanted // step)
    if step % wanted:
        raise Unfitting(f"intervals of {step} s fit into none of {wanted} s")
    parts = step // wanted
    base, rest = np.divmod(lines.values, parts)
    pieces = base[:, :, None] + (np.arange(parts) < rest[:, :, None])
    codes = worst(np.stack([lines.quality, np.full_like(lines.quality, quality.ESTIMATED)]))
    whole = pieces.reshape(len(lines.values), -1)
    return _blanked(Lines(whole, np.repeat(codes, parts, axis=1)))


def _added(lines: Lines, parts: int) -> Lines:
    rows = len(lines.values)
    codes = lines.quality.reshape(rows, -1, parts)
    values = lines.values.reshape(rows, -1, parts).sum(axis=2)
    return _blanked(Lines(values, worst(np.moveaxis(codes, 2, 0))))


def either(one: Lines, other: Lines) -> Lines:
    """Give of two channels of one place what there is, slot by slot, the first before the other."""
    missing = _missing()[one.quality]
    return Lines(
        np.where(missing, other.values, one.values), np.where(missing, other.quality, one.quality)
    )


def total(
    lines: Lines, factors: NDArray[np.int64], counts: NDArray[np.bool_], days: Sequence[int]
) -> Lines:
    r"""Add channels up, each times its factor, with the quality of the worst.

    The sum of a day is rounded once, half up, and so is every running sum in it: each slot is
    within one unit of its own exact sum, and the slots add up to the day's exactly.

    Parameters
    ----------
    factors : shape (k,) [millionths]
    counts : shape (k, t), where each term is in force
    days : slots of each day, t in all

    Returns
    -------
    one line, shape (1, t); what only valid values went into is DERIVED, what lacks one is MISSING
    """
    whole, rest = np.divmod(factors, MILLION)
    used = np.where(counts, lines.values, 0)
    # Factor and value may be large: their product is kept in two parts.
    units, parts = whole @ used, rest @ used
    carried, parts = np.divmod(parts, MILLION)
    units += carried
    codes = worst(np.where(counts, lines.quality, quality.VALID))
    codes = np.where(_ranks()[codes] == 0, quality.DERIVED, codes)
    codes[~counts.any(axis=0)] = quality.MISSING
    missing = _missing()[codes]
    units[missing], parts[missing] = 0, 0
    values = units + _rounded(parts, days)
    fits = (values >= _INT32.min) & (values <= _INT32.max)
    codes = np.where(fits, codes, quality.OVERFLOW).astype(np.int16)
    values = np.clip(values, _INT32.min, _INT32.max)
    return _blanked(Lines(values[None], codes[None]))


def _rounded(parts: NDArray[np.int64], days: Sequence[int]) -> NDArray[np.int64]:
    """Share out what millionths add up to over each day."""
    shares = []
    for day in np.split(parts, np.cumsum(days)[:-1]):
        running = (np.cumsum(day) + MILLION // 2) // MILLION
        shares.append(np.diff(running, prepend=0))
    return np.concatenate(shares)


def worst(codes: NDArray[np.int16]) -> NDArray[np.int16]:
    """Give the worst code along the first axis; of one class the highest number."""
    keys = _ranks()[codes].astype(np.int32) * _CODES + codes
    return np.asarray(keys.max(axis=0) % _CODES, np.int16)


def _blanked(lines: Lines) -> Lines:
    """Put 0 where there is no value."""
    lines.values[_missing()[lines.quality]] = 0
    return lines


@cache
def _ranks() -> NDArray[np.int8]:
    """Give how bad each quality code is, as a table."""
    order = np.zeros(len(QualityClass), np.int8)
    order[list(_ORDER)] = np.arange(len(_ORDER))
    return order[quality.class_table()]


@cache
def _missing() -> NDArray[np.bool_]:
    return np.asarray(quality.class_table() == QualityClass.MISSING)
