"""What a run is computed from: blocks and readings as they are known, with their versions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from mdm import billing_facts, billing_registers, cycle_intervals, readings, readings_columns
from mdm.calendar import Calendar
from mdm.determinants import parts, resets
from mdm.determinants.batch import Batch
from mdm.determinants.facts import Facts
from mdm.determinants.ground import Clock
from mdm.determinants.registers import Reading, Span, Stretch, bounded
from mdm.tariff import BILLING_REGISTER, Tariff
from schemas import binary_copy, statements
from schemas.assets import Channel, UsagePoint
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass

_SQL = statements.load("mdm", "cycle.sql")

ReadingKey = tuple[int, int]
_READING: Final = {
    "channel_id": "int4",
    "installation_id": "int4",
    "read_at": "timestamptz",
    "version": "int4",
    "value": "int8",
    "quality": "int2",
}


def gathered(
    connection: Connection,
    tariff: Tariff,
    calendar: Calendar,
    points: Sequence[UsagePoint],
    period: Period,
    *,
    known_at: datetime,
) -> Batch:
    """Read everything that the determinants of some usage points need.

    Parameters
    ----------
    points : of one time zone
    known_at : versions recorded later are left out
    """
    ids, zone = [point.id for point in points], ZoneInfo(points[0].time_zone)
    channels: dict[int, list[Channel]] = defaultdict(list)
    further: dict[int, list[Channel]] = defaultdict(list)
    for channel in _channels(connection, tariff, ids):
        mine = channels if channel.reading_type == tariff.interval else further
        mine[channel.usage_point_id].append(channel)
    spans: dict[int, list[Span]] = defaultdict(list)
    dials: dict[int, dict[str, list[Span]]] = defaultdict(dict)
    for one, part in _stretched(tariff, period, zone):
        found = _spans(connection, one, ids, part, known_at)
        for point, several in found.items():
            spans[point] += several
        own = billing_registers.gathered(
            connection, one, found, part, cycle=period, known_at=known_at
        )
        for point, span in own.items():
            dials[point].setdefault(BILLING_REGISTER, []).append(span)
        for point, by_kind in _dials(connection, one, ids, part, known_at).items():
            for kind, several in by_kind.items():
                dials[point].setdefault(kind, []).extend(several)
    batch = Batch(
        tariff=tariff,
        calendar=calendar,
        zone=zone,
        period=period,
        usage_points=ids,
        channels=channels,
        spans=spans,
        blocks=readings.NOTHING,
        further=further,
        dials=dials,
        facts=_facts(connection, tariff, points, Clock(calendar, zone, period), known_at),
    )
    days, blocks = cycle_intervals.read(connection, batch, known_at=known_at)
    return replace(batch, days=days, blocks=blocks)


def _channels(connection: Connection, tariff: Tariff, ids: Sequence[int]) -> list[Channel]:
    """List the channels of intervals that a tariff asks for."""
    wanted = {name for one in _versions(tariff) for name in _intervals(one) if name}
    limits = {"usage_points": binary_copy.array(ids), "reading_types": sorted(wanted)}
    return [Channel(*row) for row in connection.execute(_SQL["channels"], limits)]


def _versions(tariff: Tariff) -> list[Tariff]:
    """Give a tariff, or those of which it is made."""
    return [part.tariff for part in tariff.parts] or [tariff]


def _intervals(tariff: Tariff) -> set[str | None]:
    return {tariff.interval, *(name for of in tariff.declared for name in of.intervals)}


def _stretched(tariff: Tariff, period: Period, zone: ZoneInfo) -> list[tuple[Tariff, Period]]:
    """Give the tariffs of which one is made, each with its stretch of the period."""
    if not tariff.parts:
        return [(tariff, period)]
    stretches = parts.periods(tariff.parts, period, zone)
    return list(zip(_versions(tariff), stretches, strict=True))


def _facts(
    connection: Connection,
    tariff: Tariff,
    points: Sequence[UsagePoint],
    clock: Clock,
    known_at: datetime,
) -> dict[int, Facts]:
    """Read what figures rest on besides readings, by usage point; of parts each its own."""
    if not tariff.parts:
        return billing_facts.gathered(connection, tariff, points, clock, known_at=known_at)
    stretches = parts.periods(tariff.parts, clock.period, clock.zone)
    found = [
        billing_facts.gathered(
            *(connection, part.tariff, points, Clock(part.calendar, clock.zone, stretch)),
            known_at=known_at,
        )
        for part, stretch in zip(tariff.parts, stretches, strict=True)
    ]
    whole = {
        point.id: Facts(parts=tuple(each.get(point.id, Facts()) for each in found))
        for point in points
    }
    return {point: facts for point, facts in whole.items() if facts.text}


def rule_sets(connection: Connection, batch: Batch) -> dict[int, list[str]]:
    """Give the rule sets, as name@digest, that made each usage point's intervals."""
    distinct = np.unique(batch.blocks.provenance_id)
    rows = connection.execute(_SQL["rule_sets"], {"provenances": distinct.tolist()})
    names: dict[int, str] = {row[0]: row[1] for row in rows}
    owner = {c.id: point for point in batch.usage_points for c in batch.every_channel(point)}
    place = np.searchsorted(distinct, batch.blocks.provenance_id)
    pairs = np.unique((batch.blocks.channel_id.astype(np.int64) << 32) + place)
    found: dict[int, set[str]] = defaultdict(set)
    for pair in pairs.tolist():
        provenance = int(distinct[pair & 0xFFFF_FFFF])
        if provenance in names:
            found[owner[pair >> 32]].add(names[provenance])
    return {point: sorted(found[point]) for point in batch.usage_points}


