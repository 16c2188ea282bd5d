"""What is installed at the usage points of a batch, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, spans
from schemas import binary_copy, reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "intake.sql")
FOREVER: Final = np.iinfo(np.int64).max // 2
# installation.multiplier is numeric(14, 6).
_SCALE: Final = 1_000_000
_WIDTH: Final = max(each.id for each in reading_type.table().values()) + 1
# These have no memory: the head-end samples their registers on the grid of their intervals.
_SAMPLED: Final = (b"modbus", b"mqtt")
_CUMULATIVE: Final = [
    each.id for each in reading_type.table().values() if each.accumulation == "cumulative"
]
_MICRO: Final = 1_000_000
_COLUMNS: Final = {
    "id": "int4",
    "usage_point_id": "int4",
    "end_device_id": "int4",
    "starts_at": "timestamptz",
    "ends_at": "timestamptz",
    "multiplier": "int8",
}


@dataclass(frozen=True, slots=True, eq=False)
class Installed:
    """Installations as columns, by usage point and then oldest first.

    Attributes
    ----------
    id, usage_point, end_device : shape (k,), int32
    zone, commodity : shape (k,), of the usage point
    starts_at, ends_at : shape (k,), int64 [s]; ``FOREVER`` for no end
    multiplier : shape (k,), int64 [millionths]
    interval_seconds : shape (k,), int32, the end device's [s]
    modulus : shape (k, t), int64, by reading type's id: the registry's, else the driver's; 0 where
        a register never wraps
    sampled : shape (k,), True where intervals come from register samples
    """

    id: NDArray[np.int32]
    usage_point: NDArray[np.int32]
    end_device: NDArray[np.int32]
    zone: NDArray[np.str_]
    commodity: NDArray[np.str_]
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    interval_seconds: NDArray[np.int32]
    modulus: NDArray[np.int64]
    sampled: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, chosen: NDArray[Any]) -> Installed:
        """Choose rows."""
        return Installed(
            id=self.id[chosen],
            usage_point=self.usage_point[chosen],
            end_device=self.end_device[chosen],
            zone=self.zone[chosen],
            commodity=self.commodity[chosen],
            starts_at=self.starts_at[chosen],
            ends_at=self.ends_at[chosen],
            multiplier=self.multiplier[chosen],
            interval_seconds=self.interval_seconds[chosen],
            modulus=self.modulus[chosen],
            sampled=self.sampled[chosen],
        )

    def as_read(self, rows: NDArray[Any]) -> bool:
        """Tell whether the multiplier of all of some installations is one."""
        return bool((self.multiplier[rows] == _SCALE).all())

    def times(self, rows: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int64]:
        """Apply installations' multipliers to values, rounded half to even; exact where whole.

        Parameters
        ----------
        rows : shape (k,), installation of each value
        values : shape (k,) [scaled unit]
        """
        factor = self.multiplier[rows]
        if (factor == _SCALE).all():
            return values.astype(np.int64)
        if not (factor % _SCALE).any():
            return np.asarray(values.astype(np.int64) * (factor // _SCALE))
        # Whole and broken part apart: a product of both could pass 64 bits.
        whole = values * (factor // _SCALE)
        quotient, rest = np.divmod(values * (factor % _SCALE), _SCALE)
        up = (rest > _SCALE // 2) | ((rest == _SCALE // 2) & ((whole + quotient) % 2 == 1))
        return np.asarray(whole + quotient + up, np.int64)


def installed(connection: Connection, usage_points: NDArray[np.int32]) -> Installed:
    """Read what was and is installed at usage points.

    Parameters
    ----------
    usage_points : each once
    """
    limits = spans.limits(usage_points, spans.SHORT_ROWS)
    columns = binary_copy.read_together(connection, _SQL["installed"], limits, _COLUMNS)
    wanted = spans.among(usage_points, columns[1])
    columns = [column[wanted] for column in columns]
    order = np.lexsort((columns[3], columns[1]))
    number, point, device, starts, ends, multiplier = (column[order] for column in columns)
    zone, commodity = _usage_points(connection, point)
    protocol, interval, modulus = _end_devices(connection, device)
    return Installed(
        id=number,
        usage_point=point,
        end_device=device,
        zone=zone,
        commodity=commodity,
        starts_at=starts // _MICRO,
        ends_at=np.where(ends < 0, FOREVER, ends // _MICRO),
        multiplier=multiplier,
        interval_seconds=interval,
        modulus=_moduli(connection, device, modulus),
        sampled=np.isin(protocol, _SAMPLED),
    )


def _usage_points(
    connection: Connection, point: NDArray[np.int32]
) -> tuple[NDArray[np.str_], NDArray[np.str_]]:
    """Give the time zone and the commodity of the usage point of each row."""
    limits = spans.limits(readings_columns.distinct(point), spans.SHORT_ROWS)
    zone, commodity, numbers = binary_copy.read(
        connection, _SQL["kinds_of_usage_points"], limits, ("text", "text", "int4[]")
    )
    kind, _ = spans.kinds(numbers, point)
    return zone.values.astype(np.str_)[kind], commodity.values.astype(np.str_)[kind]


def _end_devices(
    connection: Connection, device: NDArray[np.int32]
) -> tuple[NDArray[np.bytes_], NDArray[np.int32], NDArray[np.int64]]:
    """Give protocol, interval length and modulus, 0 for none, of the end device of each row."""
    limits = spans.limits(readings_columns.distinct(device), spans.SHORT_ROWS)
    protocol, interval, numbers, modulus = binary_copy.read(
        connection, _SQL["kinds_of_end_devices"], limits, ("text", "int4", "int4[]", "int8[]")
    )
    kind, place = spans.kinds(numbers, device)
    return protocol.values[kind], interval.values[kind], modulus.values[kind, place]


def _moduli(
    connection: Connection, end_device: NDArray[np.int32], own: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Give where the registers of end devices wrap, a row for each, by reading type's id.

    Parameters
    ----------
    own : the registry's for all registers of an end device; 0 where the driver's count
    """
    table = np.zeros((len(end_device), _WIDTH), np.int64)
    open_ = readings_columns.distinct(end_device[own == 0])
    if len(open_):
        limits = {"end_devices": binary_copy.array(open_)}
        known = connection.execute(_SQL["wraps"], limits).fetchall()
        told = np.zeros((len(open_), _WIDTH), np.int64)
        for device, kind, modulus in known:
            told[np.searchsorted(open_, device), kind] = modulus
        rows = own == 0
        table[rows] = told[np.searchsorted(open_, end_device[rows])]
    table[:, _CUMULATIVE] = np.where(own[:, None] == 0, table[:, _CUMULATIVE], own[:, None])
    return table
