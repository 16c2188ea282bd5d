"""What is installed at the usage points of a batch, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas import reading_type, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "intake.sql")
FOREVER: Final = np.iinfo(np.int64).max // 2
# installation.multiplier is numeric(14, 6).
_SCALE: Final = 1_000_000
_WIDTH: Final = max(each.id for each in reading_type.table().values()) + 1
# These have no memory: the head-end samples their registers on the grid of their intervals.
_SAMPLED: Final = ("modbus", "mqtt")


@dataclass(frozen=True, slots=True, eq=False)
class Installed:
    """Installations as columns, by usage point and then oldest first.

    Attributes
    ----------
    id, usage_point, end_device : shape (k,), int32
    mrid, zone, commodity : of the end device and of the usage point
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
    mrid: tuple[str, ...]
    zone: tuple[str, ...]
    commodity: tuple[str, ...]
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
        places = np.arange(len(self))[chosen].tolist()
        return Installed(
            id=self.id[chosen],
            usage_point=self.usage_point[chosen],
            end_device=self.end_device[chosen],
            mrid=tuple(self.mrid[i] for i in places),
            zone=tuple(self.zone[i] for i in places),
            commodity=tuple(self.commodity[i] for i in places),
            starts_at=self.starts_at[chosen],
            ends_at=self.ends_at[chosen],
            multiplier=self.multiplier[chosen],
            interval_seconds=self.interval_seconds[chosen],
            modulus=self.modulus[chosen],
            sampled=self.sampled[chosen],
        )

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


def installed(connection: Connection, usage_points: Sequence[int]) -> Installed:
    """Read what was and is installed at usage points."""
    rows = connection.execute(_SQL["installed"], {"usage_points": list(usage_points)}).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [()] * 11
    number, point, device, mrid, zone, commodity, starts, ends = columns[:8]
    multiplier, interval, protocol = columns[8:]
    end_device = np.array(device, np.int32)
    return Installed(
        id=np.array(number, np.int32),
        usage_point=np.array(point, np.int32),
        end_device=end_device,
        mrid=tuple(mrid),
        zone=tuple(zone),
        commodity=tuple(commodity),
        starts_at=np.array([_second(moment) for moment in starts], np.int64),
        ends_at=np.array([_second(moment) for moment in ends], np.int64),
        multiplier=np.array([int(Decimal(m) * _SCALE) for m in multiplier], np.int64),
        interval_seconds=np.array(interval, np.int32),
        modulus=_moduli(connection, end_device),
        sampled=np.array([p in _SAMPLED for p in protocol], np.bool_),
    )


def _moduli(connection: Connection, end_device: NDArray[np.int32]) -> NDArray[np.int64]:
    """Read where the registers of end devices wrap, a row for each, by reading type's id."""
    known = connection.execute(_SQL["wraps"], {"end_devices": end_device.tolist()}).fetchall()
    place, row = np.unique(end_device, return_inverse=True)
    table = np.zeros((len(place), _WIDTH), np.int64)
    if known:
        device, kind, modulus = (np.array(column, np.int64) for column in zip(*known, strict=True))
        table[np.searchsorted(place, device), kind] = modulus
    return np.asarray(table[row])


def _second(moment: datetime | None) -> int:
    return FOREVER if moment is None else int(moment.timestamp())
