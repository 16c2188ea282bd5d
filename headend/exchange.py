"""What is asked of one meter, how far that has come, and what it gave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from drivers import errors
from drivers.driver import ClockReading, Identity
from headend.control_ledger import Due
from headend.devices import Device
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

Outcome = Literal["ok", "partial", "failed"]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Order:
    """End devices to be read, and what of them.

    Attributes
    ----------
    reason : ``schedule``, ``retry``, ``backlog``, ``control`` or ``on_demand``; the last asks every
        meter, the others leave alone those that wait for their next attempt
    batch_id : where the order comes from a batch; a batch taken up again goes on where it was
    controls : of the controls that wait, only these; None: all of them
    keep_clock : clocks that are further off than this are put right; None: none is
    by : in whose name that is done
    """

    end_device_ids: tuple[int, ...]
    reads: tuple[str, ...]
    reason: str
    batch_id: int | None = None
    controls: tuple[int, ...] | None = None
    keep_clock: timedelta | None = None
    by: str = "miqyas"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversation has come: a step begins, or ``step`` is ``done`` or ``failed``."""

    step: str
    done: int
    total: int
    detail: str = ""


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask one meter.

    Attributes
    ----------
    reads : names of ``headend.schedule.READS``
    registers : reading types whose present value is asked
    intervals : periods of the load profile, oldest first, one request each
    stored_types : interval types that the meter is known to have
    history, events : periods of stored registers and of the event log; None to leave them
    remaining : True if more periods are missing than are asked now
    controls : what else is to be done with the meter, in this order
    keep_clock, by : as in the order
    """

    device: Device
    reads: tuple[str, ...]
    registers: tuple[str, ...] = ()
    intervals: tuple[Period, ...] = ()
    stored_types: tuple[str, ...] = ()
    history: Period | None = None
    events: Period | None = None
    remaining: bool = False
    controls: tuple[Due, ...] = ()
    keep_clock: timedelta | None = None
    by: str = "miqyas"


@dataclass(slots=True)
class Result:
    """What one meter gave, and how it went.

    Attributes
    ----------
    error : what ended it, or what was refused in part; None when all is well
    failing : True if the error ended the conversation
    notes : what the meter does not offer
    controls : ids of the controls that were begun
    """

    request: Request
    started_at: datetime
    ended_at: datetime
    attempts: int = 0
    seconds: float = 0.0
    blocks: list[IntervalBlock] = field(default_factory=list)
    registers: list[RegisterReading] = field(default_factory=list)
    events: list[EndDeviceEvent] = field(default_factory=list)
    identity: Identity | None = None
    clock: ClockReading | None = None
    history_until: datetime | None = None
    events_until: datetime | None = None
    error: errors.DriverError | None = None
    failing: bool = False
    notes: list[str] = field(default_factory=list)
    controls: list[int] = field(default_factory=list)

    @property
    def outcome(self) -> Outcome:
        """``ok``, ``partial`` if something was read in spite of the error, or ``failed``."""
        if self.error is None:
            return "ok"
        # What became of a control is its own affair; that it was begun shows that the meter talks.
        got = self.blocks or self.registers or self.events or self.controls
        return "partial" if got or self.identity or self.clock else "failed"
