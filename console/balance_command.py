"""``miqyas balance``: what flows into a node and out of it, what is lost, and where to look."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from console import balance_words, show, store
from mdm import balance as balances
from mdm.balance import Accused, Balance

_DAY = "%Y-%m-%d"


def balance(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NODE", help="A balance, or a usage point that feeds one."),
    ] = None,
    first: Annotated[
        datetime | None, typer.Option("--from", formats=[_DAY], help="First local day.")
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", formats=[_DAY], help="Before this local day.")
    ] = None,
) -> None:
    """Show what flows into a node and out of it, what is lost, and which meter explains it best.

    The last five weeks, unless days are given. Nodes are virtual usage points of kind balance
    (`miqyas import virtual`); without a NODE they are listed.

    Example: miqyas balance FEEDER-7 --from 2026-06-01 --to 2026-07-01
    """
    with store.connection() as connection:
        if name is None:
            rows = [(each.usage_point, each.reading_type) for each in balances.nodes(connection)]
            show.table("Balances", ["node", "of"], rows)
            if not rows:
                show.done("What to do: name a node and its meters, miqyas import virtual FILE.")
            return
        told = balances.view(
            connection,
            balances.named(connection, name),
            now=store.now(connection),
            first=first.date() if first else None,
            end=end.date() if end else None,
        )
    _show(told)


def _show(told: Balance) -> None:
    unit = told.kind.display_unit
    show.table(
        f"{told.node.usage_point}: {show.count(told.meters, 'meter')}, {told.time_zone}",
        ["day", f"in [{unit}]", f"out [{unit}]", f"lost [{unit}]", "lost [%]",
         f"expected [{unit}]", f"unexplained [{unit}]", "known [%]"],
        [_row(f"{day}", sums, told) for day, sums in told.days]
        + [_row("all", told.total, told)],
    )  # fmt: skip
    for lack in told.lacking[:5]:
        show.done(f"missing: {lack.usage_point}, {show.count(lack.slots, 'interval')}")
    if len(told.lacking) > 5:
        show.done(f"missing: {len(told.lacking) - 5:,} others")
    if not told.enough:
        show.done("Too few days are known to look for a cause: at least 7 are needed.")
    elif told.unmetered:
        show.done(_unmetered(told))
    elif not told.accused:
        show.done("Nothing stands out: no meter explains what is unexplained.")
    for accused in told.accused:
        show.done(_words(accused, told))


def _row(name: str, sums: balances.Sums, told: Balance) -> tuple[str, ...]:
    amounts = (sums.flow_in, sums.flow_out, sums.lost)
    known = 100 * sums.known / sums.slots if sums.slots else None
    return (
        name,
        *(f"{balance_words.shown(each, told.kind):,}" for each in amounts),
        balance_words.percent(sums.part(sums.lost)),
        *(f"{balance_words.shown(x, told.kind):,}" for x in (sums.expected, sums.unexplained)),
        balance_words.percent(known),
    )


def _unmetered(told: Balance) -> str:
    """Say that something draws energy that has no meter's pattern."""
    if told.unmetered is None:
        return ""
    since = f" since {told.unmetered.since}" if told.unmetered.since else ""
    amount = balance_words.shown(told.unmetered.energy_a_day, told.kind)
    return (
        f"No meter explains it: something{since} draws {amount:,} {told.kind.display_unit} a day "
        "in a pattern of its own. A tap before the meters, or a usage point without readings."
    )


def _words(accused: Accused, told: Balance) -> str:
    """Say what a suspect explains, and how surely."""
    suspect = accused.suspect
    since = f" since {accused.since}" if accused.since else ""
    factor = balance_words.factor(suspect)
    cause = {
        "multiplier": f"wrong multiplier{since}: {balance_words.ratio(suspect)} times what it "
        f"counts flows (measured: {factor})",
        "bypass": f"theft or bypass{since}: "
        + (f"{factor} times what it counts flows" if factor else "it counts next to nothing"),
        "counts_too_much": f"it counts too much{since}: {factor} times what it counts flows",
        "elsewhere": f"fed from another node{since}, or swapped: what it counts does not flow "
        "through this one",
        "unregistered": f"fed by this node{since}, though it is not in its definition: {factor} "
        "times what it counts is missing here",
    }[suspect.cause]
    amount = balance_words.shown(suspect.energy, told.kind)
    alone = "" if suspect.alone else "; others explain nearly as much"
    return (
        f"{accused.usage_point}: {cause}. It accounts for {amount:,} {told.kind.display_unit}, and "
        f"explains {100 * suspect.explains:.0f} % of how the loss varies{alone}."
    )