def _spans(
    connection: Connection, tariff: Tariff, ids: Sequence[int], period: Period, known_at: datetime
) -> dict[int, list[Span]]:
    """Give every usage point's installations with the readings that bound them."""
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    stretches = _stretches(connection, tariff, ids, period)
    found = _readings(connection, stretches, period, known_at)
    spans = {
        point: [
            bounded(s, found.get((s.channel_id or 0, s.installation_id), ()), start, end)
            for s in several
        ]
        for point, several in stretches.items()
    }
    return _cut(connection, spans, period, known_at)


def _cut(
    connection: Connection, spans: dict[int, list[Span]], period: Period, known_at: datetime
) -> dict[int, list[Span]]:
    """Cut the stretches whose register was reset; only of these all readings are looked at."""
    every = [span for several in spans.values() for span in several]
    beyond = _beyond(connection, every, period, known_at)
    fallen = [
        s
        for s in every
        if resets.fell(s) or (s.stretch.channel_id, s.stretch.installation_id) in beyond
    ]
    if not fallen:
        return spans
    numbers = sorted({s.stretch.channel_id for s in fallen if s.stretch.channel_id is not None})
    inside: dict[ReadingKey, list[Reading]] = defaultdict(list)
    for channel, installation, *fields in _registers(connection, numbers, period, known_at):
        inside[channel, installation].append(Reading(*fields))
    return {
        point: [
            piece
            for span in several
            for piece in resets.pieces(
                span,
                sorted(
                    inside.get((span.stretch.channel_id or 0, span.stretch.installation_id), ()),
                    key=lambda reading: reading.read_at,
                ),
            )
        ]
        for point, several in spans.items()
    }


