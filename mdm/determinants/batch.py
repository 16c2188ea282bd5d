"""Usage points that share a tariff and a time zone, computed together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm.calendar import Calendar
from mdm.determinants import days, declared, dials, page_desk, pages, parts, profile, supply
from mdm.determinants.composition import Account, Result, composed
from mdm.determinants.days import Days
from mdm.determinants.facts import Facts
from mdm.determinants.profile import Profile
from mdm.determinants.registers import Span, Stretch
from mdm.determinants.supply import Figures, Supply
from mdm.tariff import BILLING_REGISTER, Tariff
from schemas.assets import Channel
from schemas.period import Period
from schemas.reading import BlockTable


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What the determinants of some usage points are computed from.

    Attributes
    ----------
    period : whole local days of the zone
    usage_points : ids
    channels : of intervals, by usage point; one without any is missing throughout
    spans : installations with their readings, oldest first, by usage point
    blocks : of all these channels; of those in ``days`` without their intervals
    days : channels whose days were summed beforehand
    further : channels of the other reading types that declared determinants need
    dials : installations with readings of further registers, by usage point and reading type
    facts : what figures rest on besides readings, by usage point
    vacant : usage points that have no meter now, but one in another part of the same bill
    """

    tariff: Tariff
    calendar: Calendar
    zone: ZoneInfo
    period: Period
    usage_points: Sequence[int]
    channels: Mapping[int, Sequence[Channel]]
    spans: Mapping[int, Sequence[Span]]
    blocks: BlockTable
    further: Mapping[int, Sequence[Channel]] = field(default_factory=dict)
    dials: Mapping[int, Mapping[str, Sequence[Span]]] = field(default_factory=dict)
    facts: Mapping[int, Facts] = field(default_factory=dict)
    days: Sequence[Days] = ()
    vacant: frozenset[int] = frozenset()

    def every_channel(self, point: int) -> Sequence[Channel]:
        """Give a usage point's channels of all reading types."""
        if not self.further:
            return self.channels.get(point, ())
        return [*self.channels.get(point, ()), *self.further.get(point, ())]

    def channels_of(self, point: int, reading_type: str) -> list[Channel]:
        """Give a usage point's channels of one reading type."""
        every = self.every_channel(point)
        return [channel for channel in every if channel.reading_type == reading_type]


def results(batch: Batch) -> dict[int, Result]:
    """Compute every usage point's determinants, by id.

    Raises
    ------
    ValueError
        if a block lies off its channel's grid or the calendar does not cover the period.
    """
    if batch.tariff.parts:
        stages = list(parts.stages(batch))
        return parts.joined([(stage, results(stage.batch)) for stage in stages], batch)
    rows: dict[int, list[tuple[Figures, int]]] = defaultdict(list)
    arranged: list[tuple[Figures, list[int]]] = []
    occurring: set[int] = set()
    for seconds, channels in _by_length(batch).items():
        numbers = batch.calendar.of_period(batch.period, batch.zone, seconds)
        occurring.update(np.unique(numbers).tolist())
        for found, order in _figures(batch, seconds, channels, numbers):
            points = [channels[channel] for channel in order]
            for row, point in enumerate(points):
                rows[point].append((found, row))
            arranged.append((found, points))
    periods = [(number, batch.calendar.periods[number]) for number in sorted(occurring)]
    start, end = (int(moment.timestamp()) for moment in (batch.period.start, batch.period.end))
    plain = _plain(batch, arranged, rows, page_desk.Period(periods, start, end))
    results_ = {
        point: plain.get(point)
        or composed(
            Account(
                *(batch.tariff, Supply(rows[point]), periods, batch.spans.get(point, ())),
                *(start, end, batch.dials.get(point, {}).get(BILLING_REGISTER, ())),
            )
        )
        for point in batch.usage_points
    }
    if not batch.tariff.declared:
        return results_
    more = declared.lines(batch, [point for point in batch.usage_points if point not in plain])
    return results_ | {
        point: replace(results_[point], determinants=(*results_[point].determinants, *lines))
        for point, lines in more.items()
    }


