"""``miqyas worklist``: what validation leaves to people, who has it, and what was decided."""

from __future__ import annotations

import getpass
from collections import Counter
from datetime import datetime, timedelta
from typing import Annotated

import typer

from console import show, store, vee_commands, worklist_edits
from console.deciding import AssignedTo, Assignee, Assigner, Limit, Person, Reason, UsagePoint
from console.worklist_choice import (
    AfterBilling,
    Group,
    Numbers,
    Rule,
    Severity,
    Since,
    Until,
    Wanted,
    aware,
    period,
)
from mdm import worklist, worklist_item, worklist_people
from mdm.worklist import Item
from mdm.worklist_item import Line, Look
from schemas import quality
from schemas.period import Period
from schemas.settings import Settings

app = typer.Typer(no_args_is_help=True, help="What validation leaves for people.")
worklist_edits.add_to(app)

_AROUND = 3


@app.command("list")
def list_findings(
    usage_point: UsagePoint = None,
    rule: Rule = None,
    severity: Severity = "issue",
    billing_group: Group = None,
    assigned_to: AssignedTo = None,
    since: Since = None,
    until: Until = None,
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only what waits too long.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Of every severity.")] = False,
    limit: Limit = 50,
) -> None:
    """List open findings, counted by cause first; issues only, unless you ask for more.

    What each rule observes and its limit, and their units, stand in docs/rules.md. What is
    overdue is marked with !, what is held with ~.

    Example: miqyas worklist list --rule spike --all
    """
    after = Settings().overdue_after()
    with store.connection() as connection:
        now = store.now(connection)
        causes = worklist.groups(connection, usage_point=usage_point)
        found = worklist.findings(
            connection, rule=rule, severity=None if everything else severity,
            usage_point=usage_point, billing_group=billing_group, assigned_to=assigned_to,
            period=period(since, until), limit=10_000 if overdue else limit,
        )  # fmt: skip
    if overdue:
        found = [one for one in found if one.overdue(after, now)][:limit]
    show.table(
        "Open findings by cause",
        ["rule", "severity", "done", "findings #", "usage points #", "oldest"],
        [
            (g.rule, g.severity, g.action, g.findings, g.usage_points, _age(now - g.oldest))
            for g in causes
        ],
    )
    columns = [
        "no. #", "usage point", "rule", "from, UTC", "lasts #", "observed #", "limit #", "age",
        *(["who"] if any(one.assigned_to for one in found) else []),
    ]  # fmt: skip
    # One table a reading type: its long name would take the place of the figures.
    for kind in dict.fromkeys(one.reading_type for one in found):
        rows = [
            (f.id, f.usage_point, f.rule, f"{f.starts_at:%m-%d %H:%M}",
             _lasting(f.ends_at - f.starts_at), _figure(f.observed), _figure(f.limit),
             _age(now - f.found_at) + _mark(f, after, now), f.assigned_to)[: len(columns)]
            for f in found if f.reading_type == kind
        ]  # fmt: skip
        show.table(kind, columns, rows)
    if len(found) == limit:
        show.done(f"These are the first {limit}; see --limit, --rule and --usage-point.")
    named = sorted({one.rule for one in causes})
    if rule is not None and rule not in named:
        others = f"; there are of: {', '.join(named)}" if named else ""
        show.done(f"There is no open finding of a rule {rule!r}{others}.")


@app.command("show")
def show_finding(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="From `worklist list`.")],
    *,
    whole_day: Annotated[bool, typer.Option("--day", help="Every interval of the day.")] = False,
) -> None:
    """Show a finding with raw values, neighbours, like days and the proposed estimate.

    Values are in the reading type's scaled unit, after the multiplier.

    Example: miqyas worklist show 12
    """
    with store.connection() as connection:
        now = store.now(connection)
        seen = worklist_item.look(connection, number, now=now)
        events = worklist_people.history(connection, number)
    item = seen.item
    stretch = Period(item.starts_at, item.ends_at)
    show.done(
        f"{item.rule} at {item.usage_point}, {item.reading_type}, {stretch}: {item.severity}, "
        f"{item.state}, found {_age(now - item.found_at)} ago. "
        f"Observed {_figure(item.observed) or '–'}, limit {_figure(item.limit) or '–'}."
    )
    columns = ["", "from, UTC", "raw #", "record #", "quality", "estimate #", "day before #",
               "day after #", "like days #"]  # fmt: skip
    show.table(f"{item.local_date} and days beside it", columns, _rows(seen, whole=whole_day))
    made = Counter(quality.name_of(one.code) for one in seen.estimates)
    told = ", ".join(f"{name} {count}" for name, count in made.items())
    show.done(f"Proposed: {told}. Like days: "
              + (", ".join(f"{day}" for day, _ in seen.like_days) or "none") + ".")  # fmt: skip
    if events:
        show.table(
            "What was done with it",
            ["at, UTC", "what", "by", "to", "until", "reason"],
            [
                (f"{e.happened_at:%Y-%m-%d %H:%M}", e.kind, e.person, e.assignee,
                 e.held_until and f"{e.held_until:%Y-%m-%d %H:%M}", e.reason)
                for e in events
            ],
        )  # fmt: skip


