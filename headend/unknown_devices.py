"""Devices that push and that no registry has: unknown, awaiting registration.

What they pushed last is kept in the quarantine, and is tried again when the registry has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "unknown_devices.sql")

SOURCE: Final = "dlms-push"
"""The quarantine's source of what was pushed."""

KEPT: Final = 200
"""Pushes that are kept of each device; older ones go."""

# Names are cheap to make up: whoever floods us with them fills no disk.
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Stranger:
    """Somebody unknown who pushed, in one batch: how often, and why it was refused."""

    kind: str
    identity: str
    host: str
    transport: str
    seen: datetime
    pushes: int
    reason: str


@dataclass(frozen=True, slots=True)
class UnknownDevice:
    """A device that awaits registration.

    Attributes
    ----------
    kind : what identity is: ``system_title``, ``name`` or ``host``
    host : the address that it pushed from last
    pushes : how many came
    reason : why the last one was not taken, and what to do
    kept : how many of its pushes are in the quarantine
    """

    protocol: str
    kind: str
    identity: str
    host: str
    transport: str
    first_seen: datetime
    last_seen: datetime
    pushes: int
    reason: str
    kept: int


def subject(kind: str, identity: str) -> str:
    """Give the quarantine's subject of a device's pushes."""
    return f"{kind} {identity}"


def note(connection: Connection, strangers: Sequence[Stranger]) -> set[tuple[str, str]]:
    """Write down who pushed unknown; give the kind and identity of those that there is room for."""
    if not strangers:
        return set()
    columns = {
        "kinds": [one.kind for one in strangers],
        "identities": [one.identity for one in strangers],
        "hosts": [one.host for one in strangers],
        "transports": [one.transport for one in strangers],
        "seen": [one.seen for one in strangers],
        "pushes": [one.pushes for one in strangers],
        "reasons": [one.reason for one in strangers],
    }
    rows = connection.execute(_SQL["note"], {**columns, "protocol": "dlms", "most": _MOST})
    return {(kind, identity) for kind, identity in rows}


def awaiting(connection: Connection, *, limit: int = 50) -> list[UnknownDevice]:
    """List who awaits registration, who was heard last first."""
    rows = connection.execute(_SQL["unknown"], {"source": SOURCE, "limit": limit})
    return [UnknownDevice(*row) for row in rows]


def count(connection: Connection) -> int:
    """Count who awaits registration."""
    found = connection.execute(_SQL["count"]).fetchone()
    return int(found[0]) if found else 0


def registered(connection: Connection, *, now: datetime) -> list[tuple[str, str]]:
    """Note whom the registry has by now; give their kinds and identities."""
    return [(row[0], row[1]) for row in connection.execute(_SQL["registered"], {"now": now})]


def trim(connection: Connection, subjects: Iterable[str]) -> None:
    """Let the oldest of what is kept of devices go, where it is more than is kept."""
    wanted = sorted(set(subjects))
    if wanted:
        columns = {"source": SOURCE, "subjects": wanted, "most": KEPT}
        connection.execute(_SQL["trim"], columns)