def _beyond(
    connection: Connection, spans: Sequence[Span], period: Period, known_at: datetime
) -> set[tuple[int | None, int]]:
    """Find the registers that showed what the readings at their stretch's ends deny.

    Where an estimate bounds a stretch, that is no wonder: the next stretch makes up for it.
    """
    bounds = [
        (s.stretch.channel_id, s.stretch.installation_id, start.read_at, end.read_at, start.value,
         end.value)
        for s in spans
        for start, end in [(s.start, s.end)]
        if start and end and QualityClass.ESTIMATED not in (start.kind, end.kind)
    ]  # fmt: skip
    if not bounds:
        return set()
    names = ("channels", "installations", "since", "until", "low", "high")
    columns = map(binary_copy.array, zip(*bounds, strict=True))
    limits = dict(zip(names, columns, strict=True))
    moments = {"start": period.start, "end": period.end, "known_at": known_at}
    rows = connection.execute(_SQL["beyond"], {**limits, **moments})
    return {(row[0], row[1]) for row in rows}


def _dials(
    connection: Connection, tariff: Tariff, ids: Sequence[int], period: Period, known_at: datetime
) -> dict[int, dict[str, list[Span]]]:
    """Give every usage point's further registers, by reading type."""
    found: dict[int, dict[str, list[Span]]] = defaultdict(dict)
    kinds = dict.fromkeys(kind for of in tariff.declared for kind in of.dials)
    for kind in kinds:
        if kind == tariff.register:
            continue
        one = replace(tariff, register=kind)
        for point, several in _spans(connection, one, ids, period, known_at).items():
            found[point][kind] = several
    return found


def _stretches(
    connection: Connection, tariff: Tariff, ids: Sequence[int], period: Period
) -> dict[int, list[Stretch]]:
    parameters = {
        "usage_points": binary_copy.array(ids),
        "register": tariff.register,
        "start": period.start,
        "end": period.end,
    }
    found: dict[int, list[Stretch]] = defaultdict(list)
    for *fields, starts_at, ends_at in connection.execute(_SQL["stretches"], parameters):
        point, installation, channel, end_device, seconds, multiplier, modulus = fields
        found[point].append(
            Stretch(
                installation_id=installation,
                channel_id=channel,
                end_device=end_device,
                interval_seconds=seconds,
                multiplier=multiplier,
                modulus=modulus,
                starts_at=starts_at,
                ends_at=ends_at,
            )
        )
    return found


def _readings(
    connection: Connection,
    stretches: Mapping[int, Sequence[Stretch]],
    period: Period,
    known_at: datetime,
) -> dict[ReadingKey, list[Reading]]:
    """Read what may bound the stretches, by channel and installation, oldest first.

    Only where a meter came or went inside the period are all readings looked at: elsewhere the
    two at the period's ends are enough, out of hundreds.
    """
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    plain: list[int] = []
    moved: list[int] = []
    for several in stretches.values():
        numbers = [s.channel_id for s in several if s.channel_id is not None]
        whole = len(several) == 1 and (several[0].starts_at, several[0].ends_at) == (start, end)
        (plain if whole else moved).extend(numbers)
    found: dict[ReadingKey, list[Reading]] = defaultdict(list)
    parameters = {
        "channels": binary_copy.array(plain),
        "moments": [period.start, period.end],
        "known_at": known_at,
    }
    columns = binary_copy.read_together(connection, _SQL["boundary_readings"], parameters, _READING)
    columns[2] = columns[2] // readings_columns.SECOND
    for channel, installation, *fields in zip(*(c.tolist() for c in columns), strict=True):
        found[channel, installation].append(Reading(*fields))
    for channel, installation, *fields in _registers(
        connection, sorted(set(moved)), period, known_at
    ):
        found[channel, installation].append(Reading(*fields))
    return {key: sorted(several, key=lambda r: r.read_at) for key, several in found.items()}


def _registers(
    connection: Connection, channels: Sequence[int], period: Period, known_at: datetime
) -> Iterator[tuple[int, ...]]:
    """Read all readings of channels: channel, installation, and a reading's fields."""
    table = readings.registers(connection, channels, period, known_at=known_at)
    columns = (table.channel_id, table.installation_id, table.read_at, table.version)
    return zip(*(c.tolist() for c in (*columns, table.value, table.quality)), strict=True)
