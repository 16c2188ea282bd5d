"""What every driver offers: a session with one meter, in the domain's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

Feature = Literal[
    "identity", "registers", "register_history", "intervals", "events", "clock", "set_clock"
]


def _no_counters(count: int) -> int:
    raise RuntimeError(f"{count} invocation counters were asked for and no source was given")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a meter is and how to talk to it.

    Attributes
    ----------
    end_device : the meter's name, for messages and to check its identity
    host, port : network address
    profile : companion profile, register map or payload format, a name of the driver's tables
    address : what the protocol needs beside that: ``{"client": 1, "server": 1}``, ``{"unit": 3}``
    interval_seconds : length of the load profile's intervals [s]
    security : ``none``, ``lls`` or ``hls-gmac``
    secrets : keys by name (``password``, ``encryption``, ``authentication``); never printed
    reserve_counters : durable source of invocation counters: takes how many are wanted and gives
        the first of a run that nobody has used or will use
    timeout : longest wait for one answer [s]
    """

    end_device: str
    host: str
    port: int
    profile: str
    address: Mapping[str, int | str]
    interval_seconds: int
    security: str = "none"
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    reserve_counters: Callable[[int], int] = field(default=_no_counters, repr=False)
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a meter says it is; empty where it does not say."""

    serial: str
    manufacturer: str = ""
    model: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """A meter's clock beside ours; ``deviation`` is meter minus reference."""

    meter: datetime
    reference: datetime

    @property
    def deviation(self) -> timedelta:
        """How far the meter is ahead (positive) or behind (negative)."""
        return self.meter - self.reference


class Session(Protocol):
    """One conversation with one meter. A method that the meter cannot serve raises NotOffered."""

    async def identify(self) -> Identity:
        """Ask who the meter is."""

    async def read_registers(
        self, reading_types: Sequence[str], *, now: datetime
    ) -> list[RegisterReading]:
        """Read the present value of registers; those that the meter does not have are left out."""

    async def read_register_history(self, period: Period) -> list[RegisterReading]:
        """Read register values that the meter stored at fixed times, such as each midnight."""

    async def read_intervals(self, period: Period) -> list[IntervalBlock]:
        """Read the load profile's intervals that start in a period, oldest first.

        A slot that the meter does not have is in no block; a stamp that the meter has twice is in
        two blocks.
        """

    async def read_events(self, period: Period) -> list[EndDeviceEvent]:
        """Read the event log's entries of a period, oldest first."""

    async def read_clock(self, *, now: datetime) -> ClockReading:
        """Read the meter's clock beside ours."""


class Driver(Protocol):
    """A protocol. Sessions are made by it and released by leaving the block."""

    name: str
    offers: frozenset[Feature]

    def session(self, endpoint: Endpoint) -> AbstractAsyncContextManager[Session]:
        """Open a conversation with a meter.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do.
        """
