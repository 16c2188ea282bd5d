"""What truly flowed, and what was truly wrong: tables to score a system against.

Values are after the multiplier, whole units, exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from schemas import reading_type
from schemas.period import Period
from simulators.meter import Meter

if TYPE_CHECKING:
    from simulators.fleet import Fleet


def intervals(fleet: Fleet, *, meters: Iterable[Meter] | None = None) -> pd.DataFrame:
    """List every true interval of a fleet.

    Parameters
    ----------
    meters : these only

    Returns
    -------
    columns end_device, usage_point, reading_type (categories), starts_at (UTC), value (int64)
    [Wh, varh or L]; by meter, reading type and time
    """
    chosen = list(fleet.meters if meters is None else meters)
    series = [(meter, name, meter.true_intervals(name)) for meter, name in _series(chosen)]
    lengths = np.array([len(values) for _, _, values in series], dtype=np.int64)
    starts = [
        meter.start + np.arange(len(values), dtype=np.int64) * meter.interval_seconds
        for meter, _, values in series
    ]
    return pd.DataFrame(
        {
            "end_device": _repeated([meter.mrid for meter, _, _ in series], lengths),
            "usage_point": _repeated([meter.usage_point for meter, _, _ in series], lengths),
            "reading_type": _repeated([_interval_name(name) for _, name, _ in series], lengths),
            "starts_at": pd.to_datetime(_joined(starts), unit="s", utc=True),
            "value": _joined([values * meter.multiplier for meter, _, values in series]),
        }
    )


def energy(fleet: Fleet, period: Period) -> pd.DataFrame:
    """Sum what truly flowed in a period, by usage point and reading type.

    Returns
    -------
    columns usage_point, reading_type, value (int64) [Wh, varh or L]; a period that cuts a
    quarter hour counts it evenly
    """
    bounds = np.array([period.start.timestamp(), period.end.timestamp()]).astype(np.int64)
    rows = [
        (
            meter.usage_point,
            _interval_name(name),
            int(np.diff(meter.true_count(name, bounds))[0]) * meter.multiplier,
        )
        for meter, name in _series(fleet.meters)
    ]
    table = pd.DataFrame(rows, columns=["usage_point", "reading_type", "value"])
    return table.groupby(["usage_point", "reading_type"], as_index=False, sort=True).sum()


def faults(fleet: Fleet) -> pd.DataFrame:
    """List every fault of a fleet.

    Returns
    -------
    columns end_device, usage_point, kind, starts_at, ends_at (UTC; NaT: never), detail; by meter
    and time
    """
    last = int(fleet.period.end.timestamp()) + 366 * 86_400
    rows = [
        (meter.mrid, meter.usage_point, fault.kind, fault.starts_at, fault.ends_at, fault.detail)
        for meter in fleet.meters
        for fault in meter.faults
    ]
    table = pd.DataFrame(
        rows, columns=["end_device", "usage_point", "kind", "starts_at", "ends_at", "detail"]
    )
    ends = table["ends_at"].where(table["ends_at"] < last)
    table["starts_at"] = pd.to_datetime(table["starts_at"], unit="s", utc=True)
    table["ends_at"] = pd.to_datetime(ends, unit="s", utc=True)
    return table


def _series(meters: Iterable[Meter]) -> Iterator[tuple[Meter, str]]:
    return ((meter, name) for meter in meters for name in meter.reading_types)


def _interval_name(cumulative: str) -> str:
    found = reading_type.interval_of(cumulative)
    if found is None:
        raise KeyError(f"reading type {cumulative} has no interval type")
    return found.name


def _repeated(names: Sequence[str], lengths: np.ndarray) -> pd.Categorical[str]:
    known = list(dict.fromkeys(names))
    numbers = {name: number for number, name in enumerate(known)}
    codes = np.repeat(np.array([numbers[name] for name in names], dtype=np.int64), lengths)
    return pd.Categorical.from_codes(codes, categories=pd.Index(known))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
