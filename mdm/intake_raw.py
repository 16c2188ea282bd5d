"""Loads what was read, as columns, for the end devices of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, spans
from schemas import binary_copy, binary_stacks, reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "intake.sql")
_BLOCK: Final = {
    "end_device_id": "int4",
    "reading_type_id": "int2",
    "starts_at": "timestamptz",
    "interval_seconds": "int4",
    "digest": "int8",
    "collected_at": "timestamptz",
}
_VALUES: Final = {'"values"': "int4[]", "quality": "int2[]"}
_REGISTER: Final = {
    "end_device_id": "int4",
    "reading_type_id": "int2",
    "read_at": "timestamptz",
    "value": "int8",
    "quality": "int2",
    "collected_at": "timestamptz",
}


@dataclass(frozen=True, slots=True, eq=False)
class RawBlocks:
    """Raw interval blocks of energy and volume, the least trusted first.

    Of two blocks for the same slots the later row counts: the one that was collected first, then
    the one that starts first.

    Attributes
    ----------
    end_device, reading_type : shape (k,)
    starts_at : shape (k,), int64 [s]
    interval_seconds, length : shape (k,)
    values : shape (k, w), int32, before the multiplier [scaled unit]
    quality : shape (k, w), int16; None when every value of every block is valid
    collected_at : shape (k,), int64 [s]
    """

    end_device: NDArray[np.int32]
    reading_type: NDArray[np.int16]
    starts_at: NDArray[np.int64]
    interval_seconds: NDArray[np.int32]
    length: NDArray[np.int32]
    values: NDArray[np.int32]
    quality: NDArray[np.int16] | None
    collected_at: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_device)

    def rows(self, chosen: NDArray[Any]) -> RawBlocks:
        """Choose rows, in their order."""
        return RawBlocks(
            self.end_device[chosen],
            self.reading_type[chosen],
            self.starts_at[chosen],
            self.interval_seconds[chosen],
            self.length[chosen],
            self.values[chosen],
            None if self.quality is None else self.quality[chosen],
            self.collected_at[chosen],
        )


@dataclass(frozen=True, slots=True, eq=False)
class RawRegisters:
    """Raw readings of counting registers, one for each register and moment, by moment.

    Attributes
    ----------
    end_device, reading_type : shape (k,)
    read_at : shape (k,), int64 [s]
    value : shape (k,), int64, before the multiplier [scaled unit]
    quality : shape (k,), int16
    """

    end_device: NDArray[np.int32]
    reading_type: NDArray[np.int16]
    read_at: NDArray[np.int64]
    value: NDArray[np.int64]
    quality: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.end_device)


def blocks(
    connection: Connection,
    end_devices: NDArray[np.int32],
    start: int,
    end: int,
    *,
    known_at: datetime | None = None,
) -> RawBlocks:
    """Read the raw blocks that have a slot from start to end [s].

    Voltages and other momentary values are no energy: they stay in the raw store only.

    Parameters
    ----------
    known_at : what was collected later is left out; None for nothing
    """
    limits = _limits("delta", start, end, known_at) | spans.limits(end_devices, spans.LONG_ROWS)
    columns = binary_stacks.read(connection, _SQL["raw_blocks"], limits, _BLOCK, _VALUES)
    device, kind, starts, interval, digest, collected, values, codes = columns
    # By digest last, so that the order is the same every time.
    order = np.lexsort((-digest.values, -starts.values, -collected.values))
    order = order[spans.among(end_devices, device.values[order])]
    quality = None
    if codes.values.any():
        quality = np.zeros_like(values.values, np.int16)
        quality[:, : codes.values.shape[1]] = codes.values
        quality = quality[order]
    length = np.zeros(len(values), np.int32) if values.length is None else values.length
    return RawBlocks(
        end_device=device.values[order],
        reading_type=kind.values[order],
        starts_at=starts.values[order] // readings_columns.SECOND,
        interval_seconds=interval.values[order],
        length=length[order],
        values=values.values[order],
        quality=quality,
        collected_at=collected.values[order] // readings_columns.SECOND,
    )


def registers(
    connection: Connection,
    end_devices: NDArray[np.int32],
    start: int,
    end: int,
    *,
    known_at: datetime | None = None,
) -> RawRegisters:
    """Read the raw readings of counting registers from start to end [s], both included.

    Of two different ones for the same register and moment the one collected first counts.

    Parameters
    ----------
    known_at : what was collected later is left out; None for nothing
    """
    found = binary_copy.read_together(
        connection,
        _SQL["raw_registers"],
        _limits("cumulative", start, end, known_at) | spans.limits(end_devices, spans.SHORT_ROWS),
        _REGISTER,
    )
    wanted = spans.among(end_devices, found[0])
    device, kind, read_at, value, quality, collected = (column[wanted] for column in found)
    # By value among those collected together, so that the choice is the same every time.
    rank = np.lexsort((value, -collected)).argsort()
    first = readings_columns.newest(device, kind, read_at, version=rank)
    order = first[np.argsort(read_at[first], kind="stable")]
    return RawRegisters(
        end_device=device[order],
        reading_type=kind[order],
        read_at=read_at[order] // readings_columns.SECOND,
        value=value[order],
        quality=quality[order],
    )


def _limits(
    accumulation: str, start: int, end: int, known_at: datetime | None
) -> dict[str, object]:
    kinds = reading_type.table().values()
    return {
        "other_types": [each.id for each in kinds if each.accumulation != accumulation],
        "start": readings_columns.moment(start),
        "end": readings_columns.moment(end),
        "known_at": known_at or "infinity",
    }
