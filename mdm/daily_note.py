"""Notes days that got a new version, so that ``daily_due`` sums them for billing."""

from __future__ import annotations

from typing import Final

import numpy as np

from schemas import binary_copy, statements
from schemas.database import Connection
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "daily_note.sql")
# Channels in one note, so that whoever takes it has a small step to do.
_NOTED: Final = 1000
# Where channels have days of more different stretches than this, one that covers all is noted.
_STRETCHES: Final = 16


def note(connection: Connection, blocks: BlockTable) -> None:
    """Note channels and their days, those of one stretch together: a row for a thousand channels.

    Parameters
    ----------
    blocks : days that have just got a new version
    """
    if not len(blocks):
        return
    channel, starts = blocks.channel_id, blocks.starts_at
    ends = starts + blocks.length.astype(np.int64) * blocks.interval_seconds
    if not (channel[1:] >= channel[:-1]).all():
        order = np.argsort(channel, kind="stable")
        channel, starts, ends = channel[order], starts[order], ends[order]
    first = np.flatnonzero(np.concatenate([[True], channel[1:] != channel[:-1]]))
    since, until = np.minimum.reduceat(starts, first), np.maximum.reduceat(ends, first)
    if (since == since[0]).all() and (until == until[0]).all():
        # Nearly always: a run's days are of one date. Sorting pairs takes ten times as long.
        stretches, group = np.array([[since[0], until[0]]]), np.zeros(len(first), np.int64)
    else:
        pairs = np.stack([since, until], axis=1)
        stretches, group = np.unique(pairs, axis=0, return_inverse=True)
    if len(stretches) > _STRETCHES:
        stretches, group = np.array([[since.min(), until.max()]]), np.zeros(len(first), np.int64)
    for number, (start, end) in enumerate(stretches.tolist()):
        mine = channel[first][group.ravel() == number]
        for at in range(0, len(mine), _NOTED):
            part = binary_copy.array(mine[at : at + _NOTED])
            connection.execute(_SQL["note"], {"channels": part, "start": start, "end": end})
