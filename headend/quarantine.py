"""The quarantine: what came in and could not be placed, with the reason and what became of it.

Rows of a kind that ``headend.replayers`` knows can be tried again; a ``note`` is for people only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "quarantine.sql")

NOTE: Final = "note"
"""The kind of what cannot be tried again."""

LARGEST: Final = 65_536
"""Longest payload that is kept whole [bytes]."""

RESOLVED_FOR: Final = timedelta(days=90)
KEPT_FOR: Final = timedelta(days=400)
"""How long rows stay: from when they were resolved, and from when they came in any case."""

Fate = Literal["landed", "known", "repeated", "dismissed"]


class UnknownRow(LookupError):
    """The quarantine has no such row; the message says how to see those that it has."""


@dataclass(frozen=True, slots=True)
class Aside:
    """Something to be put aside.

    Attributes
    ----------
    source : the way it came, such as ``mqtt`` or ``dlms``
    subject : what it is about: a topic, an end device, a peer's address
    payload : as it came
    reason : why it could not be placed, for people
    received_at : when it came, aware, UTC
    kind : who can try it again, a name of ``headend.replayers.REPLAYERS``; else ``note``
    context : what that needs beside subject and payload
    """

    source: str
    subject: str
    payload: bytes
    reason: str
    received_at: datetime
    kind: str = NOTE
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the quarantine; ``fate`` is None while it is open."""

    id: int
    kind: str
    source: str
    subject: str
    payload: bytes
    reason: str
    context: Mapping[str, Any]
    received_at: datetime
    replays: int
    replayed_at: datetime | None
    latest_reason: str | None
    fate: Fate | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class Cause:
    """Open rows that have a reason in common: how many, and when the first and last came."""

    kind: str
    source: str
    reason: str
    rows: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What trying a row again came to; ``fate`` is None where it stays, and ``reason`` says why."""

    fate: Fate | None
    reason: str | None = None
    resolution: str | None = None


def put(connection: Connection, asides: Sequence[Aside]) -> None:
    """Keep what could not be placed; the same is kept once until it is resolved.

    Of a payload longer than ``LARGEST`` the beginning is kept, and the reason says so.
    """
    if not asides:
        return
    kept = [_bounded(one) for one in asides]
    columns = {
        "kinds": [one.kind for one in kept],
        "sources": [one.source for one in kept],
        "subjects": [_storable(one.subject) for one in kept],
        "payloads": [one.payload for one in kept],
        "reasons": [_storable(one.reason) for one in kept],
        "contexts": [json.dumps(one.context) for one in kept],
        "received_at": [one.received_at for one in kept],
    }
    connection.execute(_SQL["put"], columns)


def rows(
    connection: Connection,
    *,
    kind: str | None = None,
    subject: str | None = None,
    everything: bool = False,
    limit: int = 50,
) -> list[Row]:
    """List rows, oldest first; those that are open, unless everything is asked for.

    Parameters
    ----------
    subject : only those whose subject fits, ``*`` standing for anything
    """
    wanted = {"kind": kind, "subject": pattern(subject), "everything": everything, "limit": limit}
    return [Row(*row) for row in connection.execute(_SQL["rows"], wanted)]


def row(connection: Connection, number: int) -> Row:
    """Give one row.

    Raises
    ------
    UnknownRow
    """
    found = connection.execute(_SQL["row"], {"id": number}).fetchone()
    if found is None:
        raise UnknownRow(
            f"the quarantine has no row {number}; `miqyas quarantine list` shows those that it has"
        )
    return Row(*found)


def causes(connection: Connection, *, limit: int = 20) -> list[Cause]:
    """Count open rows by reason, the most frequent first."""
    return [Cause(*row) for row in connection.execute(_SQL["causes"], {"limit": limit})]


def count_open(connection: Connection) -> int:
    """Count what waits in the quarantine."""
    found = connection.execute(_SQL["count_open"]).fetchone()
    return int(found[0]) if found else 0


def to_replay(
    connection: Connection,
    kind: str,
    *,
    after: int,
    ids: Sequence[int] | None = None,
    subject: str | None = None,
    limit: int = 500,
) -> list[Row]:
    """Take open rows of a kind to try again, in the order they came; others leave them alone.

    They are this transaction's until it ends.
    """
    wanted = {
        "kind": kind, "after": after, "ids": None if ids is None else list(ids),
        "subject": pattern(subject), "limit": limit,
    }  # fmt: skip
    return [Row(*row) for row in connection.execute(_SQL["to_replay"], wanted)]


def replayed(connection: Connection, outcomes: Mapping[int, Outcome], *, now: datetime) -> None:
    """Note what trying rows again came to, by their ids."""
    columns = {
        "ids": list(outcomes),
        "fates": [one.fate for one in outcomes.values()],
        "reasons": [one.reason for one in outcomes.values()],
        "resolutions": [one.resolution for one in outcomes.values()],
    }
    connection.execute(_SQL["replayed"], {**columns, "now": now})


def dismiss(
    connection: Connection, ids: Sequence[int], *, person: str, reason: str, now: datetime
) -> list[int]:
    """Resolve open rows by a person's decision; give the ids of those that were open."""
    decided = {"ids": list(ids), "person": person, "reason": reason, "now": now}
    return [row[0] for row in connection.execute(_SQL["dismiss"], decided)]


def prune(
    connection: Connection,
    *,
    now: datetime,
    resolved_for: timedelta = RESOLVED_FOR,
    kept_for: timedelta = KEPT_FOR,
) -> int:
    """Delete what was resolved long ago, and what came so long ago that nobody wants it.

    Returns
    -------
    how many rows
    """
    limits = {"resolved": now - resolved_for, "received": now - kept_for}
    return connection.execute(_SQL["prune"], limits).rowcount


def pattern(subject: str | None) -> str | None:
    """Turn ``tele/*`` into the database's pattern."""
    if subject is None:
        return None
    literal = subject.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return literal.replace("*", "%")


def _storable(text: str) -> str:
    """Replace what a text in the database cannot hold: NUL and halves of surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _bounded(one: Aside) -> Aside:
    if len(one.payload) <= LARGEST:
        return one
    cut = f" (of {len(one.payload):,} bytes the first {LARGEST:,} are kept)"
    return Aside(one.source, one.subject, one.payload[:LARGEST], one.reason + cut, one.received_at)
