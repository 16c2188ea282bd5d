"""What the days of a period say: how many are known, and on how many nothing was measured."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.batch import Batch
from schemas import quality
from schemas.period import local_days
from schemas.quality import QualityClass


class Days(NamedTuple):
    """One usage point's days, as its gates look at them.

    Attributes
    ----------
    expected : days on which a meter was installed that makes intervals
    covered : of these, days of which more than half is known
    without_actuals : of these, days on which no interval was measured and valid
    longest : the most of these one after another
    not_validated : intervals that no rule set has looked at
    accepted, unscaled : intervals that a person accepted; estimates that were not scaled to a
        register; both only where intervals were looked at, not days summed beforehand
    known, unique : intervals of which something is known, and how many different values they have
    warned : intervals with an open finding that changed nothing
    """

    expected: int = 0
    covered: int = 0
    without_actuals: int = 0
    longest: int = 0
    not_validated: int = 0
    accepted: int = 0
    unscaled: int = 0
    known: int = 0
    unique: int = 0
    warned: int = 0


class Intervals(NamedTuple):
    """What the intervals of usage points say one by one, a row a usage point."""

    accepted: NDArray[np.int64]
    unscaled: NDArray[np.int64]
    known: NDArray[np.int64]
    unique: NDArray[np.int64]


def seen(batch: Batch, not_validated: Collection[int] = ()) -> dict[int, Days]:
    """Look at the days of a batch's usage points, by id; one without intervals has none.

    Parameters
    ----------
    not_validated : provenances that no rule set stands behind
    """
    days = [day for _, day in local_days(batch.period, batch.zone)]
    starts = np.array([int(day.start.timestamp()) for day in days], np.int64)
    ends = np.array([int(day.end.timestamp()) for day in days], np.int64)
    expected = np.stack([_expected(batch, point, starts, ends) for point in batch.usage_points])
    known, actual, unseen = _counted(batch, starts, np.array(sorted(not_validated), np.int64))
    there = expected > 0
    bare = there & (actual == 0)
    columns = (
        there.sum(axis=1),
        (there & (2 * known > expected)).sum(axis=1),
        bare.sum(axis=1),
        _longest(bare, there),
        unseen,
        *(_told(batch) if batch.tariff.gates.looks_at_intervals else ()),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        point: Days(*row)
        for point, row in zip(batch.usage_points, rows, strict=True)
        if row[0] or row[4]
    }


def _expected(
    batch: Batch, point: int, starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Tell for how long something is expected of each day [s]."""
    spans = batch.spans.get(point, ())
    if not batch.tariff.interval or not (spans or batch.channels.get(point)):
        return np.zeros(len(starts), np.int64)
    if not spans:
        # Intervals without an installation come from files.
        return ends - starts
    total = np.zeros(len(starts), np.int64)
    for span in spans:
        stretch = span.stretch
        inside = np.minimum(ends, stretch.ends_at) - np.maximum(starts, stretch.starts_at)
        total += np.maximum(inside, 0)
    return total


def _counted(
    batch: Batch, starts: NDArray[np.int64], unseen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sum what is known and what was measured by usage point and day [s], and what none saw."""
    blocks = batch.blocks
    shape = (len(batch.usage_points), len(starts))
    known, actual = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    raw = np.zeros(shape[0], np.int64)
    row, day = _rows(batch, blocks.channel_id), _places(starts, blocks.starts_at)
    mine = (row >= 0) & (day >= 0)
    lost = mine & np.isin(blocks.provenance_id, unseen)
    np.add.at(raw, row[lost], blocks.length[lost].astype(np.int64))
    for summed in batch.days:
        # Days that were summed beforehand stand among the blocks without their intervals.
        mine &= ~np.isin(blocks.channel_id, summed.channel_id)
        own = _rows(batch, summed.channel_id)
        counts = summed.records["counts"][own >= 0].sum(axis=2, dtype=np.int64)
        place = np.ix_(own[own >= 0], _places(starts, summed.starts_at))
        seconds = summed.recipe.interval_seconds
        there = counts.sum(axis=2) - counts[..., QualityClass.MISSING]
        np.add.at(known, place, there * seconds)
        np.add.at(actual, place, counts[..., QualityClass.VALID] * seconds)
    kinds = quality.classes(blocks.quality[mine])
    inside = np.arange(kinds.shape[1]) < blocks.length[mine, None]
    length = blocks.interval_seconds[mine].astype(np.int64)
    at = row[mine], day[mine]
    np.add.at(known, at, (inside & (kinds != QualityClass.MISSING)).sum(axis=1) * length)
    np.add.at(actual, at, (inside & (kinds == QualityClass.VALID)).sum(axis=1) * length)
    return known, actual, raw


def _told(batch: Batch) -> Intervals:
    """Look at the intervals of the tariff's own channels."""
    blocks, shape = batch.blocks, len(batch.usage_points)
    row = _rows(batch, blocks.channel_id)
    found = Intervals(*(np.zeros(shape, np.int64) for _ in Intervals._fields))
    inside = np.arange(blocks.values.shape[1]) < blocks.length[:, None]
    known = inside & (quality.classes(blocks.quality) != QualityClass.MISSING)
    for point in range(shape):
        mine = row == point
        codes, there = blocks.quality[mine], known[mine]
        found.accepted[point] = (inside[mine] & (codes == quality.ACCEPTED)).sum()
        found.unscaled[point] = (inside[mine] & quality.unscaled(codes)).sum()
        found.known[point] = there.sum()
        found.unique[point] = len(np.unique(blocks.values[mine][there]))
    return found


def _places(starts: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[np.intp]:
    """Give the day that each moment is in, -1 before the first."""
    return np.searchsorted(starts, moments, side="right") - 1


def _rows(batch: Batch, channel: NDArray[np.int32]) -> NDArray[np.int64]:
    """Give the place among the usage points of each block's channel, -1 where it has none."""
    owner = {
        item.id: row
        for row, point in enumerate(batch.usage_points)
        for item in batch.channels.get(point, ())
    }
    distinct, place = np.unique(channel, return_inverse=True)
    rows = np.array([owner.get(number, -1) for number in distinct.tolist()], np.int64)
    return rows[place] if len(distinct) else np.zeros(0, np.int64)


def _longest(bare: NDArray[np.bool_], there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the most bare days one after another; a day without a meter does not part them."""
    run = np.zeros(len(bare), np.int64)
    most = np.zeros(len(bare), np.int64)
    for day in range(bare.shape[1]):
        run = np.where(there[:, day], np.where(bare[:, day], run + 1, 0), run)
        most = np.maximum(most, run)
    return most
