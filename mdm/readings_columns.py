"""Columns of the final record: keys, newest versions, and what differs from the version before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas import binary_fields, quality
from schemas.binary_fields import Column
from schemas.reading import BlockTable

SECOND: Final = 1_000_000
_ROOM: Final = 1 << 62
_N = TypeVar("_N", bound=np.integer[Any])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def newest(*keys: NDArray[Any], version: NDArray[Any]) -> NDArray[np.intp]:
    """Give the row of the highest version of each key, in the keys' order."""
    order = np.lexsort((version, *reversed(keys)))
    last = np.ones(len(order), np.bool_)
    if len(order):
        ordered = [key[order] for key in keys]
        last[:-1] = np.logical_or.reduce([key[1:] != key[:-1] for key in ordered])
    return order[last]


def places(found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]) -> NDArray[np.intp]:
    """Give where each wanted key is among the found ones, −1 where it is not."""
    if not len(found[0]):
        return np.full(len(wanted[0]), -1, np.intp)
    have, want = _packed(found, wanted)
    order = None if (have[1:] >= have[:-1]).all() else np.argsort(have)
    last = len(have) - 1
    place = np.minimum(np.searchsorted(have, want, sorter=order), last)
    if order is not None:
        place = order[place]
    return np.where(have[place] == want, place, -1)


def distinct(numbers: NDArray[_N]) -> NDArray[_N]:
    """Give the different ones of integers, ascending; numpy's own takes five times as long."""
    if not (numbers[1:] >= numbers[:-1]).all():
        numbers = np.sort(numbers)
    first = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers if first.all() else numbers[first]


def _packed(
    found: Sequence[NDArray[Any]], wanted: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each key as one number, in the keys' order."""
    key, room = np.zeros(len(found[0]) + len(wanted[0]), np.int64), 1
    for pair in zip(found, wanted, strict=True):
        column = np.concatenate(pair)
        low, high = (int(column.min()), int(column.max())) if column.dtype.kind in "iu" else (0, -1)
        # Numbers that lie close together need no ranking; of others and of text the rank counts.
        if high < low or room * (high - low + 1) >= _ROOM:
            known, column = np.unique(column, return_inverse=True)
            low, high = 0, len(known) - 1
            if room * len(known) >= _ROOM:
                ranked, key = np.unique(key, return_inverse=True)
                room = len(ranked)
        room *= high - low + 1
        key *= high - low + 1
        key += column
        key -= low
    return key[: len(found[0])], key[len(found[0]) :]


def table(columns: Sequence[Column], interval_seconds: NDArray[np.int32]) -> BlockTable:
    """Make a table of blocks from what the statements of blocks give."""
    channel, starts, version, provenance, values, codes = columns[:6]
    length = np.zeros(len(values), np.int32) if values.length is None else values.length
    padding = np.arange(values.values.shape[1]) >= length[:, None]
    quality_ = np.zeros(values.values.shape, np.int16)
    quality_[:, : codes.values.shape[1]] = codes.values
    quality_[padding] = quality.MISSING
    origins = None
    if len(columns) > 6:
        origins = np.broadcast_to(provenance.values[:, None], values.values.shape).copy()
        rows = ~binary_fields.nulls(columns[6])
        origins[rows, : columns[6].values.shape[1]] = columns[6].values[rows]
    return BlockTable(
        channel_id=channel.values,
        starts_at=starts.values // SECOND,
        interval_seconds=interval_seconds,
        version=version.values,
        provenance_id=provenance.values,
        length=length,
        values=values.values,
        quality=quality_,
        origin=origins,
    )


def aligned(
    blocks: BlockTable, previous: BlockTable, place: NDArray[np.intp]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Lay the previous values and qualities beside the blocks; MISSING where there are none."""
    values = np.zeros_like(blocks.values)
    codes = np.full_like(blocks.quality, quality.MISSING)
    width = min(values.shape[1], previous.values.shape[1])
    known = np.flatnonzero(place >= 0)
    values[known, :width] = previous.values[place[known], :width]
    codes[known, :width] = previous.quality[place[known], :width]
    return values, codes


def origin(
    blocks: BlockTable, previous: BlockTable, place: NDArray[np.intp], provenance_id: int
) -> Column:
    """Keep the origin of each interval that is as it was; NULL where the whole day is new."""
    if previous.origin is None:
        raise ValueError("record needs the previous versions with their origins")
    if not (place >= 0).any():
        rows = len(blocks)
        nothing = np.zeros(rows, np.int32)
        return Column("int8[]", np.zeros((rows, 0), np.int64), nothing, null=nothing == 0)
    values, codes = aligned(blocks, previous, place)
    width = min(values.shape[1], previous.values.shape[1])
    old = np.full(values.shape, provenance_id, np.int64)
    known = np.flatnonzero(place >= 0)
    old[known, :width] = previous.origin[place[known], :width]
    same = (values == blocks.values) & (codes == blocks.quality)
    mixed = np.where(same, old, provenance_id)
    inside = np.arange(values.shape[1]) < blocks.length[:, None]
    whole = ((mixed == provenance_id) | ~inside).all(axis=1)
    return Column("int8[]", mixed, blocks.length, null=whole)


def block_columns(
    blocks: BlockTable, provenance_id: int, recorded_at: datetime
) -> dict[str, Column]:
    """Give the columns that a new version of a day has, but for its number and its origins."""
    inside = np.arange(blocks.values.shape[1]) < blocks.length[:, None]
    all_valid = ~((blocks.quality != quality.VALID) & inside).any(axis=1)
    rows = len(blocks)
    return {
        "channel_id": Column("int4", blocks.channel_id),
        "starts_at": Column("timestamptz", blocks.starts_at * SECOND),
        "recorded_at": binary_fields.constant("timestamptz", microseconds(recorded_at), rows),
        "provenance_id": binary_fields.constant("int8", provenance_id, rows),
        "values": Column("int4[]", blocks.values, blocks.length),
        "quality": Column("int2[]", blocks.quality, blocks.length, null=all_valid),
    }


def taken(blocks: BlockTable, rows: NDArray[np.intp]) -> BlockTable:
    """Choose rows of a table of blocks."""
    return BlockTable(
        channel_id=blocks.channel_id[rows],
        starts_at=blocks.starts_at[rows],
        interval_seconds=blocks.interval_seconds[rows],
        version=blocks.version[rows],
        provenance_id=blocks.provenance_id[rows],
        length=blocks.length[rows],
        values=blocks.values[rows],
        quality=blocks.quality[rows],
        origin=None if blocks.origin is None else blocks.origin[rows],
    )


def rows_of(column: Column, rows: NDArray[np.intp]) -> Column:
    """Choose rows of a column."""
    return replace(
        column,
        values=column.values[rows],
        length=None if column.length is None else column.length[rows],
        null=None if column.null is None else column.null[rows],
    )


def moment(second: int | np.integer[Any]) -> datetime:
    """Give a moment from seconds since 1970."""
    return datetime.fromtimestamp(int(second), UTC)


def microseconds(when: datetime) -> int:
    """Give microseconds since 1970 from a moment."""
    return (when - _EPOCH) // timedelta(microseconds=1)


def with_content(
    blocks: BlockTable, values: NDArray[np.int32], codes: NDArray[np.int16]
) -> BlockTable:
    """Give the same days with other values and qualities."""
    return replace(blocks, values=values, quality=codes, origin=None)
