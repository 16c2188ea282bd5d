"""Intervals and register readings for exports: by the versions that a bill names, or as known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np

from mdm import readings
from mdm.export import series
from mdm.export.series import Dial, Intervals, Meter, Series
from mdm.readings import RegisterTable
from mdm.readings_columns import taken
from schemas import statements
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "delivery_series.sql")
# Later than any installation that has not ended.
_ENDLESS: Final = 2**62


class SeriesError(RuntimeError):
    """Readings that a bill names are not there any more; the message says which."""


@dataclass(slots=True)
class _Parts:
    intervals: list[Intervals] = field(default_factory=list)
    dials: list[Dial] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)
    pairs: list[tuple[Dial, Dial]] | None = None

    def whole(self) -> Series:
        return series.ordered(self.intervals, self.dials, self.meters, self.pairs)


def of_sets(connection: Connection, sets: Sequence[int]) -> dict[int, Series]:
    """Give what determinant sets were computed from, by the versions that they name.

    The intervals of a set are those of its period, the register readings those that bound its
    installations.

    Raises
    ------
    SeriesError
        if a named version is gone.
    """
    found: dict[int, _Parts] = defaultdict(lambda: _Parts(pairs=[]))
    for number, intervals in _named_intervals(connection, sets):
        # A month before it may be an input too, of a ratchet; it is no part of this bill's period.
        if intervals.known.any():
            found[number].intervals.append(intervals)
    for number, *row in connection.execute(_SQL["registers"], {"sets": list(sets)}):
        _add_span(found[number], *row)
    return {number: found[number].whole() for number in sets}


def of_usage_point(
    connection: Connection, usage_point_id: int, period: Period, *, known_at: datetime | None
) -> Series:
    """Give what is in the record of a usage point for a period: newest versions known at a moment.

    Register readings are those from the period's start to its end, both included.
    """
    parts = _Parts()
    key = {"usage_point": usage_point_id}
    rows = connection.execute(_SQL["channels_of_usage_point"], key).fetchall()
    kinds = {channel: (name, seconds) for channel, name, seconds in rows}
    lengths = [channel for channel, (_, seconds) in kinds.items() if seconds]
    dials = [channel for channel, (_, seconds) in kinds.items() if not seconds]
    installed = {
        row[0]: _Installed(*row[1:])
        for row in connection.execute(_SQL["meters_of_usage_point"], key)
    }
    blocks = readings.current(connection, lengths, _with_day_before(period), known_at=known_at)
    for channel in lengths:
        intervals = _cut(blocks, channel, *kinds[channel], period)
        if intervals.known.any():
            parts.intervals.append(intervals)
    table = readings.registers(connection, dials, period, known_at=known_at)
    parts.dials += _dials(table, {number: kinds[number][0] for number in dials}, installed)
    parts.meters += [one.meter for one in installed.values()]
    return parts.whole()


@dataclass(frozen=True, slots=True)
class _Installed:
    """An installation, with the moduli that its end device's registers showed by reading type."""

    end_device: str
    multiplier: Decimal
    modulus: int | None
    starts_at: datetime
    ends_at: datetime | None
    kinds: Sequence[str]
    moduli: Sequence[int]

    @property
    def meter(self) -> Meter:
        end = _ENDLESS if self.ends_at is None else _second(self.ends_at)
        return Meter(self.end_device, _second(self.starts_at), end)

    def modulus_of(self, kind: str) -> int | None:
        """Give where a register starts again: as the registry says, else as the meter showed."""
        if self.modulus is not None:
            return self.modulus
        return dict(zip(self.kinds, self.moduli, strict=True)).get(kind)


def _add_span(parts: _Parts, *row: Any) -> None:
    """Add an installation's stretch, with the readings that bound it as far as there are any."""
    kind, device, multiplier, modulus, starts_at, ends_at, *readings_ = row
    parts.meters.append(Meter(device, _second(starts_at), _second(ends_at)))
    bounds = [
        Dial(kind, device, multiplier, modulus, _second(read_at), value, code)
        for read_at, value, code in (readings_[:3], readings_[3:])
        if kind is not None and read_at is not None
    ]
    parts.dials += bounds
    if len(bounds) == 2 and parts.pairs is not None:
        parts.pairs.append((bounds[0], bounds[1]))


def _dials(
    table: RegisterTable, kinds: dict[int, str], installed: dict[int, _Installed]
) -> Iterator[Dial]:
    columns = (table.channel_id, table.installation_id, table.read_at, table.value, table.quality)
    for channel, place, read_at, value, code in zip(*(c.tolist() for c in columns), strict=True):
        kind, one = kinds[channel], installed[place]
        modulus = one.modulus_of(kind)
        yield Dial(kind, one.end_device, one.multiplier, modulus, read_at, value, code)


def _named_intervals(
    connection: Connection, sets: Sequence[int]
) -> Iterator[tuple[int, Intervals]]:
    """Read the named versions of all sets at once, and cut them to their periods."""
    rows = connection.execute(_SQL["intervals"], {"sets": list(sets)}).fetchall()
    named: list[tuple[Any, ...]] = [
        (channel, _second(start), version)
        for _, channel, _, _, starts, versions, _, _ in rows
        for start, version in zip(starts, versions, strict=True)
    ]
    table = np.array(named, np.int64).reshape(-1, 3)
    try:
        blocks = readings.named(connection, *table.T)
    except KeyError as gone:
        raise SeriesError(f"an export cannot be made: {gone.args[0]}") from gone
    first = 0
    for number, _, kind, seconds, starts, _, starts_at, ends_at in rows:
        own = taken(blocks, np.arange(first, first + len(starts)))
        first += len(starts)
        yield number, series.cut(own, kind, seconds, Period(starts_at, ends_at))


def _cut(blocks: BlockTable, channel: int, kind: str, seconds: int, period: Period) -> Intervals:
    own = taken(blocks, np.flatnonzero(blocks.channel_id == channel))
    return series.cut(own, kind, seconds, period)


def _with_day_before(period: Period) -> Period:
    """Begin a day and a bit earlier: a local day from before may reach into the period."""
    start = _second(period.start) - 26 * 3600
    return Period(datetime.fromtimestamp(start, UTC), period.end)


def _second(moment: datetime) -> int:
    return int(moment.timestamp())
