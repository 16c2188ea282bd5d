"""Places raw interval blocks on the grid of their channels. Pure arithmetic on columns.

Work goes by whole blocks: all intervals of a block lie on neighbouring cells of the channel's time
line, so one offset a block places them all. Only blocks across an installation's start or end are
looked at interval by interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm.intake_installed import Installed
from mdm.intake_layout import Layout
from mdm.intake_raw import RawBlocks
from mdm.intake_registers import Steps, pairs
from schemas import quality
from schemas.quality import QualityClass

OFF_GRID: Final = "its intervals start off the grid of the usage point's days"
OTHER_SIZE: Final = "its interval length is not the one that the registry has for the end device"
NOT_INSTALLED: Final = "the end device was not installed anywhere at that time"
_INT32: Final = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Time lines of channels: the slots of consecutive local days in a row, without padding.

    Attributes
    ----------
    values : shape (c, t), int32, after the multiplier [scaled unit]; 0 where missing
    quality : shape (c, t), int16
    duplicate : shape (c, t), True where a second, different value came
    misfit : shape (c, t), True where something came that does not fit the grid
    """

    values: NDArray[np.int32]
    quality: NDArray[np.int16]
    duplicate: NDArray[np.bool_]
    misfit: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unplaced:
    """Raw blocks that could not be placed, by their rows, and why."""

    block: NDArray[np.intp]
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Blocks at installations: one row for each pair.

    ``first`` is the cell of the first interval on the flattened lines, ``row`` the channel's.
    """

    block: NDArray[np.intp]
    installation: NDArray[np.intp]
    row: NDArray[np.intp]
    first: NDArray[np.int64]
    shifted: NDArray[np.bool_]

    def rows(self, chosen: NDArray[Any]) -> _Found:
        return _Found(
            self.block[chosen],
            self.installation[chosen],
            self.row[chosen],
            self.first[chosen],
            self.shifted[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Unrolled:
    """Lengths of blocks, and for each interval its block's row and its place in the block."""

    length: NDArray[np.int64]
    block: NDArray[np.intp]
    within: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Intervals on cells, in the order in which they are written: the last one stays.

    ``partial`` is the installation of an interval that is not wholly in it, −1 of others.
    """

    cell: NDArray[np.int64]
    value: NDArray[np.int32]
    code: NDArray[np.int16] | None
    partial: NDArray[np.intp] | None


def empty(channels: int, slots: int) -> Lines:
    """Give time lines with nothing on them."""
    shape = (channels, slots)
    return Lines(
        np.zeros(shape, np.int32),
        np.full(shape, quality.MISSING, np.int16),
        np.zeros(shape, np.bool_),
        np.zeros(shape, np.bool_),
    )


def at_installations(
    raw: RawBlocks, installed: Installed
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find the installations that each raw block overlaps.

    Returns
    -------
    block, installation : rows that belong together
    nowhere : rows of blocks without any
    """
    block, row = pairs(raw.end_device, installed.end_device)
    start = raw.starts_at[block]
    end = start + raw.length[block].astype(np.int64) * raw.interval_seconds[block]
    there = (start < installed.ends_at[row]) & (end > installed.starts_at[row])
    block, row = block[there], row[there]
    placed = np.zeros(len(raw), np.bool_)
    placed[block] = True
    return block, row, np.flatnonzero(~placed)


def place(
    lines: Lines,
    raw: RawBlocks,
    installed: Installed,
    layout: Layout,
    *,
    block: NDArray[np.intp],
    installation: NDArray[np.intp],
    row: NDArray[np.intp],
    tolerance: int,
) -> list[Unplaced]:
    """Put raw blocks on time lines, multiplier applied; give what fits on no grid.

    Where several values came for a slot, the one collected first counts, and a different one marks
    the slot as duplicate. A value goes before a mark that there is none.

    Parameters
    ----------
    lines : changed in place
    block, installation, row : shape (p,), raw blocks, installations and time lines that belong
        together
    tolerance : how far off the grid a block may start and still be placed [s]
    """
    step = layout.interval_seconds
    fits = raw.interval_seconds[block] == step
    start, off = layout.snapped(raw.starts_at[block], tolerance)
    near = np.abs(off) <= tolerance
    first = row * lines.values.shape[1] + (start - layout.bounds[0]) // step
    found = _Found(block, installation, row, first, off != 0)
    unplaced = []
    for wrong, reason in ((~fits, OTHER_SIZE), (fits & ~near, OFF_GRID)):
        if wrong.any():
            _mark_misfit(lines, raw, found.rows(wrong), step)
            unplaced.append(Unplaced(np.unique(block[wrong]), reason))
    # What is off the grid is better than nothing, and gives way to everything else.
    astray = fits & ~near
    if astray.any():
        _write(lines, _cells(lines, raw, installed, layout, found.rows(astray)), misfit=True)
    placed = found.rows(fits & near)
    alone = not unplaced and _apart(placed, raw)
    _write(lines, _cells(lines, raw, installed, layout, placed), misfit=False, alone=alone)
    return unplaced


def _apart(found: _Found, raw: RawBlocks) -> bool:
    """Tell whether no two blocks lie on the same cells: no value can meet another one then."""
    order = np.argsort(found.first)
    first, length = found.first[order], raw.length[found.block[order]]
    return bool((first[:-1] + length[:-1] <= first[1:]).all())


