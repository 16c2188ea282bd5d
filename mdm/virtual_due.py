"""Notes what depends on days that got a new version.

Virtual channels are computed again; meters with a check meter, and those flows of a node of which
something is in doubt, are validated again.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache

import numpy as np

from schemas import binary_copy, quality, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "virtual_due.sql")


def note(connection: Connection, blocks: BlockTable, *, now: datetime) -> None:
    """Have what depends on some days computed or validated again.

    Where nothing is virtual and nothing has a check meter, it costs one short question. Balances
    count where a rule set that has been used estimates from them.

    Parameters
    ----------
    blocks : days that have just got a new version
    """
    if not len(blocks):
        return
    ((virtual, checked, balanced),) = connection.execute(_SQL["anything"])
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
    if balanced:
        connection.execute(_SQL["note_balanced"], {**limits, "now": now, "doubts": _doubts()})


@cache
def _doubts() -> list[int]:
    """Give the codes of values that another estimate may take the place of."""
    kinds = quality.class_table()
    open_ = (kinds == QualityClass.MISSING) | (kinds == QualityClass.ESTIMATED)
    open_[list(quality.BY_PEOPLE)] = False
    return [int(code) for code in np.flatnonzero(open_)]
