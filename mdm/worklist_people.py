"""What people do with findings beside deciding them: who has one, and until when it is put off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mdm import worklist
from mdm.worklist_days import WorklistError
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "worklist.sql")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person did with a finding."""

    happened_at: datetime
    kind: Literal["assigned", "held", "reopened"]
    person: str
    assignee: str | None
    held_until: datetime | None
    reason: str


def history(connection: Connection, number: int) -> list[Event]:
    """List what people did with a finding, oldest first."""
    return [Event(*row) for row in connection.execute(_SQL["history"], {"id": number})]


def note(
    connection: Connection,
    ids: Sequence[int],
    kind: Literal["assigned", "held", "reopened"],
    *,
    person: str,
    reason: str,
    now: datetime,
    assignee: str | None = None,
    held_until: datetime | None = None,
) -> None:
    """Write down what a person did with findings beside deciding them; nothing is overwritten."""
    connection.execute(
        _SQL["add_events"],
        {
            "ids": list(ids),
            "kind": kind,
            "person": person,
            "reason": reason,
            "now": now,
            "assignee": assignee,
            "held_until": held_until,
        },
    )


def assign(
    connection: Connection, ids: Sequence[int], assignee: str | None, *, person: str, now: datetime
) -> None:
    """Give open findings to somebody, None for nobody.

    Raises
    ------
    WorklistError
        if a finding is gone or not open; then nothing is changed.
    """
    if assignee is not None and not assignee.strip():
        raise WorklistError("say to whom: the name is empty")
    worklist.open_findings(connection, ids)
    note(connection, ids, "assigned", person=person, reason="", now=now, assignee=assignee)


def hold(
    connection: Connection,
    ids: Sequence[int],
    until: datetime,
    *,
    person: str,
    reason: str,
    now: datetime,
) -> None:
    """Put open findings off: until then they are not overdue, and listed as held.

    Raises
    ------
    WorklistError
        if a finding is gone or not open, the moment is past, or person or reason is empty.
    """
    worklist.need(person, reason)
    if until <= now:
        raise WorklistError(f"{until:%Y-%m-%d %H:%M} is past: give a later moment to hold until")
    worklist.open_findings(connection, ids)
    note(connection, ids, "held", person=person, reason=reason, now=now, held_until=until)