def _figures(
    batch: Batch, seconds: int, channels: Mapping[int, int], numbers: NDArray[np.uint8]
) -> Iterator[tuple[Figures, list[int]]]:
    """Give the figures of channels of one interval length, and which channels in which order."""
    left = set(channels)
    for summed in batch.days:
        if order := sorted(left.intersection(summed.channel_id.tolist())):
            left.difference_update(order)
            yield days.figures(summed, np.array(order, np.int32), batch.period), order
    silent = left.difference(np.unique(batch.blocks.channel_id).tolist())
    # What nothing is known of all the time is alike: looked at once.
    silent = {channel for channel in silent if _expected(batch, channels[channel])}
    for order in (sorted(left - silent), sorted(silent)):
        if not order:
            continue
        rows = order if order[0] not in silent else order[:1]
        load = profile.arrange(batch.blocks, np.array(rows), batch.period, batch.zone, seconds)
        for row, channel in enumerate(rows):
            _mark(batch, load, row, channels[channel])
        found = supply.figures(
            load,
            numbers,
            len(batch.calendar.periods),
            block=[batch.tariff.block_seconds],
            rolling=batch.tariff.rolling_seconds,
        )
        yield (found if len(rows) == len(order) else supply.repeated(found, order)), order


def _expected(batch: Batch, point: int) -> bool:
    """Tell whether all intervals of a usage point's only channel are expected."""
    stretches = [span.stretch for span in batch.spans.get(point, ())]
    only = len(batch.channels.get(point, ())) < 2
    return only and (not stretches or _covers(stretches, batch.period))


def _plain(
    batch: Batch,
    arranged: Sequence[tuple[Figures, Sequence[int]]],
    rows: Mapping[int, Sequence[tuple[Figures, int]]],
    period: page_desk.Period,
) -> dict[int, Result]:
    """Give the results whose pages hold, of usage points with one channel or none, by id."""
    if not pages.serves(batch.tariff):
        return {}
    sheets: list[tuple[Figures | None, Sequence[int]]] = [*arranged]
    if not batch.tariff.interval:
        sheets = [(None, batch.usage_points)]
    found = {}
    kinds = dict.fromkeys(kind for of in batch.tariff.declared for kind in of.dials)
    for figures, points in sheets:
        registers = [_registers(batch, point) for point in points]
        read = dials.of(registers) if batch.tariff.register else None
        further = {kind: dials.of([_further(batch, p, kind) for p in points]) for kind in kinds}
        for row, result in page_desk.results(batch.tariff, figures, read, further, period):
            if figures is None or len(rows[points[row]]) == 1:
                found[points[row]] = result
    return found


def _registers(batch: Batch, point: int) -> Sequence[Span]:
    """Give a usage point's installations, none where the meter's own billing period comes first."""
    if BILLING_REGISTER in batch.dials.get(point, ()):
        return ()
    return batch.spans.get(point, ())


def _further(batch: Batch, point: int, kind: str) -> Sequence[Span]:
    """Give a usage point's installations with the readings of a further register."""
    if kind == batch.tariff.register:
        return batch.spans.get(point, ())
    return batch.dials.get(point, {}).get(kind, ())


def _by_length(batch: Batch) -> dict[int, dict[int, int]]:
    """Give usage points by channel id, by interval length [s]."""
    lengths: dict[int, dict[int, int]] = defaultdict(dict)
    for point in batch.usage_points:
        for number, seconds in _channels(batch, point):
            lengths[seconds][number] = point
    return lengths


def _channels(batch: Batch, point: int) -> Iterator[tuple[int, int]]:
    """Give a usage point's channels: id and interval length [s].

    One that has none yet gets a channel that nothing was ever read from: all of it is missing.
    """
    channels = batch.channels.get(point, ())
    for channel in channels:
        yield channel.id, channel.interval_seconds
    spans = batch.spans.get(point, ())
    if not channels and spans and batch.tariff.interval:
        yield -point, spans[0].stretch.interval_seconds


def _mark(batch: Batch, load: Profile, row: int, point: int) -> None:
    """Expect intervals only where a meter was installed that makes them.

    A usage point with channels of several lengths had meters of several kinds: each channel is
    expected while a meter of its length was there.
    """
    stretches = [span.stretch for span in batch.spans.get(point, ())]
    if not stretches and point not in batch.vacant:
        # Intervals without an installation come from files; a hole in them is a hole.
        return
    if len(batch.channels.get(point, ())) > 1:
        stretches = [s for s in stretches if s.interval_seconds == load.interval_seconds]
    if not _covers(stretches, batch.period):
        profile.mark_outside(load, row, [(s.starts_at, s.ends_at) for s in stretches])


def _covers(stretches: Sequence[Stretch], period: Period) -> bool:
    return len(stretches) == 1 and (stretches[0].starts_at, stretches[0].ends_at) == (
        int(period.start.timestamp()),
        int(period.end.timestamp()),
    )