@app.command("assign")
def assign(
    numbers: Numbers = None,
    to: Assignee = None,
    rule: Rule = None,
    severity: Severity = None,
    usage_point: UsagePoint = None,
    billing_group: Group = None,
    by: Assigner = None,
) -> None:
    """Give findings to somebody.

    Example: miqyas worklist assign --rule spike --to Noura
    """
    wanted = Wanted(numbers, rule, severity, usage_point, billing_group)
    with store.connection() as connection:
        ids = [item.id for item in wanted.items(connection)]
        worklist_people.assign(
            connection, ids, to, person=by or getpass.getuser(), now=store.now(connection)
        )
    show.done(f"{show.count(len(ids), 'finding')} assigned to {to or 'nobody'}.")


@app.command("hold")
def hold(
    by: Person,
    reason: Reason,
    for_days: Annotated[int, typer.Option("--days", min=1, max=400)],
    numbers: Numbers = None,
    rule: Rule = None,
    severity: Severity = None,
    usage_point: UsagePoint = None,
    billing_group: Group = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Put findings off: they stay open, and are not overdue until then.

    Example: miqyas worklist hold 12 --days 7 --by Noura --reason "visit"
    """
    wanted = Wanted(numbers, rule, severity, usage_point, billing_group, since, until)
    with store.connection() as connection:
        ids = [item.id for item in wanted.items(connection)]
        now = store.now(connection)
        end = now + timedelta(days=for_days)
        worklist_people.hold(connection, ids, aware(end), person=by, reason=reason, now=now)
    show.done(f"{show.count(len(ids), 'finding')} held until {end:%Y-%m-%d %H:%M} UTC.")


@app.command("accept")
def accept(
    by: Person,
    reason: Reason,
    numbers: Numbers = None,
    rule: Rule = None,
    severity: Severity = None,
    usage_point: UsagePoint = None,
    billing_group: Group = None,
    since: Since = None,
    until: Until = None,
    *,
    after_billing: AfterBilling = False,
) -> None:
    """Accept what was found: doubted values stand from now on.

    Example: miqyas worklist accept 12 13 --by Noura --reason "seen on site"
    """
    wanted = Wanted(numbers, rule, severity, usage_point, billing_group, since, until)
    with store.connection() as connection:
        ids = [item.id for item in wanted.items(connection)]
        changed = worklist.accept(
            connection, ids, person=by, reason=reason, now=store.now(connection),
            after_billing=after_billing,
        )  # fmt: skip
    days = show.count(changed, "day") + " changed" if changed else "no day changed"
    show.done(f"{show.count(len(ids), 'finding')} accepted; {days}.")


@app.command("rerun")
def rerun(
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER...", help="From `list`.")],
    over_people: Annotated[
        bool, typer.Option("--over-people", help="Edited and accepted values give way too.")
    ] = False,
) -> None:
    """Validate the days of findings again, such as after a change of the rules.

    Example: miqyas worklist rerun 12
    """
    with store.connection() as connection:
        done = worklist.rerun(
            connection, numbers, now=store.now(connection),
            over_people=over_people,
        )  # fmt: skip
    show.done(vee_commands.told(done))


def _rows(seen: Look, *, whole: bool) -> list[tuple[object, ...]]:
    marked = [n for n, mark in enumerate(seen.marked) if mark] or [0]
    first, last = marked[0] - _AROUND, marked[-1] + _AROUND
    estimates = {one.at: one.value for one in seen.estimates}
    return [
        ("▸" if seen.marked[n] else "", f"{at:%m-%d %H:%M}", _at(seen.raw, n),
         _at(seen.recorded, n),
         quality.name_of(seen.codes[n]) if seen.codes[n] else "", estimates.get(at),
         _at(seen.before, n), _at(seen.after, n),
         " ".join(str(_at(line, n)) for _, line in seen.like_days))
        for n, at in enumerate(seen.moments) if whole or first <= n <= last
    ]  # fmt: skip


def _at(line: Line, n: int) -> int | None:
    return line[n] if n < len(line) else None


def _mark(item: Item, after: dict[str, timedelta], now: datetime) -> str:
    if item.held_until is not None and item.held_until > now:
        return " ~"
    return " !" if item.overdue(after, now) else ""


def _age(time: timedelta) -> str:
    hours = int(time.total_seconds()) // 3600
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"


def _lasting(time: timedelta) -> str:
    minutes = int(time.total_seconds()) // 60
    if minutes % 60:
        return f"{minutes:,} min"
    return f"{minutes // 60:,} h"


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")
