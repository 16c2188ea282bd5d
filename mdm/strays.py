"""The worklist of acknowledgements that fit no bill: each stands there until a person closes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "strays.sql")


class StrayError(ValueError):
    """A stray acknowledgement cannot be closed; the message says why."""


@dataclass(frozen=True, slots=True)
class Stray:
    """An acknowledgement that changed nothing.

    Attributes
    ----------
    export, billing_group : that it was said of; None where not even that is known
    bill : as the receiver named it
    why : why it was not taken
    """

    id: int
    export: str | None
    billing_group: str | None
    bill: str
    outcome: str
    reason: str
    why: str
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """How many nobody has closed yet, and since when the oldest is there."""

    number: int
    oldest: datetime | None


def standing(connection: Connection, billing_group: str | None = None) -> Standing:
    """Count what nobody has closed yet; what is of no known group counts for each."""
    (row,) = connection.execute(_SQL["count"], {"billing_group": billing_group})
    return Standing(*row)


def unclosed(
    connection: Connection, billing_group: str | None = None, *, limit: int
) -> list[Stray]:
    """List what nobody has closed yet, oldest first."""
    given = {"billing_group": billing_group, "limit": limit}
    return [Stray(*row) for row in connection.execute(_SQL["open"], given)]


def close(
    connection: Connection, numbers: Sequence[int], *, person: str, reason: str, now: datetime
) -> None:
    """Take strays off the worklist; they stay in the record, with who did it and why.

    Raises
    ------
    StrayError
        if there is no such stray, or person or reason is empty: then none is closed.
    """
    if not person.strip() or not reason.strip():
        raise StrayError("closing a stray acknowledgement needs a person and a reason")
    known = {row[0] for row in connection.execute(_SQL["known"], {"numbers": list(numbers)})}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise StrayError(
            f"there is no stray acknowledgement {unknown[0]}; see `miqyas bill strays`"
        )
    given = {"numbers": list(numbers), "person": person, "reason": reason, "now": now}
    connection.execute(_SQL["decide"], given)
