"""``miqyas vee backtest``: what changed rules would have done, before they are in force."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from console import point_choice, show, store, writing
from mdm import backtest
from mdm.backtest import Backtest, Tell
from mdm.backtest_changes import DayChange, DeterminantChange, FindingChange, RuleCount
from schemas import reading_type
from validation import ruleset

_SHOWN: Final = 15
_KINDS: Final = {
    "findings": FindingChange, "days": DayChange, "determinants": DeterminantChange,
}  # fmt: skip


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
    with (
        _files(out) as tell,
        store.connection() as connection,
        show.out.status("comparing…") as status,
    ):

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
            keep=_SHOWN,
            tell=tell,
        )
    _show(told)
    if out:
        with writing.text(out / "rules.csv") as file:
            _table(file, RuleCount)(told.rules)
        show.done(f"Written to {out}: {', '.join(f'{name}.csv' for name in ('rules', *_KINDS))}.")


def _show(told: Backtest) -> None:
    show.done(
        f"{show.count(told.usage_points, 'usage point')}, "
        f"{show.count(told.channel_days, 'channel-day')}, {told.intervals:,} intervals; "
        f"{show.count(told.differing['findings'], 'finding')}, "
        f"{show.count(told.differing['days'], 'day')} and "
        f"{show.count(told.differing['determinants'], 'determinant')} differ. Nothing was written."
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
            for d in told.days
        ],
    )  # fmt: skip
    show.table(
        f"Determinants that would differ (the first {_SHOWN})",
        ["usage point", "determinant", "part", "before #", "after #", "unit"],
        [(d.usage_point, d.name, d.part, d.before, d.after, d.unit)
         for d in told.determinants],
    )  # fmt: skip
    for point, reason in sorted(told.problems.items())[:_SHOWN]:
        show.problem(f"{point}: no determinants: {reason}")


@contextmanager
def _files(folder: Path | None) -> Iterator[dict[str, Tell] | None]:
    """Open a CSV file for each kind of difference; there are too many of them to keep."""
    if folder is None:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        yield {
            name: _table(stack.enter_context(writing.text(folder / f"{name}.csv")), kind)
            for name, kind in _KINDS.items()
        }


def _table(file: TextIO, kind: type[Any]) -> Tell:
    """Begin a table of one kind of row; give what writes more of them."""
    writer = csv.DictWriter(file, [field.name for field in fields(kind)])
    writer.writeheader()

    def more(rows: Sequence[Any]) -> None:
        writer.writerows(asdict(row) for row in rows)

    return more
