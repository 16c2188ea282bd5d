"""What every driver offers: a session with one meter, in the domain's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal, Protocol

from drivers.activity_calendar import ActivityCalendar, CalendarState, SpecialDay
from drivers.control import (
    ImageProgress,
    ImageState,
    KeyChange,
    PushSetup,
    SwitchCommand,
    SwitchState,
)
from drivers.meter_profile import MeterProfile
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

Feature = Literal[
    "identity",
    "registers",
    "register_history",
    "intervals",
    "events",
    "clock",
    "set_clock",
    "switch",
    "channels",
    "billing_registers",
    "activity_calendar",
    "special_days",
    "push_setup",
    "keys",
    "image",
]

METHODS: Final[Mapping[Feature, tuple[str, ...]]] = MappingProxyType(
    {
        "identity": ("identify",),
        "registers": ("read_registers",),
        "register_history": ("read_register_history",),
        "intervals": ("read_intervals",),
        "events": ("read_events",),
        "clock": ("read_clock",),
        "set_clock": ("set_clock", "adjust_clock"),
        "switch": ("read_switch", "switch"),
        "channels": ("read_channels",),
        "billing_registers": ("read_billing_registers",),
        "activity_calendar": ("read_activity_calendar", "write_activity_calendar"),
        "special_days": ("read_special_days", "write_special_days"),
        "push_setup": ("read_push_setup", "write_push_setup"),
        "keys": ("change_keys",),
        "image": ("read_image_state", "transfer_image", "verify_image", "activate_image"),
    }
)
"""What a session must have for each feature that its driver offers."""


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
    security : ``none``, ``lls``, ``hls-md5``, ``hls-sha1``, ``hls-gmac``, ``hls-sha256`` or
        ``hls-ecdsa``; what it takes beside that is in the address
    secrets : keys by kind (``password``, ``encryption``, ``authentication`` …); never printed
    reserve_counters : durable source of invocation counters: takes how many are wanted and gives
        the first of a run that nobody has used or will use
    timeout : longest wait for one answer [s]
    meter_profile : what the meter offers, as an earlier session read it; saves asking again
    expected : what a session will be asked for, by the features' names, where that is known: a
        driver may ask the meter for several things at once then
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
    meter_profile: MeterProfile | None = None
    expected: frozenset[str] = frozenset()


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

    async def set_clock(self, moment: datetime) -> ClockReading:
        """Set the meter's clock to a moment; give what it then says beside that moment."""

    async def adjust_clock(self, seconds: int, *, now: datetime) -> ClockReading:
        """Shift the meter's clock; give what it then says beside ours.

        Parameters
        ----------
        seconds : to put it forward, negative to put it back, at most ``control.LONGEST_SHIFT`` [s]
        """

    async def read_switch(self) -> SwitchState:
        """Read where the supply switch stands."""

    async def switch(self, command: SwitchCommand) -> SwitchState:
        """Switch the supply, and read back where the switch then stands.

        ``SwitchState.obeys`` tells whether it went where it was sent.

        Raises
        ------
        NotOffered
            if the meter's control mode does not follow the command; nothing was switched.
        """

    async def read_channels(self) -> MeterProfile:
        """Read which objects, profiles and channels the meter offers to this client."""

    async def read_billing_registers(self, period: Period) -> list[RegisterReading]:
        """Read registers that the meter stored at the ends of billing periods, oldest first.

        Parameters
        ----------
        period : in which, its end included, the billing periods ended
        """

    async def read_activity_calendar(self) -> CalendarState:
        """Read the tariff calendar in force and the one that waits."""

    async def write_activity_calendar(
        self, calendar: ActivityCalendar, activate_at: datetime | None
    ) -> CalendarState:
        """Write the calendar that waits, and say when it comes into force; read both back.

        Parameters
        ----------
        activate_at : None brings it into force at once
        """

    async def read_special_days(self) -> list[SpecialDay]:
        """Read the special days, by their index."""

    async def write_special_days(self, days: Sequence[SpecialDay]) -> list[SpecialDay]:
        """Replace all special days; give what the meter then has."""

    async def read_push_setup(self, channel: int = 0) -> PushSetup:
        """Read what the meter sends by itself."""

    async def write_push_setup(self, setup: PushSetup) -> PushSetup:
        """Write what the meter sends by itself; give what it then has."""

    async def change_keys(self, new: Mapping[str, bytes]) -> KeyChange:
        """Give the meter new keys, wrapped under its master key (secret ``master``).

        If the answer is lost, the new keys and then the old ones are tried over new connections.
        The session is of no use afterwards.

        Parameters
        ----------
        new : by name: ``encryption``, ``authentication``, ``broadcast``, ``master``
        """

    async def read_image_state(self) -> ImageState:
        """Read how far a firmware image has come."""

    async def transfer_image(
        self,
        image: bytes,
        identifier: str,
        *,
        progress: Callable[[ImageProgress], None] | None = None,
        resume: bool = True,
    ) -> ImageState:
        """Bring a firmware image into the meter; it stays inactive.

        Parameters
        ----------
        identifier : as its maker names it; hexadecimal after ``0x``
        progress : is told after each block
        resume : go on with a transfer of as many blocks that was broken off, by the meter's own
            account of the blocks that it has; otherwise begin anew
        """

    async def verify_image(self) -> ImageState:
        """Let the meter check the image that it has."""

    async def activate_image(self, at: datetime | None = None) -> ImageState:
        """Let the meter activate a verified image, at once or at a time."""


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

    async def keys_in_force(
        self, endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]
    ) -> int | None:
        """Tell which of several sets of secrets a meter takes: its place, None if it takes none.

        Each is tried over a connection of its own, in turn, until one is taken.
        """
