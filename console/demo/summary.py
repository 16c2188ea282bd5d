"""What the demonstration tells at its end: tables, ``summary.json`` and a page with plots."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from console import show
from console.demo import page
from console.demo.run import Outcome


def show_tables(outcome: Outcome, seconds: float) -> None:
    """Print the funnel, the faults, the estimates, the bills, and whether all is well."""
    found = outcome.reconciliation
    show.table(
        "Intervals, held against the truth",
        ["meters", "true #", "read #", "estimated #", "edited #", "questionable #", "missing #"],
        _numbers(
            found.funnel,
            ["meters", "true", "read", "estimated", "edited", "questionable", "missing"],
        ),
    )
    show.table(
        "Faults",
        ["kind", "injected #", "found #", "what counts as found"],
        _numbers(found.faults, ["kind", "injected", "found", "how"]),
    )
    show.table(
        "Estimates, against what truly flowed",
        ["reading type", "method", "intervals #", "mean error", "error [% of energy]"],
        [
            (
                row["reading_type"],
                row["method"],
                f"{row['intervals']:,}",
                f"{row['mean_absolute_error']:,} {row['unit']}",
                f"{100 * row['share_of_energy']:.1f}",
            )
            for row in found.estimates.to_dict("records")
        ],
    )
    _show_bills(outcome)
    show.done("")
    for name, spent in outcome.phases.items():
        show.done(f"{name:<10} {spent:6.1f} s")
    show.done(f"{'all':<10} {seconds:6.1f} s")
    for problem in outcome.problems:
        show.problem(problem)
    verdict = "FAILED: see above." if outcome.problems else "Every bill agrees with the truth."
    show.out.print(verdict, style="bold red" if outcome.problems else "bold green")


def write(outcome: Outcome, seconds: float, folder: Path) -> None:
    """Write ``summary.json`` and ``index.html``; say where they are."""
    told = told_as_json(outcome, seconds)
    text = json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    (folder / "summary.json").write_text(text + "\n", encoding="utf-8")
    (folder / "index.html").write_text(page.rendered(outcome, told), encoding="utf-8")
    show.done(f"Figures: {folder / 'summary.json'}   Plots: {folder / 'index.html'}")
    show.done("In the browser: make serve   Look around: .venv/bin/miqyas --demo worklist list")


def told_as_json(outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Give every figure of the demonstration, with its unit in its name where it has one."""
    found, billed = outcome.reconciliation, outcome.billed
    done = found.bills[found.bills["state"].eq("billed")]
    return {
        "ok": not outcome.problems,
        "problems": outcome.problems,
        "database": outcome.database,
        "broker": outcome.broker,
        "seconds": round(seconds, 1),
        "phases_seconds": outcome.phases,
        "meters": outcome.installations,
        "usage_points": len(found.bills),
        "sessions": {
            "ok": outcome.tally.sessions_ok,
            "partial": outcome.tally.sessions_partial,
            "failed": outcome.tally.sessions_failed,
        },
        "mqtt_messages": outcome.tally.published,
        "raw": outcome.raw,
        "funnel": found.funnel.to_dict("records"),
        "faults": found.faults.to_dict("records"),
        "estimates": found.estimates.to_dict("records"),
        "billing": {
            "usage_points": billed.status.usage_points,
            "billed": billed.status.billed,
            "held": billed.status.held,
            "rejected": billed.status.rejected,
            "not_computed": billed.status.absent,
            "delivered": billed.delivered,
            "acknowledged": billed.acknowledged,
            "delivered_again": billed.delivered_again,
            "invoices": len(billed.invoices),
            "replayed": billed.replayed,
            "replayed_bit_identical": billed.identical,
            "holds": [
                {"usage_point": h.usage_point, "gate": h.gate, "reason": h.detail}
                for h in billed.holds
            ],
        },
        "invoiced": outcome.charges.to_dict("records"),
        "owed": billed.paid.plain(),
        "energy": [_energy(unit, part) for unit, part in done.groupby("unit", sort=True)],
        "bills": _records(found.bills.drop(columns="reading_type")),
    }


def _show_bills(outcome: Outcome) -> None:
    found, billed = outcome.reconciliation, outcome.billed
    now = billed.status
    show.table(
        "Bills for June 2026",
        ["", "usage points #"],
        [
            ("in the cycle", now.usage_points),
            ("delivered", billed.delivered),
            ("acknowledged and billed", now.billed),
            ("delivered twice", billed.delivered_again),
            ("held, with the reason", now.held),
            ("rejected by the invoicing system", now.rejected),
            ("replayed bit-identical", f"{billed.identical} of {billed.replayed}"),
        ],
    )
    rows = [(h.usage_point, h.gate, h.detail) for h in billed.holds]
    show.table("Held", ["usage point", "gate", "reason"], rows)
    done = found.bills[found.bills["state"].eq("billed")]
    for unit, part in done.groupby("unit", sort=True):
        told, of = _energy(unit, part), counted(str(unit))
        show.done(
            f"Billed {told['billed']:,} {of}; true {told['true']:,} {of}; difference "
            f"{told['difference']:,} {of} over {told['usage_points']} usage points, "
            f"{told['exact']} of them exact"
        )
    show.table(
        "Invoiced, beside the truth at the same prices",
        ["sector", "invoices #", "invoiced [KD] #", "true [KD] #", "exact #"],
        _numbers(outcome.charges, ["sector", "invoices", "invoiced_kd", "true_kd", "exact"]),
    )
    owed = billed.paid
    show.done(
        f"{owed.accounts} accounts were invoiced {owed.invoiced:,} KD, paid {owed.paid:,} KD and "
        f"owe {owed.balance:,} KD; {owed.posted_back:,} KD were posted back as owed with the "
        "acknowledgements"
    )


def counted(unit: str) -> str:
    """Write a unit behind a figure: one that begins with a figure would run into it."""
    return f"× {unit}" if unit[:1].isdigit() else unit


def _energy(unit: object, part: pd.DataFrame) -> dict[str, Any]:
    """Sum billed and true energy of usage points with the same unit."""
    total = sum((Decimal(value) for value in part["consumption"]), Decimal(0))
    difference = sum((Decimal(value) for value in part["difference"]), Decimal(0))
    return {
        "unit": unit,
        "usage_points": len(part),
        "exact": int(part["difference"].eq(0).sum()),
        "billed": total,
        "true": total - difference,
        "difference": difference,
    }


def _records(table: pd.DataFrame) -> list[dict[Any, Any]]:
    """Give a table's rows; what is not known is None, since JSON has no NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _numbers(table: pd.DataFrame, columns: list[str]) -> list[tuple[object, ...]]:
    return [
        tuple(f"{value:,}" if isinstance(value, int) else value for value in row)
        for row in table[columns].itertuples(index=False)
    ]


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} has no plain form")
