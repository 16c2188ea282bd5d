"""Blocks of a whole period for bills: ``readings.current``, a month of thousands at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from schemas import binary_copy, binary_fields, binary_octets, quality, statements
from schemas.binary_rows import Message
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "cycle_blocks.sql")
# At least so many of the channels of a range must be wanted for all of it to be read.
_DENSE: Final = 0.8
NOTHING: Final = BlockTable(
    *(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32)),
    *(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32)),
    *(np.empty((0, 0), np.int32), np.empty((0, 0), np.int16)),
)
"""No block at all."""


def current(
    connection: Connection, channel_ids: Sequence[int], period: Period, *, known_at: datetime
) -> BlockTable:
    """Give the newest version of each local day that starts in a period, in any order.

    Parameters
    ----------
    channel_ids : ascending
    known_at : versions recorded after this moment are left out
    """
    wanted = np.array(channel_ids, np.int64)
    limits: dict[str, object] = {"start": period.start, "end": period.end, "known_at": known_at}
    rows: Sequence[Message] = []
    if dense(wanted):
        limits |= {"first": int(wanted[0]), "last": int(wanted[-1])}
        rows = binary_copy.rows(connection, _SQL["blocks_of_range"], limits)
    elif len(wanted):
        limits["channels"] = binary_copy.array(wanted)
        rows = binary_copy.rows(connection, _SQL["blocks"], limits)
    found = binary_octets.decode(rows, (">i4", ">i8", ">i4", ">i8"), ("i4", "i2"))
    channel, starts, version, provenance = found.scalars
    starts = (starts + binary_fields.EPOCH) // readings_columns.SECOND
    values, codes = found.arrays
    if (found.length < values.shape[1]).any():
        codes[np.arange(values.shape[1]) >= found.length[:, None]] = quality.MISSING
    table = BlockTable(
        channel_id=channel.astype(np.int32),
        starts_at=starts,
        interval_seconds=_intervals(connection, wanted, channel),
        version=version.astype(np.int32),
        provenance_id=provenance,
        length=found.length,
        values=values,
        quality=codes,
    )
    return _newest(table, wanted)


def dense(channels: NDArray[np.int64]) -> bool:
    """Tell whether channels stand so close together that all between them may be read as well."""
    return len(channels) > 0 and len(channels) >= _DENSE * int(channels[-1] - channels[0] + 1)


def _newest(table: BlockTable, wanted: NDArray[np.int64]) -> BlockTable:
    """Leave out older versions, and what nobody asked for."""
    if (table.version > 1).any():
        kept = readings_columns.newest(table.channel_id, table.starts_at, version=table.version)
        table = readings_columns.taken(table, kept)
    ours = np.isin(table.channel_id, wanted)
    return table if ours.all() else readings_columns.taken(table, np.flatnonzero(ours))


def _intervals(
    connection: Connection, wanted: NDArray[np.int64], channel: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Look the interval length of each row's channel up; 0 for one that nobody asked for."""
    if not len(channel):
        return np.empty(0, np.int32)
    limits = {"channels": binary_copy.array(wanted)}
    row = connection.execute(_SQL["intervals"], limits).fetchone()
    assert row is not None  # noqa: S101  # an aggregate without groups has one row
    known, seconds = np.array(row[0], np.int64), np.array(row[1], np.int32)
    place = np.minimum(np.searchsorted(known, channel), len(known) - 1)
    return np.where(known[place] == channel, seconds[place], np.int32(0))
