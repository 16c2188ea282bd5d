"""The record and the bills held against the simulators' truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, cast

import pandas as pd

from console.demo import evidence, record
from console.demo.evidence import Evidence
from schemas import quality
from schemas.database import Connection
from schemas.period import Period
from simulators import truth
from simulators.fleet import Fleet

_KEY: Final = ["usage_point", "reading_type", "starts_at"]
_LITRES_PER_1000_GALLONS: Final = Decimal("4546.09")
_BILLED_TYPES: Final = ("active_energy_import_interval", "water_volume_interval")


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """What came out, beside what is true.

    Attributes
    ----------
    intervals : one row an interval: the record beside the truth
    funnel : intervals by group of meters: true, read, estimated, edited, questionable, missing
    faults : by kind: injected, found, how
    estimates : by method: intervals, mean absolute error, error as a share of the energy
    bills : one row a usage point, billed beside true [Wh or L]
    violations : what must not be; the demonstration fails if there is any
    raw : what the meters with spikes said, before the multiplier
    """

    intervals: pd.DataFrame
    funnel: pd.DataFrame
    faults: pd.DataFrame
    estimates: pd.DataFrame
    bills: pd.DataFrame
    violations: list[str]
    raw: pd.DataFrame


def reconcile(connection: Connection, fleet: Fleet, billing: Period) -> Reconciliation:
    """Hold everything that the database says against the fleet's truth."""
    faults = truth.faults(fleet)
    intervals = _beside_truth(record.intervals(connection, fleet.period), fleet)
    bills = _bills(record.bills(connection), truth.energy(fleet, billing), faults)
    seen = Evidence(
        findings=record.findings(connection),
        sessions=record.sessions(connection),
        deviations=record.clock_deviations(connection),
        intervals=intervals[intervals["reading_type"].isin(_BILLED_TYPES)],
        exact=frozenset(bills.loc[bills["difference"].eq(0), "usage_point"]),
        until=pd.Timestamp(fleet.period.end),
    )
    return Reconciliation(
        intervals=intervals,
        funnel=_funnel(intervals, fleet),
        faults=evidence.found(seen, faults),
        estimates=_estimates(intervals),
        bills=bills,
        violations=_violations(bills),
        raw=record.raw_of(
            connection, faults.loc[faults["kind"].eq("spike"), "end_device"].tolist()
        ),
    )


def _beside_truth(recorded: pd.DataFrame, fleet: Fleet) -> pd.DataFrame:
    """Put the record beside every true interval; what was never recorded counts as missing."""
    true = truth.intervals(fleet).rename(columns={"value": "true"})
    true = true.astype({"usage_point": "object", "reading_type": "object"})
    both = true.drop(columns="end_device").merge(recorded, how="left", on=_KEY)
    absent = both["quality_class"].isna()
    both.loc[absent, "quality_class"] = "missing"
    both["quality"] = both["quality"].fillna(quality.MISSING).astype("int16")
    both["recorded"] = both["recorded"].fillna(0).astype("int64")
    return both


def _funnel(intervals: pd.DataFrame, fleet: Fleet) -> pd.DataFrame:
    """Count intervals by protocol and commodity, and in all."""
    kind = {m.usage_point: f"{m.protocol} {m.commodity}" for m in fleet.meters}
    counted = pd.crosstab(
        intervals["usage_point"].map(kind).rename("meters"), intervals["quality_class"]
    ).reindex(columns=list(record.CLASSES), fill_value=0)
    counted.loc["all"] = counted.sum()
    counted.insert(0, "true", counted.sum(axis=1))
    return counted.rename(columns={"valid": "read"}).reset_index()


def _estimates(intervals: pd.DataFrame) -> pd.DataFrame:
    """Score estimates against the truth they stand for."""
    made = intervals[intervals["quality_class"].eq("estimated")]
    error = (made["recorded"] - made["true"]).abs()
    rows = []
    for key, part in made.groupby(["reading_type", "quality"], sort=True):
        name, code = cast(tuple[str, int], key)
        energy = int(part["true"].sum())
        rows.append(
            {
                "reading_type": name,
                "method": quality.name_of(code),
                "intervals": len(part),
                "mean_absolute_error": round(float(error[part.index].mean()), 1),
                "unit": record.unit_of(name),
                "share_of_energy": round(float(error[part.index].sum()) / max(energy, 1), 4),
                "energy_difference": int(part["recorded"].sum()) - energy,
            }
        )
    columns = [
        "reading_type", "method", "intervals", "mean_absolute_error", "unit", "share_of_energy",
        "energy_difference",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _bills(billed: pd.DataFrame, energy: pd.DataFrame, faults: pd.DataFrame) -> pd.DataFrame:
    """Put each usage point's bill beside its true energy and its faults."""
    true = energy[energy["reading_type"].isin(_BILLED_TYPES)]
    table = true.rename(columns={"value": "true"}).merge(billed, how="left", on="usage_point")
    kinds = faults.groupby("usage_point")["kind"].agg(lambda k: ", ".join(sorted(set(k))))
    table["faults"] = [kinds.get(mrid, "") for mrid in table["usage_point"]]
    table["state"] = table["state"].fillna("absent")
    differences = [_difference(row) for row in _rows(table)]
    table["difference"] = pd.Series(differences, dtype=object)
    return table


def _difference(row: Any) -> Decimal | None:
    """Billed minus true in the bill's own unit, None where nothing was computed."""
    if row.consumption is None or pd.isna(row.consumption):
        return None
    return Decimal(row.consumption) - _in_unit(int(row.true), row.unit)


def _in_unit(value: int, unit: str) -> Decimal:
    """Turn Wh or litres into the unit and the places that bills have."""
    if unit == "kWh":
        return Decimal(value).scaleb(-3)
    gallons = Decimal(value) / _LITRES_PER_1000_GALLONS
    return gallons.quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _rows(table: pd.DataFrame) -> Iterator[Any]:
    """Give a table's rows; their fields have the columns' types, which no stub can know."""
    return iter(table.itertuples())


def _violations(bills: pd.DataFrame) -> list[str]:
    """List what must not be: see ``make demo`` in the README."""
    problems = []
    for row in _rows(bills):
        if row.faults == "" and row.difference != 0:
            problems.append(
                f"{row.usage_point}: no fault, and billed {row.consumption} {row.unit} "
                f"differs from the truth by {row.difference}"
            )
        both = (row.register_consumption, row.interval_consumption)
        if not any(v is None or pd.isna(v) for v in both) and both[0] != both[1]:
            problems.append(
                f"{row.usage_point}: intervals give {both[1]} {row.unit}, the register gives "
                f"{both[0]} ({row.faults or 'no fault'})"
            )
    return problems
