"""A session of a meter that can do nothing: what real sessions do not have stays as it is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from drivers.activity_calendar import ActivityCalendar, CalendarState, SpecialDay
from drivers.control import (
    ImageProgress,
    ImageState,
    KeyChange,
    PushSetup,
    SwitchCommand,
    SwitchState,
)
from drivers.driver import ClockReading, Identity
from drivers.errors import NotOffered
from drivers.meter_profile import MeterProfile
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading


class BareSession:
    """Raises NotOffered for everything, naming the meter.

    Parameters
    ----------
    whose : the meter, and what kind of meter it is, as messages say it
    """

    def __init__(self, whose: str) -> None:
        self._whose = whose

    async def identify(self) -> Identity:
        """Raise NotOffered."""
        self._lacks("an identity")

    async def read_registers(
        self, reading_types: Sequence[str], *, now: datetime
    ) -> list[RegisterReading]:
        """Raise NotOffered."""
        self._lacks(f"registers at {now:%H:%M:%S}: {', '.join(reading_types)}")

    async def read_register_history(self, period: Period) -> list[RegisterReading]:
        """Raise NotOffered."""
        self._lacks(f"stored registers of {period}")

    async def read_intervals(self, period: Period) -> list[IntervalBlock]:
        """Raise NotOffered."""
        self._lacks(f"a load profile of {period}")

    async def read_events(self, period: Period) -> list[EndDeviceEvent]:
        """Raise NotOffered."""
        self._lacks(f"an event log of {period}")

    async def read_clock(self, *, now: datetime) -> ClockReading:
        """Raise NotOffered."""
        self._lacks(f"a clock to compare with {now:%H:%M:%S}")

    async def set_clock(self, moment: datetime) -> ClockReading:
        """Raise NotOffered."""
        self._lacks(f"a clock to set to {moment:%H:%M:%S}")

    async def adjust_clock(self, seconds: int, *, now: datetime) -> ClockReading:
        """Raise NotOffered."""
        self._lacks(f"a clock to shift by {seconds} s at {now:%H:%M:%S}")

    async def read_switch(self) -> SwitchState:
        """Raise NotOffered."""
        self._lacks("a supply switch")

    async def switch(self, command: SwitchCommand) -> SwitchState:
        """Raise NotOffered."""
        self._lacks(f"a supply switch to {command}")

    async def read_channels(self) -> MeterProfile:
        """Raise NotOffered."""
        self._lacks("a list of what it offers")

    async def read_billing_registers(self, period: Period) -> list[RegisterReading]:
        """Raise NotOffered."""
        self._lacks(f"billing registers of {period}")

    async def read_activity_calendar(self) -> CalendarState:
        """Raise NotOffered."""
        self._lacks("a tariff calendar")

    async def write_activity_calendar(
        self, calendar: ActivityCalendar, activate_at: datetime | None
    ) -> CalendarState:
        """Raise NotOffered."""
        when = f"from {activate_at:%Y-%m-%d %H:%M} on" if activate_at else "at once"
        self._lacks(f"a tariff calendar to follow {calendar.name} {when}")

    async def read_special_days(self) -> list[SpecialDay]:
        """Raise NotOffered."""
        self._lacks("special days")

    async def write_special_days(self, days: Sequence[SpecialDay]) -> list[SpecialDay]:
        """Raise NotOffered."""
        self._lacks(f"special days, {len(days)} of them")

    async def read_push_setup(self, channel: int = 0) -> PushSetup:
        """Raise NotOffered."""
        self._lacks(f"push set-up {channel}")

    async def write_push_setup(self, setup: PushSetup) -> PushSetup:
        """Raise NotOffered."""
        self._lacks(f"push set-up {setup.channel}")

    async def change_keys(self, new: Mapping[str, bytes]) -> KeyChange:
        """Raise NotOffered."""
        self._lacks(f"keys to change: {', '.join(sorted(new))}")

    async def read_image_state(self) -> ImageState:
        """Raise NotOffered."""
        self._lacks("firmware images")

    async def transfer_image(
        self,
        image: bytes,
        identifier: str,
        *,
        progress: Callable[[ImageProgress], None] | None = None,
        resume: bool = True,
    ) -> ImageState:
        """Raise NotOffered."""
        _ = (progress, resume)
        self._lacks(f"a place for firmware image {identifier} of {len(image)} bytes")

    async def verify_image(self) -> ImageState:
        """Raise NotOffered."""
        self._lacks("firmware images to verify")

    async def activate_image(self, at: datetime | None = None) -> ImageState:
        """Raise NotOffered."""
        when = f" at {at:%Y-%m-%d %H:%M}" if at else ""
        self._lacks(f"firmware images to activate{when}")

    def _lacks(self, what: str) -> NoReturn:
        raise NotOffered(f"{self._whose} does not offer {what}")