def place_steps(
    lines: Lines, steps: Steps, row: NDArray[np.intp], layout: Layout, sampled: NDArray[np.bool_]
) -> None:
    """Put register differences over one slot on it, where no interval block has a value.

    Parameters
    ----------
    lines : changed in place
    row : shape (s,), time line of each step
    sampled : shape (s,), True where the end device has no intervals of its own
    """
    slot = (steps.start - layout.bounds[0]) // layout.interval_seconds
    one = sampled & (steps.end - steps.start == layout.interval_seconds)
    one &= (slot >= 0) & (slot < lines.values.shape[1])
    cell = row[one] * lines.values.shape[1] + slot[one]
    codes = lines.quality.ravel()
    free = quality.class_table()[codes[cell]] == QualityClass.MISSING
    value, overflow = _fitted(steps.energy[one])
    lines.values.ravel()[cell[free]] = value[free]
    codes[cell[free]] = np.where(overflow, quality.OVERFLOW, steps.quality[one])[free]


def _cells(
    lines: Lines, raw: RawBlocks, installed: Installed, layout: Layout, found: _Found
) -> _Cells:
    """Unroll blocks into intervals on cells."""
    length = raw.length[found.block].astype(np.int64)
    chosen = raw.rows(found.block)
    inside = np.arange(raw.values.shape[1]) < length[:, None]
    place_ = np.repeat(np.arange(len(length)), length)
    within = np.arange(len(place_)) - np.repeat(np.cumsum(length) - length, length)
    unrolled = _Unrolled(length, place_, within)
    value = chosen.values[inside]
    code = None if chosen.quality is None else chosen.quality[inside]
    cell = found.first[place_] + within
    overflow = np.zeros(1, np.bool_)
    if not installed.as_read(found.installation):
        value, overflow = _fitted(installed.times(found.installation[place_], value))
    if found.shifted.any() or overflow.any():
        code = np.zeros(len(value), np.int16) if code is None else code
        code = np.where(
            (code == quality.VALID) & found.shifted[place_], quality.CLOCK_SHIFTED, code
        )
        code = np.where(overflow, quality.OVERFLOW, code).astype(np.int16)
    keep, partial = _inside(lines, installed, layout, found, unrolled)
    if keep is None:
        return _Cells(cell, value, code, partial)
    return _Cells(
        cell[keep],
        value[keep],
        None if code is None else code[keep],
        None if partial is None else partial[keep],
    )


def _inside(
    lines: Lines,
    installed: Installed,
    layout: Layout,
    found: _Found,
    unrolled: _Unrolled,
) -> tuple[NDArray[np.bool_] | None, NDArray[np.intp] | None]:
    """Tell which intervals lie on the lines and in their installation, and which only partly."""
    length, place_, within = unrolled.length, unrolled.block, unrolled.within
    step, slots = layout.interval_seconds, lines.values.shape[1]
    slot = found.first - found.row * slots
    start = layout.bounds[0] + slot * step
    since = installed.starts_at[found.installation]
    until = installed.ends_at[found.installation]
    whole = (slot >= 0) & (slot + length <= slots)
    if whole.all() and (start >= since).all() and (start + length * step <= until).all():
        return None, None
    slot_ = slot[place_] + within
    from_ = start[place_] + within * step
    keep = (slot_ >= 0) & (slot_ < slots)
    keep &= (from_ < until[place_]) & (from_ + step > since[place_])
    part = (from_ < since[place_]) | (from_ + step > until[place_])
    return keep, np.where(part, found.installation[place_], -1)


def _write(lines: Lines, cells: _Cells, *, misfit: bool, alone: bool = False) -> None:
    """Write intervals on the lines: first what is known to be missing, then the values.

    Parameters
    ----------
    alone : whether nothing is on their cells yet, and no two have the same one
    """
    values, codes = lines.values.ravel(), lines.quality.ravel()
    if cells.code is not None:
        missing = quality.class_table()[cells.code] == QualityClass.MISSING
        codes[cells.cell[missing]] = cells.code[missing]
        cells = _chosen(cells, ~missing)
    if cells.partial is not None and (cells.partial >= 0).any():
        _add(lines, _chosen(cells, cells.partial >= 0))
        cells = _chosen(cells, cells.partial < 0)
    values[cells.cell] = cells.value
    codes[cells.cell] = quality.VALID if cells.code is None else cells.code
    if alone:
        return
    lines.misfit.ravel()[cells.cell] = misfit
    other = values[cells.cell] != cells.value
    lines.duplicate.ravel()[cells.cell[other]] = True


def _add(lines: Lines, cells: _Cells) -> None:
    """Add what two meters saw of the slot in which they were exchanged."""
    keys = np.stack([cells.cell, cells.partial], axis=1)[::-1]  # type: ignore[list-item]
    # Written in order, so of one meter's values for one slot the last counts.
    last = len(keys) - 1 - np.unique(keys, axis=0, return_index=True)[1]
    lines.quality.ravel()[cells.cell] = quality.PARTIAL
    np.add.at(lines.values.ravel(), cells.cell[last], cells.value[last])


def _chosen(cells: _Cells, chosen: NDArray[Any]) -> _Cells:
    return _Cells(
        cells.cell[chosen],
        cells.value[chosen],
        None if cells.code is None else cells.code[chosen],
        None if cells.partial is None else cells.partial[chosen],
    )


def _mark_misfit(lines: Lines, raw: RawBlocks, found: _Found, step: int) -> None:
    """Mark the slots that blocks would cover."""
    slots = lines.misfit.shape[1]
    first = found.first - found.row * slots
    seconds = raw.length[found.block].astype(np.int64) * raw.interval_seconds[found.block]
    count = np.maximum(seconds // step, 1)
    for row, start, n in zip(found.row, first, count, strict=True):
        lines.misfit[row, max(start, 0) : max(start + n, 0)] = True


def _fitted(energy: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Hold values to the 32 bits of the store; tell which ones did not fit."""
    overflow = (energy > _INT32.max) | (energy < _INT32.min)
    return np.clip(energy, _INT32.min, _INT32.max).astype(np.int32), overflow
