"""``miqyas vee backtest``: what changed rules would have done, before they are in force."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from console import point_choice, show, store
from mdm import backtest
from mdm.backtest import Backtest
from schemas import reading_type
from validation import ruleset

_SHOWN: Final = 15


def backtest_rules(
    rules: Annotated[
        list[Path],
        typer.Option(exists=True, dir_okay=False, help="A changed rule set; may be repeated."),
    ],
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First local day.")
    ],
    end: Annotated[
        datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Before this local day.")
    ],
    points: point_choice.Names = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Compare with these instead of the rules in force; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write all that differs there, as CSV.")
    ] = None,
) -> None:
    """Run changed rules over past days without touching anything, and show what would differ.

    Example: miqyas vee backtest --rules NEW.toml \\
    --from 2026-06-01 --to 2026-07-01
    """  # fmt: skip
    changed = [ruleset.read(path) for path in rules]
    # What is not named again stays as it is in force.
    base = [ruleset.read(path) for path in against or ()]
    names = {each.name for each in base}
    in_force = (*base, *(each for each in ruleset.shipped() if each.name not in names))
    with store.connection() as connection, show.out.status("comparing…") as status:

        def progress(done: int, of: int) -> None:
            status.update(f"{done:,} of {of:,} usage points compared…")

        told = backtest.backtest(
            connection,
            changed,
            first.date(),
            end.date(),
            now=store.now(connection),
            points=point_choice.named(connection, points),
            in_force=in_force,
            progress=progress,
        )
    _show(told)
    if out:
        _write(told, out)


def _show(told: Backtest) -> None:
    show.done(
        f"{show.count(told.usage_points, 'usage point')}, "
        f"{show.count(told.channel_days, 'channel-day')}, {told.intervals:,} intervals; "
        f"{show.count(len(told.findings), 'finding')}, {show.count(len(told.days), 'day')} and "
        f"{show.count(len(told.determinants), 'determinant')} differ. Nothing was written."
    )
    show.table(
        "Findings",
        ["rule", "severity", "before #", "after #", "difference #"],
        [(r.rule, r.severity, f"{r.before:,}", f"{r.after:,}", f"{r.after - r.before:+,}")
         for r in told.rules],
    )  # fmt: skip
    show.table(
        f"Days with other values or qualities (the first {_SHOWN})",
        ["usage point", "reading type", "day", "intervals #", "estimated #", "energy #", "unit"],
        [
            (d.usage_point, d.reading_type, d.day, d.intervals,
             f"{d.estimated_before:,} → {d.estimated_after:,}",
             f"{d.energy_before:,} → {d.energy_after:,}", reading_type.named(d.reading_type).unit)
            for d in told.days[:_SHOWN]
        ],
    )  # fmt: skip
    show.table(
        f"Determinants that would differ (the first {_SHOWN})",
        ["usage point", "determinant", "part", "before #", "after #", "unit"],
        [(d.usage_point, d.name, d.part, d.before, d.after, d.unit)
         for d in told.determinants[:_SHOWN]],
    )  # fmt: skip
    for point, reason in sorted(told.problems.items())[:_SHOWN]:
        show.problem(f"{point}: no determinants: {reason}")


def _write(told: Backtest, folder: Path) -> None:
    """Write one CSV file a kind of difference."""
    folder.mkdir(parents=True, exist_ok=True)
    kinds: dict[str, Sequence[Any]] = {
        "rules": told.rules,
        "findings": told.findings,
        "days": told.days,
        "determinants": told.determinants,
    }
    for name, rows in kinds.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, list(asdict(rows[0])))
                writer.writeheader()
                writer.writerows(asdict(row) for row in rows)
    show.done(f"Written to {folder}: {', '.join(f'{name}.csv' for name in kinds)}.")
