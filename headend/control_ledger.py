"""Writes down what becomes of controls while they are carried out, each change at once.

What a process was about to do is in the database before it does it: whoever finds the control after
a crash knows whether the meter may have been switched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from headend.control_kinds import SWITCHES
from schemas import database, parameters, statements
from schemas.database import Connection

_SQL = statements.load("headend", "control_ledger.sql")
# A control that a process runs is not looked for by others before this.
_PATIENCE = timedelta(minutes=2)

T = TypeVar("T")

Settled = Literal["done", "failed", "expired", "unknown", "waiting"]


@dataclass(frozen=True, slots=True)
class Due:
    """A control that its meter may be asked for."""

    id: int
    end_device_id: int
    mrid: str
    kind: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """A control that this process carries out now.

    Attributes
    ----------
    attempts : this one included
    sent_at : when an earlier attempt sent what must not be sent twice unseen; None if none did
    may_send : False where its time is over or a later control switches the same meter: then its
        outcome is only looked at
    """

    id: int
    attempts: int
    sent_at: datetime | None
    expires_at: datetime
    approved_by: str | None
    progress: Mapping[str, Any] | None
    may_send: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an attempt; ``waiting`` goes on at ``next_attempt``."""

    state: Settled
    result: Any = None
    error: str | None = None
    message: str | None = None
    next_attempt: datetime | None = None


def of_devices(
    connection: Connection,
    end_device_ids: Sequence[int],
    *,
    now: datetime,
    only: Sequence[int] | None = None,
) -> dict[int, list[Due]]:
    """Give what is to be done with end devices, by their id, in the order in which it is done.

    Parameters
    ----------
    only : of what waits, only these; what an earlier attempt left open comes first all the same
    """
    found: dict[int, list[Due]] = {}
    wanted = {
        "end_devices": parameters.numbers(end_device_ids), "now": now,
        "only": None if only is None else parameters.numbers(only),
    }  # fmt: skip
    for row in connection.execute(_SQL["of_devices"], wanted):
        found.setdefault(row[1], []).append(Due(*row))
    return found


def in_session(connection: Connection, ids: Sequence[int], session_id: int) -> None:
    """Note in which session controls were carried out."""
    connection.execute(_SQL["in_session"], {"ids": list(ids), "session": session_id})


class Ledger:
    """Changes controls over a connection of its own, opened when first needed; thread-safe."""

    def __init__(self, url: str) -> None:
        self._lock = threading.Lock()
        self._connection = database.Lasting(url)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def claim(self, control_id: int, *, now: datetime) -> Claim | None:
        """Begin an attempt; None if the control is over, or another of its meter runs."""
        row = {"id": control_id, "now": now, "patience": _PATIENCE, "switches": SWITCHES}
        try:
            found = self._rows("claim", row)
        except UniqueViolation:
            return None
        return Claim(*found[0]) if found else None

    def sent(self, control_id: int, *, now: datetime) -> None:
        """Note that from now on the meter may have done it."""
        self._change("sent", {"id": control_id, "now": now})

    def progress(self, control_id: int, progress: Mapping[str, Any], *, now: datetime) -> None:
        """Note how far a long control has come."""
        row = {"id": control_id, "progress": Jsonb(progress), "now": now, "patience": _PATIENCE}
        self._change("progress", row)

    def settle(self, control_id: int, verdict: Verdict, *, now: datetime) -> None:
        """End an attempt; nothing changes if it has ended already."""
        self._change(
            "settle",
            {
                "id": control_id, "state": verdict.state, "error": verdict.error,
                "result": None if verdict.result is None else Jsonb(verdict.result),
                "message": verdict.message, "next_attempt": verdict.next_attempt, "now": now,
            },
        )  # fmt: skip

    def put_off(
        self, ids: Sequence[int], verdict: Verdict, *, now: datetime, give_up: bool = False
    ) -> None:
        """Note that a meter was not reached for controls that wait for it.

        Parameters
        ----------
        give_up : they have failed, and are not tried again
        """
        self._change(
            "put_off",
            {
                "ids": list(ids), "error": verdict.error, "message": verdict.message,
                "next_attempt": verdict.next_attempt or now, "now": now, "give_up": give_up,
            },
        )  # fmt: skip

    def do(self, action: Callable[[Connection], T]) -> T:
        """Do something in a transaction of its own, committed when this returns."""
        with self._lock:
            connection = self._connection.get()
            with connection.transaction():
                return action(connection)

    def _rows(self, name: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.get().execute(_SQL[name], values).fetchall()

    def _change(self, name: str, values: Mapping[str, Any]) -> None:
        with self._lock:
            self._connection.get().execute(_SQL[name], values)
