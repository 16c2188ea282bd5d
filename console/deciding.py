"""Options of commands with which people take work on and decide, the same wherever they do."""

from __future__ import annotations

from typing import Annotated

import typer

Person = Annotated[str, typer.Option("--by", help="Who decides; stands in the record for ever.")]
Reason = Annotated[str, typer.Option(help="Why; stands in the record for ever.")]
Assignee = Annotated[str | None, typer.Option("--to", help="Who has it from now on; none: nobody.")]
Assigner = Annotated[str | None, typer.Option("--by", help="Who assigns; else the account's name.")]
AssignedTo = Annotated[str | None, typer.Option(help="Only what this person has.")]
UsagePoint = Annotated[str | None, typer.Option(help="Only of this usage point.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="At most so many rows.")]
