"""Interval blocks made ready for the raw store: cut at midnight UTC, held to 32 bits, digested."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from schemas import quality
from schemas.reading import IntervalBlock

_DAY = 86_400
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Overflow:
    """A value that the store's 32 bits cannot hold."""

    reading_type: str
    starts_at: datetime
    value: int


def cut(block: IntervalBlock) -> list[IntervalBlock]:
    """Cut a block at every 00:00 UTC, by the starts of its intervals."""
    first = int(block.start.timestamp())
    last = first + (len(block) - 1) * block.interval_seconds
    if first // _DAY == last // _DAY:
        return [block]
    days = (first + np.arange(len(block), dtype=np.int64) * block.interval_seconds) // _DAY
    edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(block)]
    return [_part(block, a, b) for a, b in pairwise(edges)]


def fit(block: IntervalBlock) -> tuple[IntervalBlock, list[Overflow]]:
    """Replace values that 32 bits cannot hold by MISSING ones; give what was replaced."""
    bad = (block.values < _INT32.min) | (block.values > _INT32.max)
    if not bad.any():
        return block, []
    codes = np.zeros(len(block), np.int16) if block.quality is None else block.quality.copy()
    codes[bad] = quality.MISSING
    found = [
        Overflow(block.reading_type, _starts_at(block, i), int(block.values[i]))
        for i in np.flatnonzero(bad).tolist()
    ]
    return replace(block, values=np.where(bad, 0, block.values), quality=codes), found


def digest(block: IntervalBlock) -> int:
    """Give a stable signed 64-bit digest of interval length, values and quality.

    Quality codes that are all valid and no quality codes are the same.
    """
    state = hashlib.blake2b(block.interval_seconds.to_bytes(8, "little"), digest_size=8)
    state.update(np.ascontiguousarray(block.values, dtype="<i8").tobytes())
    if block.quality is not None and block.quality.any():
        state.update(np.ascontiguousarray(block.quality, dtype="<i2").tobytes())
    return int.from_bytes(state.digest(), "little", signed=True)


def _part(block: IntervalBlock, start: int, end: int) -> IntervalBlock:
    codes = None if block.quality is None else block.quality[start:end]
    return replace(
        block, start=_starts_at(block, start), values=block.values[start:end], quality=codes
    )


def _starts_at(block: IntervalBlock, index: int) -> datetime:
    return block.start + timedelta(seconds=block.interval_seconds * index)
