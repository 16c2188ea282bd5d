"""Rows of a load profile that a meter pushes, by the columns that it is known to have.

A push brings the rows without saying what their columns are: that, with scalers and units, is
known from the meter's association view (``drivers.meter_profile``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from drivers.dlms import axdr, clock_time, scaling
from drivers.dlms.companion import Companion
from drivers.dlms.push_lists import ScalerUnit
from drivers.dlms.scaling import Scale
from drivers.errors import RemoteProtocolError
from schemas import quality, reading_type
from schemas.obis import Obis
from schemas.reading_type import ReadingType

_CLOCK: Final = "8/0.0.1.0.0.255/2"
# Push set-up objects: 0.b.25.9.e.
_PUSH_SETUP: Final = (0, 25, 9)
_LOW_OCTET: Final = 0xFF


@dataclass(frozen=True, slots=True)
class KnownColumn:
    """One column: ``class/OBIS/attribute`` of what is captured, its meaning, scaler and unit."""

    source: str
    meaning: str | None
    scale: ScalerUnit | None


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A profile of a meter: its columns, and the period in which it stores rows [s]."""

    name: Obis
    period_seconds: int
    columns: tuple[KnownColumn, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """One value of a row; ``at`` is its stamp, for intervals their end."""

    meaning: ReadingType
    at: datetime
    value: int
    quality: int


def of(name: Obis, rows: axdr.Value, known: Sequence[KnownProfile]) -> KnownProfile | None:
    """Find the profile that pushed rows are of, None if they are of none that is known.

    Where the push names only its set-up, it is the profile with as many columns, if one has.
    """
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], tuple):
        return None
    named = [one for one in known if one.name == name]
    if not named and (name.a, name.c, name.d) == _PUSH_SETUP:
        named = [one for one in known if len(one.columns) == len(rows[0])]
    fits = len(named) == 1 and all(
        isinstance(row, tuple) and len(row) == len(named[0].columns) for row in rows
    )
    return named[0] if fits else None


def slots(
    profile: KnownProfile,
    rows: Sequence[Sequence[axdr.Value]],
    companion: Companion,
    deviation: int | None,
) -> Iterator[Slot]:
    """Give the values of rows, as ``of`` found their profile; values that are missing are left out.

    Raises
    ------
    RemoteProtocolError
        if a row has no time, or a unit does not measure what its column is.
    """  # fmt: skip
    scales = [_scale(column) for column in profile.columns]
    before: datetime | None = None
    for row in rows:
        at = before = _time(profile, row, before, deviation)
        doubt = _doubt(profile, row, companion)
        for pair, value in zip(scales, row, strict=True):
            if pair is not None and value is not None:
                number, code = pair[1].integer(value)
                yield Slot(pair[0], at, number, doubt if code == quality.VALID else code)


def _scale(column: KnownColumn) -> tuple[ReadingType, Scale] | None:
    if column.meaning is None or column.scale is None:
        return None
    meaning = reading_type.table().get(column.meaning)
    return (meaning, scaling.scale(column.scale, meaning)) if meaning else None


def _time(
    profile: KnownProfile,
    row: Sequence[axdr.Value],
    before: datetime | None,
    deviation: int | None,
) -> datetime:
    """Give a row's stamp; null-data mean one period after the row before."""
    for column, value in zip(profile.columns, row, strict=True):
        if column.source == _CLOCK:
            if isinstance(value, bytes):
                at = clock_time.decode(value).utc(deviation)
            else:
                at = before + timedelta(seconds=profile.period_seconds) if before else None
            if at is not None:
                return at
    raise RemoteProtocolError(f"a row of profile {profile.name} has no time that can be placed")


def _doubt(profile: KnownProfile, row: Sequence[axdr.Value], companion: Companion) -> int:
    """Give the quality that the status beside the values says."""
    statuses = {str(one) for one in companion.statuses}
    for column, value in zip(profile.columns, row, strict=True):
        if column.source in statuses and isinstance(value, int):
            return int(companion.status_quality[value & _LOW_OCTET])
    return quality.VALID
