"""Keeps clocks right: one that a schedule finds off by too much is shifted or set, as a control."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from drivers.control import LONGEST_SHIFT
from drivers.driver import ClockReading
from headend import control_ledger, controls
from headend.control_ledger import Due
from headend.control_work import Means
from headend.controls import Wish
from headend.exchange import Result
from schemas.database import Connection

_log = structlog.get_logger(__name__)
# A clock that is further off is broken, or ours is: somebody has to look.
FARTHEST = timedelta(days=1)


def remedy(deviation: timedelta, limit: timedelta) -> str | None:
    """Choose the kind of control that puts a clock right; None if none should.

    A shift keeps the order of the meter's intervals; what is too far for it is set.
    """
    off = abs(deviation)
    if off <= limit or off > FARTHEST:
        return None
    return "adjust_clock" if off <= timedelta(seconds=LONGEST_SHIFT) else "set_clock"


async def keep(reading: ClockReading, result: Result, means: Means, now: datetime) -> Due | None:
    """Ask for a control that puts a clock right, if it is off by more than the schedule bears."""
    request = result.request
    if request.keep_clock is None:
        return None
    kind = remedy(reading.deviation, request.keep_clock)
    if kind is None:
        if abs(reading.deviation) > FARTHEST:
            result.notes.append(
                f"{request.device.mrid}: the clock is off by more than a day;"
                " that is not put right by itself"
            )
        return None
    off = round(reading.deviation.total_seconds())
    _log.info("clock.off", end_device=request.device.mrid, seconds=off, remedy=kind)
    limit = round(request.keep_clock.total_seconds())
    reason = f"the clock was off by {off:+d} s; {limit} s are borne"
    wish = Wish(kind, by=request.by, reason=reason, expires_at=now + timedelta(hours=1))
    number = request.device.id

    def ask(connection: Connection) -> Due | None:
        asked = controls.request_own(connection, wish, end_device_id=number, now=now)
        due = control_ledger.of_devices(connection, [number], now=now, only=[asked])
        return next((one for one in due.get(number, []) if one.id == asked), None)

    return await asyncio.to_thread(means.ledger.do, ask)
