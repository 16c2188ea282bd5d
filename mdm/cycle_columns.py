"""COPY of what belongs to determinant sets, as columns: thousands of rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.determinants.registers import Span
from schemas import binary_copy, binary_fields, binary_numeric
from schemas.binary_fields import Column
from schemas.database import Connection

Blocks = tuple[NDArray[np.int64], NDArray[np.int32]]
# The registry keeps multipliers to six decimals.
_MULTIPLIER = 6


def sets(
    connection: Connection,
    shared: Mapping[str, int | str | datetime],
    own: Mapping[str, Sequence[int] | Sequence[str]],
    rule_sets: Sequence[str],
) -> None:
    """COPY determinant sets.

    Parameters
    ----------
    shared, own : columns that all sets have alike, and those that each has its own of
    rule_sets : of all of them
    """
    rows = len(own["id"])
    columns = {
        "rule_sets": Column("raw", np.full(rows, binary_fields.text_array(rule_sets))),
    }
    for name, value in shared.items():
        if isinstance(value, datetime):
            moment = readings_columns.microseconds(value)
            columns[name] = binary_fields.constant("timestamptz", moment, rows)
        else:
            type_ = "text" if isinstance(value, str) else "int4"
            columns[name] = binary_fields.constant(type_, value, rows)
    for name, values in own.items():
        if isinstance(values[0], str):
            texts = [str(value).encode() for value in values]
            columns[name] = Column("text", np.array(texts, "S"))
        else:
            columns[name] = Column("int8" if name == "id" else "int4", np.array(values, np.int64))
    binary_copy.write(connection, "determinant_set", columns)


def interval_inputs(
    connection: Connection, blocks: Sequence[tuple[int, Mapping[int, Blocks]]]
) -> None:
    """COPY the versions of blocks that sets name.

    Parameters
    ----------
    blocks : determinant set, and starts [s since 1970-01-01 UTC] and versions by channel
    """
    flat = [(one, channel, *named) for one, by in blocks for channel, named in by.items()]
    if not flat:
        return
    length = np.array([len(starts) for _, _, starts, _ in flat], np.int32)
    columns = {
        "determinant_set_id": Column("int8", np.array([row[0] for row in flat], np.int64)),
        "channel_id": Column("int4", np.array([row[1] for row in flat], np.int32)),
        "starts_at": _lists("timestamptz[]", [row[2] for row in flat], length),
        "version": _lists("int4[]", [row[3] for row in flat], length),
    }
    binary_copy.write(connection, "determinant_interval_input", columns)


def register_inputs(
    connection: Connection, spans: Sequence[tuple[int, Sequence[Span]]], register: str = ""
) -> None:
    """COPY the installations and the versions of readings that sets name.

    Parameters
    ----------
    register : reading type of a further register; empty for the tariff's own
    """
    flat = [(one, span.stretch, span.start, span.end) for one, several in spans for span in several]
    if not flat:
        return
    stretches = [row[1] for row in flat]
    multipliers = [int(s.multiplier.scaleb(_MULTIPLIER)) for s in stretches]
    columns = {
        "determinant_set_id": Column("int8", np.array([row[0] for row in flat], np.int64)),
        "installation_id": _whole("int4", [s.installation_id for s in stretches]),
        "channel_id": _whole("int4", [s.channel_id for s in stretches]),
        "end_device": Column("text", np.array([s.end_device.encode() for s in stretches], "S")),
        "interval_seconds": _whole("int4", [s.interval_seconds for s in stretches]),
        "multiplier": Column(
            "raw", binary_numeric.encoded(np.array(multipliers, np.int64), _MULTIPLIER)
        ),
        "register_modulus": _whole("int8", [s.modulus for s in stretches]),
        "starts_at": _moments(np.array([s.starts_at for s in stretches], np.int64)),
        "ends_at": _moments(np.array([s.ends_at for s in stretches], np.int64)),
        "register": binary_fields.constant("text", register, len(flat)),
    }
    for side, place in (("start", 2), ("end", 3)):
        found: list[Any] = [row[place] for row in flat]
        read_at = [r.read_at * readings_columns.SECOND if r else None for r in found]
        columns[f"{side}_read_at"] = _whole("timestamptz", read_at)
        columns[f"{side}_version"] = _whole("int4", [r.version if r else None for r in found])
    binary_copy.write(connection, "determinant_register_input", columns)


def _moments(seconds: NDArray[np.int64]) -> Column:
    return Column("timestamptz", seconds * readings_columns.SECOND)


def _whole(type_: str, numbers: Sequence[int | None]) -> Column:
    """Make a column of integers of which some may be absent."""
    null = np.array([number is None for number in numbers], np.bool_)
    return Column(type_, np.array([number or 0 for number in numbers], np.int64), null=null)


def _lists(type_: str, lists: Sequence[NDArray[Any]], length: NDArray[np.int32]) -> Column:
    """Make a column of arrays."""
    width = int(length.max())
    values = np.zeros((len(lists), width), np.int64)
    values[np.arange(width) < length[:, None]] = np.concatenate(lists)
    scale = readings_columns.SECOND if type_ == "timestamptz[]" else 1
    return Column(type_, values * scale, length)
