"""Readings: interval blocks and register readings, the values that cross every border."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from schemas.period import Period


@dataclass(frozen=True, slots=True, eq=False)
class IntervalBlock:
    """One channel's equal intervals in a row (IEC 61968-9 IntervalBlock).

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    start : start of the first interval, aware, UTC
    interval_seconds : length of each interval [s]
    values : shape (n,) [the reading type's scaled unit]
    quality : shape (n,), codes of ``schemas.quality``; None when all are valid
    annotation : what the source said beside the values (reason codes, status texts)

    Raises
    ------
    ValueError
        if shapes differ, the block is empty or the interval is not positive.
    """

    reading_type: str
    start: datetime
    interval_seconds: int
    values: NDArray[np.int64]
    quality: NDArray[np.int16] | None = None
    annotation: str | None = None

    def __post_init__(self) -> None:
        if self.interval_seconds <= 0 or self.values.ndim != 1 or not len(self.values):
            raise ValueError(f"{self.reading_type}: a block has 1…n values of a positive length")
        if self.quality is not None and self.quality.shape != self.values.shape:
            raise ValueError(f"{self.reading_type}: one quality code a value, or none at all")

    @property
    def period(self) -> Period:
        """The stretch of time that the block covers."""
        return Period(self.start, self.start + timedelta(seconds=self.interval_seconds * len(self)))

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class RegisterReading:
    """One register's value at one moment.

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    read_at : the moment the value belongs to, aware, UTC
    value : [the reading type's scaled unit], before any multiplier
    quality : code of ``schemas.quality``
    modulus : where the register starts again from 0 [scaled unit]; None if its driver does not know
    """

    reading_type: str
    read_at: datetime
    value: int
    quality: int = quality.VALID
    modulus: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class BlockTable:
    """Many final interval blocks as columns, one row a block.

    Attributes
    ----------
    channel_id : shape (k,), int32
    starts_at : shape (k,), int64 [s since 1970-01-01 UTC]
    interval_seconds : shape (k,), int32 [s]
    version : shape (k,), int32
    provenance_id : shape (k,), int64
    length : shape (k,), int32, intervals in the block
    values : shape (k, w), int32 [scaled unit]; columns at or past ``length`` are 0
    quality : shape (k, w), int16; columns at or past ``length`` are MISSING
    origin : shape (k, w), int64, provenance of each interval; None where it was not asked for
    """

    channel_id: NDArray[np.int32]
    starts_at: NDArray[np.int64]
    interval_seconds: NDArray[np.int32]
    version: NDArray[np.int32]
    provenance_id: NDArray[np.int64]
    length: NDArray[np.int32]
    values: NDArray[np.int32]
    quality: NDArray[np.int16]
    origin: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.channel_id)
