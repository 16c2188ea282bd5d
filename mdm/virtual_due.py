"""Notes what depends on days that got a new version: virtual channels, and meters with a check."""

from __future__ import annotations

from datetime import datetime

from schemas import binary_copy, statements
from schemas.database import Connection
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "virtual_due.sql")


def note(connection: Connection, blocks: BlockTable, *, now: datetime) -> None:
    """Have what depends on some days computed or validated again.

    Where nothing is virtual and nothing has a check meter, it costs one short question.

    Parameters
    ----------
    blocks : days that have just got a new version
    """
    if not len(blocks):
        return
    ((virtual, checked),) = connection.execute(_SQL["anything"])
    if not virtual and not checked:
        return
    ends = blocks.starts_at + blocks.length.astype("int64") * blocks.interval_seconds
    limits = {
        "channels": binary_copy.array(blocks.channel_id),
        "starts": binary_copy.array(blocks.starts_at),
        "ends": binary_copy.array(ends),
    }
    if virtual:
        connection.execute(_SQL["note_virtual"], limits)
    if checked:
        connection.execute(_SQL["note_checked"], {**limits, "now": now})
