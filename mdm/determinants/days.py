"""What a bill needs of a channel's local day, summed once for all bills: exact, a record a day.

A month is put together from its days without looking at an interval again. Energy and counts add
up; the month's highest block is the highest of the days'. A moving window may cross midnight: its
energy is the sum of slots at two days' ends, which each day keeps beside its own highest window.
So everything comes out as it does from the intervals themselves (``supply.figures``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import tariff as names
from mdm.calendar import Calendar
from mdm.determinants import demand, energy, pages
from mdm.determinants.demand import Peaks
from mdm.determinants.energy import Sums
from mdm.determinants.profile import KINDS, Profile
from mdm.determinants.supply import Figures
from mdm.tariff import Tariff
from schemas import quality
from schemas.period import Period, local_days
from schemas.quality import QualityClass
from schemas.reading import BlockTable

SERVED: Final = frozenset(
    {
        *(names.CONSUMPTION, names.REGISTER_START, names.REGISTER_END),
        *(names.REGISTER_CONSUMPTION, names.INTERVAL_CONSUMPTION, names.TIME_OF_USE),
        *(names.BLOCK_DEMAND, names.ROLLING_DEMAND, names.LOAD_FACTOR),
    }
)
"""Determinants that days have the figures of; a tariff with another goes by its intervals."""

# A moving window's slots at each end of a day, kept for what crosses midnight.
_WIDEST: Final = 24
_NOTHING: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Recipe:
    """How days are summed: whoever asks for the same shares them.

    Attributes
    ----------
    calendar : digest of the time-of-use calendar
    periods : how many time-of-use periods it has
    block, rolling : lengths of windows [s], ascending
    """

    calendar: str
    periods: int
    time_zone: str
    interval_seconds: int
    block: tuple[int, ...]
    rolling: tuple[int, ...]

    @property
    def definition(self) -> str:
        """The recipe as canonical JSON."""
        entries = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(entries, sort_keys=True, separators=(",", ":"))

    @property
    def edge(self) -> int:
        """Slots that are kept of each end of a day."""
        return max([self.width(window) for window in self.rolling], default=1) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """A day's record: fixed, so that a month's records are one array as they are stored."""
        windows = len(self.block) + len(self.rolling)
        return np.dtype(
            [
                ("sums", "<i8", (self.periods,)),
                ("counts", "<i2", (self.periods, KINDS)),
                ("energy", "<i8", (windows,)),
                ("slot", "<i2", (windows,)),
                ("peak", "<i2", (windows, KINDS)),
                ("values", "<i4", (2, self.edge)),
                ("kinds", "u1", (2, self.edge)),
            ]
        )

    def width(self, window: int) -> int:
        """Give a window's slots."""
        return window // self.interval_seconds


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Whole periods of n channels, day by day.

    Attributes
    ----------
    channel_id : shape (n,), ascending
    records : shape (n, d), of ``recipe.dtype``
    version, provenance_id : shape (n, d), of the blocks that the days were made from
    starts_at : shape (d,), of the days [s since 1970-01-01 UTC]
    """

    recipe: Recipe
    channel_id: NDArray[np.int32]
    records: NDArray[Any]
    version: NDArray[np.int32]
    provenance_id: NDArray[np.int64]
    starts_at: NDArray[np.int64]

    def blocks(self) -> BlockTable:
        """Give the blocks that the days were made from, without their intervals."""
        channels, count = self.version.shape
        rows = channels * count
        return BlockTable(
            channel_id=np.repeat(self.channel_id, count),
            starts_at=np.tile(self.starts_at, channels),
            interval_seconds=np.full(rows, self.recipe.interval_seconds, np.int32),
            version=self.version.ravel(),
            provenance_id=self.provenance_id.ravel(),
            length=np.asarray(self.records["counts"].sum(axis=(2, 3)).ravel(), np.int32),
            values=np.zeros((rows, 0), np.int32),
            quality=np.zeros((rows, 0), np.int16),
        )


def recipe(
    tariff: Tariff, calendar: Calendar, zone: ZoneInfo, interval_seconds: int
) -> Recipe | None:
    """Give the recipe of a tariff's days, None if days cannot serve it."""
    windows = tariff.block_seconds, *tariff.rolling_seconds
    if not (tariff.determinants <= SERVED and tariff.interval and pages.known(tariff)):
        return None
    if any(w % interval_seconds for w in windows) or max(windows) > _WIDEST * interval_seconds:
        return None
    rolling = tuple(sorted(set(tariff.rolling_seconds)))
    return Recipe(
        *(calendar.digest, len(calendar.periods), zone.key, interval_seconds),
        *((tariff.block_seconds,), rolling),
    )


