"""Which findings a command is about: by their numbers, or all that are open and fit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from console import show
from mdm import worklist
from mdm.edit_approval import Done, Limits
from mdm.worklist import Item
from mdm.worklist_days import WorklistError
from schemas.database import Connection
from schemas.period import Period
from schemas.settings import Settings

Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="[NUMBER...]", help="From `worklist list`.")
]
Rule = Annotated[str | None, typer.Option(help="Only of this rule.")]
Severity = Annotated[
    Literal["info", "issue", "terminate"] | None, typer.Option(help="Only of this severity.")
]
Group = Annotated[str | None, typer.Option("--billing-group", help="Only of this billing group.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        "--from", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M%z"], help="UTC, or with an offset."
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option("--to", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M%z"], help="Not included."),
]
AfterBilling = Annotated[
    bool,
    typer.Option("--after-billing", help="Days that were billed may change; a correction follows."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done; do nothing.")]

_MOST = 5000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for."""

    numbers: list[int] | None
    rule: str | None = None
    severity: Literal["info", "issue", "terminate"] | None = None
    usage_point: str | None = None
    billing_group: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def items(self, connection: Connection) -> list[Item]:
        """Give the findings.

        Raises
        ------
        WorklistError
            if neither numbers nor a filter is given, or nothing fits.
        """
        if self.numbers:
            # Says which are gone or not open.
            worklist.open_findings(connection, self.numbers)
            found = (worklist.findings(connection, number=one)[0] for one in self.numbers)
            return list(found)
        filters = (self.rule, self.severity, self.usage_point, self.billing_group, self.since)
        if not any(filters):
            raise WorklistError(
                "which findings? give numbers from `miqyas worklist list`, or --rule, --severity, "
                "--usage-point, --billing-group, --from and --to"
            )
        items = worklist.findings(
            connection, rule=self.rule, severity=self.severity, usage_point=self.usage_point,
            billing_group=self.billing_group, period=period(self.since, self.until), limit=_MOST,
        )  # fmt: skip
        if not items:
            raise WorklistError("no open finding fits; see `miqyas worklist list --all`")
        return items


def period(since: datetime | None, until: datetime | None) -> Period | None:
    """Give the stretch of two options, None for any time.

    Raises
    ------
    WorklistError
        if one is given without the other.
    """
    if since is None and until is None:
        return None
    if since is None or until is None:
        raise WorklistError("--from and --to belong together")
    return Period(aware(since), aware(until))


def aware(moment: datetime) -> datetime:
    """Take a moment without an offset as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def limits() -> Limits:
    """Give what one person may change at once, as set."""
    settings = Settings()
    return Limits(settings.edit_intervals, settings.edit_amount)


def tell(done: Done) -> None:
    """Say what became of an edit."""
    if done.proposals:
        numbers = " ".join(map(str, done.proposals))
        show.done(f"{done.why}: waits for another person's approval.")
        show.done(f"What to do: miqyas worklist approve {numbers} --by NAME --reason WHY")
        return
    show.done(f"{show.count(done.days, 'day')} changed." if done.days else "No day changed.")
