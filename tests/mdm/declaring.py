"""What tests of declared determinants share: a tariff of given tables, and one usage point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np

from mdm import calendar_file, tariff_file
from mdm.determinants import batch as batches
from mdm.determinants.batch import Batch
from mdm.determinants.determinant import Determinant
from mdm.determinants.facts import Facts
from mdm.determinants.registers import Span
from mdm.tariff import Tariff
from schemas import quality
from schemas.assets import Channel
from schemas.period import Period
from schemas.reading import BlockTable
from tests.mdm.test_determinants import blocks

LONDON = ZoneInfo("Europe/London")
IMPORT, EXPORT = "active_energy_import_interval", "active_energy_export_interval"
REACTIVE = "reactive_energy_import_interval"
JUNE = date(2026, 6, 1)
BASE = """
[[tariff]]
name = "works"
commodity = "electricity"
effective_from = 2020-01-01
calendar = "london"
register = "active_energy_import"
interval = "active_energy_import_interval"
sources = ["interval"]
unit = "kWh"
determinants = []
rounding.quantity = { places = 3 }
rounding.demand = { places = 3 }
rounding.ratio = { places = 4 }
"""


def tariff(declared: str) -> Tariff:
    """Make a tariff of ``[[tariff.determinant]]`` tables, ``kind`` written in short."""
    (made,) = tariff_file.parse(BASE + declared, "works.toml")
    return made


def one(kind: str, *keys: str) -> Tariff:
    """Make a tariff that declares one determinant."""
    return tariff("\n".join(["[[tariff.determinant]]", f'kind = "{kind}"', *keys]))


def joined(tables: Sequence[BlockTable]) -> BlockTable:
    width = max(table.values.shape[1] for table in tables)

    def padded(array: np.ndarray, fill: int) -> np.ndarray:
        missing = ((0, 0), (0, width - array.shape[1]))
        return np.pad(array, missing, constant_values=fill)

    names = ("channel_id", "starts_at", "interval_seconds", "version", "provenance_id", "length")
    columns = {name: np.concatenate([getattr(t, name) for t in tables]) for name in names}
    values = np.concatenate([padded(t.values, 0) for t in tables])
    codes = np.concatenate([padded(t.quality, quality.MISSING) for t in tables])
    return BlockTable(**columns, values=values, quality=codes)


def batch(
    of: Tariff,
    period: Period,
    intervals: Mapping[str, Sequence[int]],
    *,
    seconds: int = 1800,
    codes: Mapping[str, Mapping[int, int]] | None = None,
    facts: Facts | None = None,
    dials: Mapping[str, Sequence[Span]] | None = None,
    spans: Sequence[Span] = (),
    zone: ZoneInfo = LONDON,
) -> Batch:
    """Put one usage point's intervals in a batch; ``codes`` gives slots that are not valid."""
    tables, channels = [], []
    for number, (kind, values) in enumerate(intervals.items(), 7):
        flags = [quality.VALID] * len(values)
        for slot, code in (codes or {}).get(kind, {}).items():
            flags[slot] = code
        tables.append(blocks(number, period, zone, seconds, values, codes=flags))
        channels.append(Channel(number, 1, kind, seconds))
    return Batch(
        tariff=of,
        calendar=calendar_file.named(of.calendar),
        zone=zone,
        period=period,
        usage_points=[1],
        channels={1: [c for c in channels if c.reading_type == of.interval]},
        spans={1: list(spans)},
        blocks=joined(tables),
        further={1: [c for c in channels if c.reading_type != of.interval]},
        dials={1: dials or {}},
        facts={1: facts or Facts()},
    )


def lines(of: Batch) -> dict[tuple[str, str], Determinant]:
    return {(d.name, d.part): d for d in batches.results(of)[1].determinants}


def figures(of: Batch) -> dict[tuple[str, str], str | None]:
    """Give values as text: 12.50 is not 12.5."""
    return {key: None if d.value is None else str(d.value) for key, d in lines(of).items()}
