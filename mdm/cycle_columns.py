"""COPY of what belongs to determinant sets, as columns: thousands of rows at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.determinants.pages import Pages
from mdm.determinants.registers import Span
from schemas import binary_copy, binary_fields, binary_numeric, reading_type
from schemas.binary_fields import Column
from schemas.database import Connection

Blocks = tuple[NDArray[np.int64], NDArray[np.int32]]
_COUNTS = ("actual", "questionable", "missing", "estimated", "edited")
# The registry keeps multipliers to six decimals.
_MULTIPLIER = 6


def determinants(
    connection: Connection, pages: Pages, rows: Sequence[int], sets: Sequence[int]
) -> None:
    """COPY the determinants of pages.

    Parameters
    ----------
    rows, sets : of the pages, and the determinant sets that they belong to
    """
    chosen, ids, lines = np.array(rows, np.intp), np.array(sets, np.int64), len(pages.headings)
    kinds = [reading_type.named(h.reading_type).id for h in pages.headings]
    units = [
        binary_numeric.encoded(pages.units[chosen, line], heading.rounding.places)
        for line, heading in enumerate(pages.headings)
    ]
    count = len(ids)

    def text(words: Iterable[str]) -> Column:
        return Column("text", np.repeat(np.array([w.encode() for w in words], "S"), count))

    columns = {
        "determinant_set_id": Column("int8", np.tile(ids, lines)),
        "position": Column("int2", np.repeat(np.arange(1, lines + 1), count)),
        "name": text(h.name for h in pages.headings),
        "reading_type_id": Column("int2", np.repeat(kinds, count)),
        "part": text(h.part for h in pages.headings),
        "value": Column("raw", np.concatenate(units)),
        "unit": text(h.unit for h in pages.headings),
        "starts_at": _moments(pages.starts_at[chosen].T.ravel()),
        "ends_at": _moments(pages.ends_at[chosen].T.ravel()),
        "rounding": text(str(h.rounding) for h in pages.headings),
        "note": text(h.note for h in pages.headings),
    }
    for index, name in enumerate(_COUNTS):
        columns[name] = Column("int4", pages.counts[chosen, :, index].T.ravel())
    binary_copy.write(connection, "determinant", columns)


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