def summed(
    recipe: Recipe, calendar: Calendar, blocks: BlockTable, period: Period
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Sum the blocks that are whole local days of a period.

    Returns
    -------
    rows of the blocks and, as many, their records
    """
    zone, seconds = ZoneInfo(recipe.time_zone), recipe.interval_seconds
    rows, records = [np.empty(0, np.intp)], [np.empty(0, recipe.dtype)]
    widest = max(map(recipe.width, (*recipe.block, *recipe.rolling)))
    for day, whole in local_days(period, zone):
        slots, rest = divmod(int(whole.duration.total_seconds()), seconds)
        start = int(whole.start.timestamp())
        chosen = np.flatnonzero((blocks.starts_at == start) & (blocks.length == slots))
        if rest or slots < widest or not len(chosen):
            continue
        profile = Profile(
            channel_id=blocks.channel_id[chosen],
            starts_at=start,
            interval_seconds=seconds,
            midnights=np.array([0, slots], np.int64),
            values=blocks.values[chosen, :slots],
            kind=quality.classes(blocks.quality[chosen, :slots]),
        )
        rows.append(chosen)
        records.append(_records(recipe, profile, calendar.of_day(day, zone, seconds)))
    return np.concatenate(rows), np.concatenate(records)


def _records(recipe: Recipe, profile: Profile, numbers: NDArray[np.uint8]) -> NDArray[Any]:
    """Sum one day of many channels."""
    made = np.zeros(len(profile.values), recipe.dtype)
    sums = energy.by_period(profile, numbers, recipe.periods)
    made["sums"], made["counts"] = sums.values, sums.counts
    running = profile.running()
    found = [demand.block(profile, running, window) for window in recipe.block]
    found += [demand.rolling(profile, running, window) for window in recipe.rolling]
    for column, peaks in enumerate(found):
        assert peaks is not None  # noqa: S101  # a recipe's windows fit in its days
        made["energy"][:, column] = np.where(peaks.found, peaks.energy, _NOTHING)
        made["slot"][:, column], made["peak"][:, column] = peaks.slot, peaks.counts
    edge = recipe.edge
    for side, part in enumerate((slice(0, edge), slice(profile.slots - edge, None))):
        made["values"][:, side] = profile.values[:, part]
        made["kinds"][:, side] = profile.kind[:, part]
    return made


def figures(of: Days, channel_id: NDArray[np.int32], period: Period) -> Figures:
    """Put the days of channels together.

    Parameters
    ----------
    channel_id : shape (n,), ascending; all of them in ``of``
    period : the days' period

    Returns
    -------
    what ``supply.figures`` gives from the intervals, but for the intervals themselves
    """
    recipe, start = of.recipe, int(period.start.timestamp())
    records = of.records[np.searchsorted(of.channel_id, channel_id)]
    moments = np.append(of.starts_at, int(period.end.timestamp())) - start
    rows = len(channel_id)
    profile = Profile(
        channel_id=channel_id,
        starts_at=start,
        interval_seconds=recipe.interval_seconds,
        midnights=moments // recipe.interval_seconds,
        values=np.zeros((rows, 0), np.int32),
        kind=np.zeros((rows, 0), np.uint8),
    )
    return Figures(
        profile=profile,
        running=np.zeros((rows, 1), np.int64),
        sums=Sums(records["sums"].sum(axis=1), records["counts"].sum(axis=1, dtype=np.int64)),
        block=_blocks(recipe, records, profile.midnights),
        rolling=_rolling(recipe, records, profile.midnights),
    )


def _blocks(
    recipe: Recipe, records: NDArray[Any], midnights: NDArray[np.int64]
) -> Mapping[int, Peaks | None]:
    return {
        window: _highest(window, records, column, midnights)
        for column, window in enumerate(recipe.block)
    }


def _rolling(
    recipe: Recipe, records: NDArray[Any], midnights: NDArray[np.int64]
) -> Mapping[int, Peaks | None]:
    found: dict[int, Peaks | None] = {}
    for column, window in enumerate(recipe.rolling, len(recipe.block)):
        inside = _highest(window, records, column, midnights)
        if recipe.width(window) > 1 and records.shape[1] > 1:
            inside = _higher(inside, _across(recipe, records, midnights, window))
        found[window] = inside
    return found


def _highest(
    window: int, records: NDArray[Any], column: int, midnights: NDArray[np.int64]
) -> Peaks:
    """Choose each channel's highest window inside a day; of equal ones the earliest."""
    rows, energies = np.arange(len(records)), records["energy"][:, :, column]
    day = energies.argmax(axis=1)
    best = energies[rows, day]
    return Peaks(
        window_seconds=window,
        energy=np.where(best != _NOTHING, best, 0),
        slot=midnights[day] + records["slot"][rows, day, column],
        found=best != _NOTHING,
        counts=records["peak"][rows, day, column].astype(np.int64),
    )


def _across(
    recipe: Recipe, records: NDArray[Any], midnights: NDArray[np.int64], window: int
) -> Peaks:
    """Choose each channel's highest window that lies across a midnight."""
    width = recipe.width(window)
    edge, before = recipe.edge, width - 1
    values, kinds = (
        np.concatenate(
            [records[name][:, :-1, 1, edge - before :], records[name][:, 1:, 0, :before]], axis=2
        )
        for name in ("values", "kinds")
    )
    running = np.zeros((*values.shape[:2], 2 * before + 1), np.int64)
    np.cumsum(values, axis=2, dtype=np.int64, out=running[:, :, 1:])
    energies = running[:, :, width:] - running[:, :, :before]
    unknown = kinds == QualityClass.MISSING
    if unknown.any():
        holed = np.lib.stride_tricks.sliding_window_view(unknown, width, axis=2).any(axis=3)
        energies[holed] = _NOTHING
    rows, flat = np.arange(len(records)), energies.reshape(len(records), -1)
    place = flat.argmax(axis=1)
    best = flat[rows, place]
    seam, begin = np.divmod(place, before)
    chosen = kinds[rows[:, None], seam[:, None], begin[:, None] + np.arange(width)]
    return Peaks(
        window_seconds=window,
        energy=np.where(best != _NOTHING, best, 0),
        slot=midnights[seam + 1] - before + begin,
        found=best != _NOTHING,
        counts=np.stack([(chosen == kind).sum(axis=1) for kind in range(KINDS)], axis=1),
    )


def _higher(one: Peaks, other: Peaks) -> Peaks:
    """Choose the higher of two windows of each channel; of equal ones the earlier."""
    ahead = (other.energy > one.energy) | ((other.energy == one.energy) & (other.slot < one.slot))
    other_is = other.found & (~one.found | ahead)
    return Peaks(
        window_seconds=one.window_seconds,
        energy=np.where(other_is, other.energy, one.energy),
        slot=np.where(other_is, other.slot, one.slot),
        found=one.found | other.found,
        counts=np.where(other_is[:, None], other.counts, one.counts),
    )
