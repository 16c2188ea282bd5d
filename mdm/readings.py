"""The final record: versions of local days and of register readings, as of any moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from mdm import daily_note, readings_columns, readings_stretch, spans, virtual_due
from schemas import binary_copy, binary_fields, binary_stacks, statements
from schemas.binary_fields import Column
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "readings.sql")
_BLOCK: Final = {
    "channel_id": "int4",
    "starts_at": "timestamptz",
    "version": "int4",
    "provenance_id": "int8",
}
_ARRAYS: Final = {'"values"': "int4[]", "quality": "int2[]"}
_ORIGIN: Final = {**_ARRAYS, "origin": "int8[]"}
_REGISTER: Final = {
    "channel_id": "int4",
    "installation_id": "int4",
    "read_at": "timestamptz",
    "version": "int4",
    "value": "int8",
    "quality": "int2",
}
_SOFTWARE: Final = f"miqyas {metadata.version('miqyas')}"
NOTHING: Final = BlockTable(
    *(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32)),
    *(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.int32)),
    *(np.empty((0, 0), np.int32), np.empty((0, 0), np.int16)),
)
"""No block at all."""


@dataclass(frozen=True, slots=True, eq=False)
class RegisterTable:
    """Many final register readings as columns, one row a reading.

    Attributes
    ----------
    channel_id : shape (k,), int32
    installation_id : shape (k,), int32
    read_at : shape (k,), int64 [s since 1970-01-01 UTC]
    version : shape (k,), int32
    value : shape (k,), int64, as the register showed it, before the multiplier [scaled unit]
    quality : shape (k,), int16
    """

    channel_id: NDArray[np.int32]
    installation_id: NDArray[np.int32]
    read_at: NDArray[np.int64]
    version: NDArray[np.int32]
    value: NDArray[np.int64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.channel_id)


def current(
    connection: Connection,
    channel_ids: Sequence[int] | NDArray[Any],
    period: Period,
    *,
    known_at: datetime | None = None,
    origins: bool = False,
) -> BlockTable:
    """Give the newest version of each local day that starts in a period.

    Parameters
    ----------
    known_at : versions recorded after this moment are left out; None for none
    origins : whether to read each interval's provenance too

    Returns
    -------
    blocks by channel and start
    """
    ids = _distinct(channel_ids)
    limits = _limits(period, known_at) | spans.limits(ids, spans.LONG_ROWS)
    statement, arrays = ("blocks_with_origin", _ORIGIN) if origins else ("blocks", _ARRAYS)
    columns = binary_stacks.read(connection, _SQL[statement], limits, _BLOCK, arrays)
    kept = readings_columns.newest(columns[0].values, columns[1].values, version=columns[2].values)
    kept = kept[spans.among(ids, columns[0].values[kept])]
    return _table(connection, [readings_columns.rows_of(column, kept) for column in columns])


def named(
    connection: Connection,
    channel_id: NDArray[Any],
    starts_at: NDArray[Any],
    version: NDArray[Any],
) -> BlockTable:
    """Give exactly these versions, in this order.

    Parameters
    ----------
    channel_id, starts_at, version : shape (k,), as in ``BlockTable``

    Raises
    ------
    KeyError
        naming the first version that is gone.
    """
    moments = [readings_columns.moment(second) for second in starts_at]
    parameters = {
        "channels": channel_id.tolist(),
        "starts": moments,
        "versions": version.tolist(),
        "start": min(moments, default=readings_columns.moment(0)),
        "end": max(moments, default=readings_columns.moment(0)),
    }
    columns = binary_stacks.read(connection, _SQL["named_blocks"], parameters, _BLOCK, _ARRAYS)
    found = (columns[0].values, columns[1].values // readings_columns.SECOND, columns[2].values)
    wanted = (channel_id, starts_at, version)
    place = readings_columns.places(found, wanted)
    if (place < 0).any():
        lost = int(np.flatnonzero(place < 0)[0])
        raise KeyError(
            f"version {version[lost]} of channel {channel_id[lost]}, day of {moments[lost]}, "
            "is not in the record; was its chunk dropped?"
        )
    return _table(connection, [readings_columns.rows_of(column, place) for column in columns])


def registers(
    connection: Connection,
    channel_ids: Sequence[int] | NDArray[Any],
    period: Period,
    *,
    known_at: datetime | None = None,
) -> RegisterTable:
    """Give the newest version of each register reading from start to end, both included.

    Returns
    -------
    readings by channel, moment and installation
    """
    ids = _distinct(channel_ids)
    limits = _limits(period, known_at) | spans.limits(ids, spans.SHORT_ROWS)
    found = binary_copy.read_together(connection, _SQL["registers"], limits, _REGISTER)
    wanted = spans.among(ids, found[0])
    channel, installation, read_at, version, value, code = (column[wanted] for column in found)
    kept = readings_columns.newest(channel, read_at, installation, version=version)
    return RegisterTable(
        channel[kept],
        installation[kept],
        read_at[kept] // readings_columns.SECOND,
        version[kept],
        value[kept],
        code[kept],
    )


def lock(connection: Connection, channel_ids: Sequence[int]) -> None:
    """Keep others from making versions of channels until the transaction ends.

    The lock is on their usage points, as validation runs take it.
    """
    connection.execute(_SQL["lock_channels"], {"channels": list(channel_ids)})


def add_provenance(
    connection: Connection,
    kind: Literal["vee", "edit", "accept", "virtual"],
    *,
    recorded_at: datetime,
    rule_set: str | None = None,
    rule_set_digest: str | None = None,
    person: str | None = None,
    reason: str | None = None,
) -> int:
    """Write down who or what makes versions, and why; give its id.

    Raises
    ------
    psycopg.errors.CheckViolation
        if a person's change has no person or no reason.
    """
    (made,) = connection.execute(
        _SQL["add_provenance"],
        {
            "kind": kind,
            "recorded_at": recorded_at,
            "rule_set": rule_set,
            "rule_set_digest": rule_set_digest,
            "software": _SOFTWARE,
            "person": person,
            "reason": reason,
        },
    )
    return int(made[0])


def differing(blocks: BlockTable, previous: BlockTable) -> NDArray[np.bool_]:
    """Tell which blocks are new or differ from the version before, shape (k,)."""
    if not len(previous):
        return np.ones(len(blocks), np.bool_)
    place = readings_columns.places(
        (previous.channel_id, previous.starts_at), (blocks.channel_id, blocks.starts_at)
    )
    values, codes = readings_columns.aligned(blocks, previous, place)
    same = (values == blocks.values) & (codes == blocks.quality)
    return np.asarray((place < 0) | ~same.all(axis=1))


def record(
    connection: Connection,
    blocks: BlockTable,
    *,
    provenance_id: int,
    recorded_at: datetime,
    previous: BlockTable | None = None,
    joined: bool = False,
) -> int:
    """Make a new version of every day whose content changed; give how many there were.

    An interval that is as it was keeps its origin: the provenance of the version that first had it
    so. A day that is as it was makes no version. The ``version`` and ``provenance_id`` of the
    blocks count for nothing.

    Parameters
    ----------
    previous : the newest versions of these days with their origins, if the caller has them
    joined : whether the caller knows that new days follow on recorded ones without a hole

    Raises
    ------
    psycopg.errors.UniqueViolation
        if somebody else made a version at the same time; ``lock`` keeps that from happening.
    """
    if previous is None:
        previous = _before(connection, blocks)
    changed = np.flatnonzero(differing(blocks, previous))
    if not len(changed):
        return 0
    kept = readings_columns.taken(blocks, changed)
    place = readings_columns.places(
        (previous.channel_id, previous.starts_at), (kept.channel_id, kept.starts_at)
    )
    version = np.where(place < 0, 0, previous.version[place]) + 1 if len(previous) else 1
    columns = readings_columns.block_columns(kept, provenance_id, recorded_at)
    columns["version"] = Column("int4", np.broadcast_to(version, len(kept)))
    columns["origin"] = readings_columns.origin(kept, previous, place, provenance_id)
    binary_copy.write(connection, "interval_block", columns)
    readings_stretch.follow(connection, kept, place < 0, joined=joined)
    virtual_due.note(connection, kept, now=recorded_at)
    daily_note.note(connection, kept)
    return len(kept)


def unrecorded(connection: Connection, table: RegisterTable) -> RegisterTable:
    """Choose the register readings that are new or differ; with the versions they would get."""
    if not len(table):
        return table
    first, last = table.read_at.min(), table.read_at.max()
    period = Period(readings_columns.moment(first), readings_columns.moment(last))
    before = registers(connection, readings_columns.distinct(table.channel_id), period)
    place = readings_columns.places(
        (before.channel_id, before.read_at, before.installation_id),
        (table.channel_id, table.read_at, table.installation_id),
    )
    known, at = place >= 0, place[place >= 0]
    version = np.ones(len(table), np.int32)
    version[known] = before.version[at] + 1
    new = ~known
    new[known] = before.value[at] != table.value[known]
    new[known] |= before.quality[at] != table.quality[known]
    return RegisterTable(
        table.channel_id[new],
        table.installation_id[new],
        table.read_at[new],
        version[new],
        table.value[new],
        table.quality[new],
    )


def record_registers(
    connection: Connection,
    table: RegisterTable,
    *,
    provenance_id: int,
    recorded_at: datetime,
    known: bool = False,
) -> int:
    """Make a new version of every register reading that is new or differs; give how many.

    Parameters
    ----------
    known : whether the table is what ``unrecorded`` gave
    """
    new = table if known else unrecorded(connection, table)
    rows = len(new)
    if rows:
        stamp = readings_columns.microseconds(recorded_at)
        columns = {
            "channel_id": Column("int4", new.channel_id),
            "installation_id": Column("int4", new.installation_id),
            "read_at": Column("timestamptz", new.read_at * readings_columns.SECOND),
            "version": Column("int4", new.version),
            "recorded_at": binary_fields.constant("timestamptz", stamp, rows),
            "provenance_id": binary_fields.constant("int8", provenance_id, rows),
            "value": Column("int8", new.value),
            "quality": Column("int2", new.quality),
        }
        binary_copy.write(connection, "register_reading", columns)
    return rows


def _limits(period: Period, known_at: datetime | None) -> dict[str, object]:
    return {"start": period.start, "end": period.end, "known_at": known_at or "infinity"}


def _distinct(channel_ids: Sequence[int] | NDArray[Any]) -> NDArray[np.int32]:
    return readings_columns.distinct(np.asarray(channel_ids, np.int32))


def _before(connection: Connection, blocks: BlockTable) -> BlockTable:
    """Read the newest versions of the days that are to be recorded."""
    first, last = (blocks.starts_at.min(), blocks.starts_at.max()) if len(blocks) else (0, 0)
    period = Period(readings_columns.moment(first), readings_columns.moment(last + 1))
    return current(connection, readings_columns.distinct(blocks.channel_id), period, origins=True)


def _table(connection: Connection, columns: Sequence[Column]) -> BlockTable:
    return readings_columns.table(columns, _intervals(connection, columns[0].values))


def _intervals(connection: Connection, channel_id: NDArray[Any]) -> NDArray[np.int32]:
    """Look the interval length of each row's channel up."""
    distinct = readings_columns.distinct(channel_id)
    place = np.searchsorted(distinct, channel_id)
    if not len(distinct):
        return np.empty(0, np.int32)
    limits = {"channels": binary_copy.array(distinct)}
    rows = connection.execute(_SQL["channel_intervals"], limits)
    return np.array([row[1] for row in rows], np.int32)[place]
