"""A period of which parts have different tariffs or consumers: each part is computed by its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import tariff as names
from mdm.determinants import registers, resets
from mdm.determinants.composition import Result
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.facts import Facts
from mdm.determinants.ground import factor
from mdm.determinants.registers import MICRO, Span
from mdm.tariff import Part
from schemas.period import Period, local_day
from schemas.reading import BlockTable

if TYPE_CHECKING:
    from mdm.determinants.batch import Batch


class Stage(NamedTuple):
    """A part of a batch: its local days, from the first to before the last, and the rest."""

    part: Part
    starts_on: date
    ends_on: date
    batch: Batch

    @property
    def label(self) -> str:
        """What tells its lines apart: days as ISO 8601 writes an interval, and the consumer."""
        return f"{self.starts_on}/{self.ends_on} {self.part.account}".strip()


def periods(parts: Sequence[Part], period: Period, zone: ZoneInfo) -> list[Period]:
    """Give the stretch of time of each part."""
    starts = [local_day(part.starts_on, zone).start for part in parts]
    bounds = [*starts[1:], period.end]
    return [Period(start, end) for start, end in zip(starts, bounds, strict=True)]


def stages(batch: Batch) -> Iterator[Stage]:
    """Take a batch apart, each part with what belongs to its days."""
    parts = batch.tariff.parts
    for number, (part, period) in enumerate(
        zip(parts, periods(parts, batch.period, batch.zone), strict=True)
    ):
        start, end = int(period.start.timestamp()), int(period.end.timestamp())
        inside = (batch.blocks.starts_at >= start) & (batch.blocks.starts_at < end)
        every = {point: batch.every_channel(point) for point in batch.usage_points}
        interval = part.tariff.interval
        spans = {point: _within(those, start, end) for point, those in batch.spans.items()}
        one = replace(
            batch,
            tariff=part.tariff,
            calendar=part.calendar,
            period=period,
            channels={p: [c for c in e if c.reading_type == interval] for p, e in every.items()},
            further={p: [c for c in e if c.reading_type != interval] for p, e in every.items()},
            spans=spans,
            vacant=frozenset(p for p, those in batch.spans.items() if those and not spans[p]),
            dials={
                point: {kind: _within(those, start, end) for kind, those in dials.items()}
                for point, dials in batch.dials.items()
            },
            blocks=_rows(batch.blocks, inside),
            facts={
                point: facts.parts[number] if facts.parts else Facts()
                for point, facts in batch.facts.items()
            },
        )
        until = period.end.astimezone(batch.zone).date()
        yield Stage(part, part.starts_on, until, one)


def joined(found: Sequence[tuple[Stage, Mapping[int, Result]]], batch: Batch) -> dict[int, Result]:
    """Put the parts' results together, by usage point."""
    made = {}
    for point in batch.usage_points:
        results = [(stage, results[point]) for stage, results in found]
        lines = [
            replace(line, part=f"{line.part} {stage.label}".strip())
            for stage, result in results
            for line in _lines(stage, result)
        ]
        differences = [result.difference for _, result in results]
        micros = [result.register_micro for _, result in results]
        made[point] = Result(
            determinants=tuple(_prorated(batch, point, [stage for stage, _ in results], lines)),
            counts=Counts(*map(sum, zip(*(result.counts for _, result in results), strict=True))),
            difference=None if None in differences else sum(d or 0 for d in differences),
            register_micro=None if None in micros else sum(m or 0 for m in micros),
            overlapping=any(result.overlapping for _, result in results),
        )
    return made


def _lines(stage: Stage, result: Result) -> Iterator[Determinant]:
    for line in result.determinants:
        note = f"tariff {stage.part.tariff.name}"
        yield replace(line, note=f"{line.note}; {note}" if line.note else note)


def _prorated(
    batch: Batch, point: int, of: Sequence[Stage], lines: Sequence[Determinant]
) -> Iterator[Determinant]:
    """Share the whole period's register consumption by days where no part says its own.

    Quantity × days of the part ÷ days of the period (Oracle Utilities, proration), if every tariff
    allows it; rounded parts sum to the rounded whole.
    """
    billed = [line for line in lines if line.name == names.CONSUMPTION]
    micro = _whole(batch.spans.get(point, ()))
    same = {(stage.part.tariff.unit, stage.part.tariff.register) for stage in of}
    allowed = all(stage.part.tariff.proration == "days" for stage in of)
    if not allowed or len(same) > 1 or micro is None or any(b.value is not None for b in billed):
        yield from lines
        return
    days = [(stage.ends_on - stage.starts_on).days for stage in of]
    register = batch.tariff.register or ""
    exact = micro * factor(register, batch.tariff.unit) / MICRO / sum(days)
    rounding = batch.tariff.quantity_rounding
    values = rounding.shares([exact.numerator * some for some in days], exact.denominator)
    shares = iter(zip(days, values, strict=True))
    for line in lines:
        if line.name != names.CONSUMPTION:
            yield line
            continue
        some, value = next(shares)
        note = f"by register, prorated by days: {some} of {sum(days)}"
        yield replace(line, value=value, note=f"{note}; {line.note.split('; ')[-1]}")


def _whole(spans: Sequence[Span]) -> int | None:
    """Give what one meter's register says of the whole period [scaled unit / 10⁶]."""
    ordered = sorted(spans, key=lambda span: span.stretch.starts_at)
    if not ordered or len({span.stretch.installation_id for span in ordered}) > 1:
        return None
    if any(resets.fell(span) for span in ordered):
        return None
    first, last = ordered[0], ordered[-1]
    if first.start is None or last.end is None:
        return None
    stretch = replace(first.stretch, ends_at=last.stretch.ends_at)
    found = registers.consumption([Span(stretch, first.start, last.end)], lambda *_: None)
    return found.micro


def _within(spans: Sequence[Span], start: int, end: int) -> list[Span]:
    return [s for s in spans if start <= s.stretch.starts_at and s.stretch.ends_at <= end]


def _rows(table: BlockTable, chosen: NDArray[np.bool_]) -> BlockTable:
    return BlockTable(
        channel_id=table.channel_id[chosen],
        starts_at=table.starts_at[chosen],
        interval_seconds=table.interval_seconds[chosen],
        version=table.version[chosen],
        provenance_id=table.provenance_id[chosen],
        length=table.length[chosen],
        values=table.values[chosen],
        quality=table.quality[chosen],
    )
