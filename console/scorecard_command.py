"""``miqyas vee scorecard``: how well each estimator does on what is known."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from console import point_choice, show, store, writing
from mdm import scorecard
from mdm.scorecard import Scorecard
from validation import ruleset
from validation.scores import ALL, Score

_BESIDE = ("without a register", "scaled to a register")


def score(
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First local day.")
    ],
    end: Annotated[
        datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Before this local day.")
    ],
    points: point_choice.Names = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Score the estimators of this rule set; else every one there is.",
        ),
    ] = None,
    turns: Annotated[
        int, typer.Option(min=1, max=11, help="Hide gaps so often, each time on other days.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write all scores there, as CSV.")
    ] = None,
    orders: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the orders there, as rule sets have them."),
    ] = None,
    by_season: Annotated[
        bool, typer.Option("--by-season", help="Show each season's errors too.")
    ] = False,
) -> None:
    """Hide known values of past days, estimate them with each estimator, and show the errors.

    To apply a suggestion, put its estimators from --orders before a rule set's own: each says of
    which sector it is asked. Try that with `miqyas vee backtest --rules`, and have it take effect
    from a day on.

    Example: miqyas vee scorecard --from 2026-05-01 --to 2026-06-01
    """
    uses = ruleset.read(rules).estimators if rules else ()
    with store.connection() as connection, show.out.status("hiding and estimating…") as status:

        def progress(done: int, of: int) -> None:
            status.update(f"{done:,} of {of:,} channels scored…")

        told = scorecard.make(
            connection,
            first.date(),
            end.date(),
            now=store.now(connection),
            points=point_choice.named(connection, points),
            uses=uses,
            turns=turns,
            progress=progress,
        )
    _show(told, by_season=by_season)
    if orders:
        with writing.text(orders) as file:
            file.write(as_rules(told))
        show.done(f"Written to {orders}: the suggested estimators of each class.")
    if out:
        write(told.scores, out)
        show.done(f"Written to {out}: all scores, by season too.")


def _show(told: Scorecard, *, by_season: bool) -> None:
    show.done(
        f"{show.count(told.usage_points, 'usage point')}, {show.count(told.channels, 'channel')}, "
        f"{told.hidden:,} values hidden and estimated by each. Nothing was written."
    )
    season = ["season"] if by_season else []
    for usage, (alone, scaled) in told.orders.items():
        mine = [
            each
            for each in told.scores
            if each.usage == usage and (by_season or each.season == ALL)
        ]
        if not mine:
            continue
        show.table(
            f"{usage}: errors in % of what flowed (WAPE)",
            ["gap", *season, "method", "filled #", "error #", "bias #", "scaled #",
             "last value #", "interpolate #"],
            [
                (s.length, *([s.season] if by_season else []), s.method,
                 percent(s.filled / s.asked, 0), percent(s.wape),
                 percent(s.bias, sign=True), percent(s.scaled), percent(s.persistence),
                 percent(s.interpolate))
                for s in mine
                if s.filled
            ],
        )  # fmt: skip
        for beside, order in zip(_BESIDE, (alone, scaled), strict=True):
            show.done(f"{usage}, {beside}: suggested order: {', '.join(order) or 'none helps'}")


def as_rules(told: Scorecard) -> str:
    """Write the suggested orders as rule sets have them: a block for each class."""
    parts = [
        "# Put the block of a class before the estimators of its rule set: these fill the rest."
    ]
    for usage, found in told.orders.items():
        when = f"when = {{ sectors = [{json.dumps(usage.rpartition(', ')[2])}] }}\n"
        for beside, order in zip(_BESIDE, found, strict=True):
            parts.append(f"\n# {usage}, {beside}{'' if order else ': none helps'}")
            for name in order:
                use = told.uses[name]
                # JSON's strings, numbers, booleans and lists are TOML's too.
                values = "".join(f"{k} = {json.dumps(v)}\n" for k, v in use.parameters.items())
                parts.append(f'[[estimators]]\nmethod = "{use.estimator.name}"\n{when}{values}')
    return "\n".join(parts)


def percent(part: float | None, places: int = 1, *, sign: bool = False) -> str:
    """Give a part in percent, a dash for none."""
    if part is None:
        return "–"
    return f"{100 * part:+.{places}f}" if sign else f"{100 * part:.{places}f}"


def write(scores: Sequence[Score], path: Path) -> None:
    """Write scores as CSV, one a row."""
    with writing.text(path) as file:
        writer = csv.DictWriter(file, list(Score.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(each) for each in scores)
