"""What is known of channels' recorded days without reading them: unbroken since when, and bounds.

A stretch holds what every rule that looks far back needs of a day that is plainly as usual. It is
kept in the transaction that records days. What is not certain any more is dropped; a run that reads
the days themselves makes it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, spans
from schemas import binary_copy, statements
from schemas.database import Connection
from schemas.reading import BlockTable
from validation import standing

_SQL = statements.load("mdm", "readings_stretch.sql")
_COLUMNS: Final = {
    "channel_id": "int4",
    "clear_from": "timestamptz",
    "starts_at": "timestamptz",
    "lowest": "int8",
    "highest": "int8",
}
# Bounds of no day at all: every sum is within.
NO_LOWEST: Final = 1 << 61
NO_HIGHEST: Final = -NO_LOWEST


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Stretches of channels that have one, by channel.

    Attributes
    ----------
    channel_id : shape (k,), ascending
    clear_from, starts_at : shape (k,), int64 [s]; nothing is recorded between the two, and every
        day from the second to the channel's last
    lowest, highest : shape (k,), int64, bounds of the sums of days measured in full [scaled unit]
    """

    channel_id: NDArray[np.int32]
    clear_from: NDArray[np.int64]
    starts_at: NDArray[np.int64]
    lowest: NDArray[np.int64]
    highest: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.channel_id)

    def rows_of(self, channel_id: NDArray[Any]) -> NDArray[np.intp]:
        """Give the row of each channel, −1 where it has none."""
        return readings_columns.places((self.channel_id,), (channel_id,))


def of(connection: Connection, channel_id: NDArray[Any]) -> Stretches:
    """Read the stretches of channels."""
    ids = readings_columns.distinct(np.asarray(channel_id, np.int32))
    limits = spans.limits(ids, spans.SHORT_ROWS)
    found = binary_copy.read_together(connection, _SQL["stretches"], limits, _COLUMNS)
    order = np.argsort(found[0])
    order = order[spans.among(ids, found[0][order])]
    channel, clear, starts, lowest, highest = (column[order] for column in found)
    second = readings_columns.SECOND
    return Stretches(channel, clear // second, starts // second, lowest, highest)


def sums(
    values: NDArray[Any], codes: NDArray[np.int16], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give the sums of days, and which days are measured in full.

    Parameters
    ----------
    values, codes : shape (…, n) [scaled unit]
    inside : False at the padding past a day's length; shape as they have, or (…, n) of it
    """
    bad = (standing.table()[codes] & standing.HISTORY == 0) & inside
    return np.where(inside, values, 0).sum(axis=-1, dtype=np.int64), ~bad.any(axis=-1)


def follow(
    connection: Connection, blocks: BlockTable, new: NDArray[np.bool_], *, joined: bool
) -> None:
    """Bring stretches in step with versions that have just been recorded.

    Parameters
    ----------
    new : shape (k,), days that were not recorded before
    joined : whether the new days are known to follow on the recorded ones without a hole
    """
    known = of(connection, readings_columns.distinct(blocks.channel_id))
    if not len(known):
        return
    row = known.rows_of(blocks.channel_id)
    lost = (row >= 0) & ((new & (not joined)) | (blocks.starts_at < known.starts_at[row]))
    if lost.any():
        drop(connection, readings_columns.distinct(blocks.channel_id[lost]))
    inside = np.arange(blocks.values.shape[1]) < blocks.length[:, None]
    total, sound = sums(blocks.values, blocks.quality, inside)
    beyond = (row >= 0) & ~lost & sound
    beyond &= (total < known.lowest[row]) | (total > known.highest[row])
    if not beyond.any():
        return
    channel = readings_columns.distinct(blocks.channel_id[beyond])
    lowest, highest = bounds(
        len(channel), np.searchsorted(channel, blocks.channel_id[beyond]), total[beyond]
    )
    limits = {
        "channels": binary_copy.array(channel),
        "lowest": binary_copy.array(lowest),
        "highest": binary_copy.array(highest),
    }
    connection.execute(_SQL["widen_stretches"], limits)


def bounds(
    count: int, row: NDArray[np.intp], total: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the lowest and the highest of the sums of each row, shape (count,)."""
    lowest, highest = np.full(count, NO_LOWEST), np.full(count, NO_HIGHEST)
    np.minimum.at(lowest, row, total)
    np.maximum.at(highest, row, total)
    return lowest, highest


def drop(connection: Connection, channel_id: NDArray[Any]) -> None:
    """Forget the stretches of channels."""
    connection.execute(_SQL["drop_stretches"], {"channels": binary_copy.array(channel_id)})


def keep(connection: Connection, stretches: Stretches, clear_from: int) -> None:
    """Write stretches down, in place of those that their channels had."""
    if not len(stretches):
        return
    limits = {
        "channels": binary_copy.array(stretches.channel_id),
        "starts": binary_copy.array(stretches.starts_at),
        "lowest": binary_copy.array(stretches.lowest),
        "highest": binary_copy.array(stretches.highest),
        "clear_from": clear_from,
    }
    connection.execute(_SQL["keep_stretches"], limits)
