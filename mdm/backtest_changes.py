"""What differs between two runs of validation over the same days: findings, intervals, bills."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns, vee_findings
from mdm.determinants.composition import Result
from schemas import quality
from schemas.assets import Channel
from schemas.quality import QualityClass
from schemas.reading import BlockTable
from validation.finding import Action, Severity

Names = Mapping[int, tuple[str, str]]
"""Usage point and reading type by channel."""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """Findings of one rule and severity under the rules in force (before) and the changed ones."""

    rule: str
    severity: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class FindingChange:
    """A finding that only one of the two makes, or that they answer differently.

    ``before`` and ``after`` are severity and action, such as ``issue, estimate``; None for none.
    """

    usage_point: str
    reading_type: str
    starts_at: datetime
    ends_at: datetime
    rule: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class DayChange:
    """A local day of a channel whose values or qualities differ.

    Attributes
    ----------
    intervals : how many differ
    estimated_before, estimated_after : intervals
    energy_before, energy_after : of the whole day [scaled unit of the reading type]
    """

    usage_point: str
    reading_type: str
    day: date
    intervals: int
    estimated_before: int
    estimated_after: int
    energy_before: int
    energy_after: int


@dataclass(frozen=True, slots=True)
class DeterminantChange:
    """A figure of a bill that differs; None where it cannot be said."""

    usage_point: str
    name: str
    part: str
    unit: str
    before: Decimal | None
    after: Decimal | None


@dataclass(slots=True)
class Side:
    """What one of the two rule sets makes of some usage points."""

    blocks: list[BlockTable] = field(default_factory=list)
    findings: list[vee_findings.Table] = field(default_factory=list)


def _rows(side: Side) -> Iterator[tuple[tuple[int, str, int], int, str, str]]:
    """Give findings one by one: channel, rule and start; end; severity; action."""
    for table in side.findings:
        columns = (table.channel_id, table.starts_at, table.ends_at, table.severity, table.action)
        names = [name.decode() for name in table.rule.tolist()]
        for name, channel, start, end, severity, action in zip(
            names, *(column.tolist() for column in columns), strict=True
        ):
            key = (channel, name, start)
            yield key, end, Severity(severity).name.lower(), Action(action).name.lower()


def counted(sides: Iterable[Side]) -> Counter[tuple[str, str, int]]:
    """Count findings by rule, severity and side (0 before, 1 after)."""
    return Counter(
        (key[1], severity, number)
        for number, side in enumerate(sides)
        for key, _, severity, _ in _rows(side)
    )


def finding_changes(sides: tuple[Side, Side], names: Names) -> list[FindingChange]:
    """Give the findings that only one side makes, or that they answer differently."""
    before, after = (
        {key: (end, f"{severity}, {action}") for key, end, severity, action in _rows(side)}
        for side in sides
    )
    return [
        FindingChange(
            *names[key[0]],
            readings_columns.moment(key[2]),
            readings_columns.moment((after.get(key) or before[key])[0]),
            key[1],
            before[key][1] if key in before else None,
            after[key][1] if key in after else None,
        )
        for key in sorted(before.keys() | after.keys(), key=lambda key: (key[0], key[2], key[1]))
        if before.get(key) != after.get(key)
    ]


def day_changes(sides: tuple[Side, Side], names: Names, zone: ZoneInfo) -> list[DayChange]:
    """Give the local days whose values or qualities differ."""
    changes = []
    before, after = joined(sides[0].blocks), joined(sides[1].blocks)
    # Both have the same days; rule sets may take them in another order.
    place = readings_columns.places(
        (after.channel_id, after.starts_at), (before.channel_id, before.starts_at)
    )
    values, codes = after.values[place], after.quality[place]
    differs = (values != before.values) | (codes != before.quality)
    for row in np.flatnonzero(differs.any(axis=1)).tolist():
        start = readings_columns.moment(before.starts_at[row]).astimezone(zone).date()
        changes.append(
            DayChange(
                *names[int(before.channel_id[row])],
                start,
                int(differs[row].sum()),
                _estimated(before.quality[row]),
                _estimated(codes[row]),
                int(before.values[row].sum(dtype=np.int64)),
                int(values[row].sum(dtype=np.int64)),
            )
        )
    return sorted(changes, key=lambda each: (each.usage_point, each.reading_type, each.day))


def _estimated(codes: NDArray[np.int16]) -> int:
    return int((quality.classes(codes) == QualityClass.ESTIMATED).sum())


def joined(tables: Sequence[BlockTable]) -> BlockTable:
    """Put tables of one interval width or several below one another."""
    width = max((table.values.shape[1] for table in tables), default=0)

    def column(name: str, padding: int = 0) -> NDArray[Any]:
        parts = [getattr(table, name) for table in tables]
        if parts and parts[0].ndim == 2:
            parts = [
                np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=padding)
                for part in parts
            ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    if not tables:
        none = np.zeros(0, np.int32)
        wide = np.zeros((0, 0), np.int32)
        return BlockTable(
            none, none.astype(np.int64), none, none, none.astype(np.int64), none, wide,
            wide.astype(np.int16),
        )  # fmt: skip
    return BlockTable(
        channel_id=column("channel_id"),
        starts_at=column("starts_at"),
        interval_seconds=column("interval_seconds"),
        version=column("version"),
        provenance_id=column("provenance_id"),
        length=column("length"),
        values=column("values"),
        quality=column("quality", quality.MISSING),
    )


def over(
    record: BlockTable, made: BlockTable, channels: Mapping[int, Sequence[Channel]]
) -> BlockTable:
    """Lay made days over the record's, of the channels that the batch has."""
    wanted = [one.id for several in channels.values() for one in several]
    mine = _chosen(made, np.isin(made.channel_id, wanted))
    place = readings_columns.places(
        (mine.channel_id, mine.starts_at), (record.channel_id, record.starts_at)
    )
    return joined([mine, _chosen(record, place < 0)])


def _chosen(table: BlockTable, rows: NDArray[np.bool_]) -> BlockTable:
    return readings_columns.taken(table, np.flatnonzero(rows))


def figures(point: str, before: Result, after: Result) -> Iterator[DeterminantChange]:
    """Give the figures of a usage point's bill that differ."""
    one, two = (
        {(d.name, d.part, d.unit): d.value for d in result.determinants}
        for result in (before, after)
    )
    for key in dict.fromkeys((*one, *two)):
        if one.get(key) != two.get(key):
            yield DeterminantChange(point, *key, one.get(key), two.get(key))
