"""Replay: computing a determinant set again from exactly the versions that it names.

Everything that it was computed from was kept or named: versions of blocks and readings, the tariff
and the calendar as they were, the installations as the registry knew them. Nothing newer is looked
at. So a bill of years ago comes out the same to the last digit, or the replay says what does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from mdm import calendar_file, cycle_digests, readings, tariff_file
from mdm.cycle import Cycle
from mdm.delivery import Export
from mdm.determinants import batch as batches
from mdm.determinants import determinant, facts
from mdm.determinants.batch import Batch
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.registers import Reading, Span, Stretch
from schemas import statements
from schemas.assets import Channel
from schemas.database import Connection
from schemas.period import Period
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "replay.sql")


class ReplayError(RuntimeError):
    """A set cannot be computed again; the message says which of its inputs is gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What came out otherwise: of which figure, which field, as stored and as computed now."""

    determinant: str
    part: str
    field: str
    stored: str
    computed: str

    def __str__(self) -> str:
        of = f"{self.determinant} {self.part}".strip()
        return f"{of}: {self.field} is {self.computed}, was {self.stored}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found.

    Attributes
    ----------
    software : by which the set was computed
    versions : interval blocks and register readings that it names
    differences : none if it is bit-identical
    """

    determinant_set_id: int
    usage_point: str
    version: int
    software: str
    versions: int
    determinants: Sequence[Determinant]
    differences: tuple[Difference, ...]

    @property
    def identical(self) -> bool:
        """Whether every bit is as it was."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class _Stored:
    """A set as it stands in the database."""

    usage_point: str
    version: int
    starts_at: datetime
    ends_at: datetime
    time_zone: str
    software: str
    input_digest: str
    digest: str
    tariff: str
    calendar: str


def of_usage_point(
    connection: Connection, cycle: Cycle, usage_point: str, version: int | None = None
) -> Replay:
    """Replay a usage point's set of a cycle: a version of it, or the newest.

    Raises
    ------
    ReplayError
        if there is no such set, or one of its inputs is gone.
    """
    key = {"cycle": cycle.id, "usage_point": usage_point, "version": version}
    row = connection.execute(_SQL["of_usage_point"], key).fetchone()
    if row is None:
        which = "no determinants" if version is None else f"no version {version}"
        raise ReplayError(f"{usage_point} has {which} in {cycle}")
    return of_set(connection, row[0])


def of_export(connection: Connection, export: Export) -> list[Replay]:
    """Replay every set of an export, by usage point.

    Raises
    ------
    ReplayError
        if one of their inputs is gone.
    """
    rows = connection.execute(_SQL["of_export"], {"export": export.id}).fetchall()
    return [of_set(connection, row[0]) for row in rows]


def of_set(connection: Connection, number: int) -> Replay:
    """Replay a determinant set.

    Raises
    ------
    ReplayError
        if there is no such set, or one of its inputs is gone.
    """
    row = connection.execute(_SQL["set"], {"set": number}).fetchone()
    if row is None:
        raise ReplayError(f"there is no determinant set {number}")
    stored = _Stored(*row)
    batch = _batch(connection, number, stored)
    computed = batches.results(batch)[number].determinants
    before = _determinants(connection, number)
    differences = _differences(before, computed)
    for field, was, now in (
        ("digest of its inputs", stored.input_digest, cycle_digests.digests(batch)[number]),
        ("digest", stored.digest, determinant.digest(computed)),
    ):
        if was != now:
            differences.append(Difference("set", "", field, was, now))
    return Replay(
        determinant_set_id=number,
        usage_point=stored.usage_point,
        version=stored.version,
        software=stored.software,
        versions=_versions(batch),
        determinants=computed,
        differences=tuple(differences),
    )


def _batch(connection: Connection, number: int, stored: _Stored) -> Batch:
    """Put together what the set was computed from, under the set's own number."""
    channels, blocks = _intervals(connection, number, stored.usage_point)
    dials = _spans(connection, number, stored.usage_point)
    kept = connection.execute(_SQL["facts"], {"set": number}).fetchone()
    tariff = tariff_file.restored(stored.tariff)
    return Batch(
        tariff=tariff,
        calendar=calendar_file.restored(stored.calendar),
        zone=ZoneInfo(stored.time_zone),
        period=Period(stored.starts_at, stored.ends_at),
        usage_points=[number],
        channels={number: [c for c in channels if c.reading_type == tariff.interval]},
        spans={number: dials.pop("", [])},
        blocks=blocks,
        further={number: [c for c in channels if c.reading_type != tariff.interval]},
        dials={number: dials},
        facts={number: facts.restored(kept[0])} if kept else {},
    )


