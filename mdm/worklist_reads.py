"""A finding about a register, as a person sees it: the reads around it, one a line."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from mdm import readings, readings_columns
from mdm.worklist import Item
from mdm.worklist_days import WorklistError
from schemas import quality
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass

# A year of monthly reads before, two months after.
_BEFORE: Final = timedelta(days=370)
_AFTER: Final = timedelta(days=62)
_MOST: Final = 40

Read = tuple[int, int | None, int]
"""Moment [s], what the register showed before the multiplier (None where it is missing), code."""


def around(connection: Connection, item: Item) -> list[Read]:
    """Give the reads around a finding, oldest first, at most 40 that end with it or soon after.

    Raises
    ------
    WorklistError
        if the record has none any more.
    """
    period = Period(item.starts_at - _BEFORE, item.ends_at + _AFTER)
    table = readings.registers(connection, [item.channel_id], period)
    if not len(table):
        raise WorklistError(f"finding {item.id}: no read of {item.usage_point} is there any more")
    missing = quality.classes(table.quality) == QualityClass.MISSING
    rows = [
        (at, None if gone else value, code)
        for at, value, code, gone in zip(
            table.read_at.tolist(), table.value.tolist(), table.quality.tolist(), missing.tolist(),
            strict=True,
        )
    ]  # fmt: skip
    end = int(readings_columns.microseconds(item.ends_at)) // readings_columns.SECOND
    close = sorted(rows, key=lambda row: abs(row[0] - end))[:_MOST]
    return sorted(close)
