"""Tries quarantined pushes again, with the registry, the keys and the decoders of today."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from drivers.dlms.push_inbox import Received
from drivers.dlms.push_stream import Sent
from headend import keys, pushes
from headend.pushes import Desk
from headend.quarantine import Outcome, Row
from schemas.database import Connection

_MICROSECONDS = 1_000_000


def replay(connection: Connection, rows: Sequence[Row], now: datetime) -> dict[int, Outcome]:
    """Try pushes again, one after the other as they came; tell what became of each.

    A push that was kept may be older than others that have landed since: its invocation counter
    is not held against it.
    """
    desk = Desk(keys.open_vault())
    return {row.id: _again(connection, row, desk, now) for row in rows}


def _again(connection: Connection, row: Row, desk: Desk, now: datetime) -> Outcome:
    received = Received(
        Sent(row.payload),
        str(row.context.get("host", "")),
        str(row.context.get("transport", "")),
        round(row.received_at.timestamp() * _MICROSECONDS),
    )
    heard = pushes.land(connection, [received], desk, now=now, replaying=True)
    refusal = heard.pushes[0].refusal
    if refusal is not None:
        return Outcome(None, refusal.reason)
    if heard.unplaced:
        return Outcome(None, row.latest_reason or row.reason)
    sender = heard.pushes[0].sender
    new = heard.registers + heard.intervals + heard.events
    what = f"{new} new values of {sender.mrid if sender else '?'}"
    return Outcome("landed" if new else "known", resolution=what)