def _intervals(
    connection: Connection, number: int, usage_point: str
) -> tuple[list[Channel], BlockTable]:
    """Read the named versions of blocks."""
    rows = connection.execute(_SQL["intervals"], {"set": number}).fetchall()
    channels = [Channel(channel, number, kind, seconds) for channel, kind, seconds, *_ in rows]
    named = [
        (channel, int(start.timestamp()), version)
        for channel, _, _, starts, versions in rows
        for start, version in zip(starts, versions, strict=True)
    ]
    table = np.array(named, np.int64).reshape(-1, 3)
    try:
        return channels, readings.named(connection, *table.T)
    except KeyError as problem:
        raise ReplayError(f"{usage_point}: {problem.args[0]}") from problem


def _spans(connection: Connection, number: int, usage_point: str) -> dict[str, list[Span]]:
    """Read the installations as they were known, and the named versions of their readings.

    Returns
    -------
    by reading type of further registers; empty for the tariff's own
    """
    spans: dict[str, list[Span]] = defaultdict(list)
    for row in connection.execute(_SQL["registers"], {"set": number}):
        installation, channel, end_device, seconds, multiplier, modulus, starts_at, ends_at = row[
            :8
        ]
        stretch = Stretch(
            installation_id=installation,
            channel_id=channel,
            end_device=end_device,
            interval_seconds=seconds,
            multiplier=multiplier,
            modulus=modulus,
            starts_at=int(starts_at.timestamp()),
            ends_at=int(ends_at.timestamp()),
        )
        bounds = _reading(usage_point, *row[8:12]), _reading(usage_point, *row[12:16])
        spans[row[16]].append(Span(stretch, *bounds))
    return spans


def _reading(
    usage_point: str,
    read_at: datetime | None,
    version: int | None,
    value: int | None,
    quality: int | None,
) -> Reading | None:
    if read_at is None or version is None:
        return None
    if value is None or quality is None:
        raise ReplayError(f"{usage_point}: version {version} of its register of {read_at} is gone")
    return Reading(int(read_at.timestamp()), version, value, quality)


def _determinants(connection: Connection, number: int) -> list[Determinant]:
    """Read the determinants as they were stored."""
    found = []
    for row in connection.execute(_SQL["determinants"], {"set": number}):
        name, kind, part, value, unit, starts_at, ends_at = row[:7]
        moments = int(starts_at.timestamp()), int(ends_at.timestamp())
        counts, rounding, note = Counts(*row[7:12]), row[12], row[13]
        found.append(Determinant(name, kind, part, value, unit, *moments, counts, rounding, note))
    return found


def _differences(
    stored: Sequence[Determinant], computed: Sequence[Determinant]
) -> list[Difference]:
    """Compare figure by figure and field by field; 12.50 is not 12.5."""
    before = {(d.name, d.reading_type, d.part): d for d in stored}
    now = {(d.name, d.reading_type, d.part): d for d in computed}
    found = []
    for key in dict.fromkeys([*before, *now]):
        one, other = before.get(key), now.get(key)
        if one is None or other is None:
            was, is_ = ("absent" if d is None else "present" for d in (one, other))
            found.append(Difference(key[0], key[2], "figure", was, is_))
            continue
        texts = [
            (f.name, str(getattr(one, f.name)), str(getattr(other, f.name))) for f in fields(one)
        ]
        found += [Difference(key[0], key[2], *text) for text in texts if text[1] != text[2]]
    return found


def _versions(batch: Batch) -> int:
    """Count the versions that a set names."""
    spans: list[Any] = [span for several in batch.spans.values() for span in several]
    spans += [s for dials in batch.dials.values() for several in dials.values() for s in several]
    return len(batch.blocks) + sum(bool(s.start) + bool(s.end) for s in spans)
