"""What an engineer does with a DLMS meter, beside reading its data: steps on its objects, run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final

from drivers import activity_calendar
from drivers.activity_calendar import ActivityCalendar, CalendarState, SpecialDay
from drivers.bare import BareSession
from drivers.control import (
    ImageProgress,
    ImageState,
    PushSetup,
    SwitchCommand,
    SwitchState,
)
from drivers.dlms import meter_view
from drivers.dlms.connection import Connection
from drivers.dlms.objects import calendar as calendar_object
from drivers.dlms.objects import (
    clock,
    disconnect,
    image_transfer,
    push_setup,
    schedule,
    special_days,
)
from drivers.dlms.objects.image_transfer import Standing
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Step
from drivers.driver import ClockReading, Endpoint
from drivers.errors import (
    LinkError,
    LocalProtocolError,
    MeterRefused,
    RemoteProtocolError,
)
from drivers.meter_profile import MeterProfile

# A meter loses a block now and then without saying so; one that loses them always is broken.
_MOST_ROUNDS: Final = 3
# Verification of a large image takes meters minutes.
_VERIFY_POLLS: Final = 60
_VERIFY_PAUSE: Final = 5.0


class Operations(BareSession):
    """A session's part that acts on the meter and reads its settings."""

    def __init__(self, link: Connection, endpoint: Endpoint, settings: Settings) -> None:
        super().__init__(f"{endpoint.end_device}: a meter of profile {endpoint.profile}")
        self._link = link
        self._companion = settings.companion
        self._deviation = settings.deviation
        self.verify_pause = _VERIFY_PAUSE

    async def read_clock(self, *, now: datetime) -> ClockReading:
        """Read the meter's clock beside ours."""
        return ClockReading(await self._link.run(self._moment()), now)

    async def set_clock(self, moment: datetime) -> ClockReading:
        """Set the meter's clock to a moment; give what it then says beside that moment.

        Raises
        ------
        LocalProtocolError
            if nobody knows which local time the meter keeps.
        """
        thing = self._companion.object("clock")
        association = self._link.association
        await self._link.run(clock.write(association, thing, moment, self._deviation))
        return ClockReading(await self._link.run(self._moment()), moment)

    async def adjust_clock(self, seconds: int, *, now: datetime) -> ClockReading:
        """Shift the meter's clock by up to 900 s; give what it then says beside ours."""
        thing = self._companion.object("clock")
        await self._link.run(clock.shift(self._link.association, thing, seconds))
        return ClockReading(await self._link.run(self._moment()), now)

    async def read_switch(self) -> SwitchState:
        """Read where the supply switch stands."""
        thing = self._companion.object("switch")
        return await self._link.run(disconnect.read(self._link.association, thing))

    async def switch(self, command: SwitchCommand) -> SwitchState:
        """Switch the supply, and read back where the switch then stands.

        Raises
        ------
        NotOffered
            if the meter's control mode does not follow the command; nothing was switched.
        """
        thing = self._companion.object("switch")
        return await self._link.run(disconnect.run(self._link.association, thing, command))

    async def read_channels(self) -> MeterProfile:
        """Read which objects, profiles and channels the meter offers to this client."""
        return await self._link.run(meter_view.read(self._link.association, self._companion))

    async def read_activity_calendar(self) -> CalendarState:
        """Read the tariff calendar in force and the one that waits."""
        thing = self._companion.object("activity_calendar")
        return await self._link.run(
            calendar_object.read(self._link.association, thing, self._deviation)
        )

    async def write_activity_calendar(
        self, calendar: ActivityCalendar, activate_at: datetime | None
    ) -> CalendarState:
        """Write the calendar that waits, and say when it comes into force; read both back.

        Raises
        ------
        LocalProtocolError
            if the calendar has loose ends; nothing was written.
        MeterRefused
            if the meter takes it and then shows another; it was not activated.
        """
        try:
            wanted = activity_calendar.checked(calendar)
        except ValueError as error:
            raise LocalProtocolError(f"{error}; nothing was written") from None
        thing = self._companion.object("activity_calendar")
        script = self._companion.object("tariff_script").name
        association = self._link.association
        await self._link.run(calendar_object.write(association, thing, wanted, script))
        deviation = await self._link.run(self._deviation_now()) if activate_at else 0
        await self._link.run(calendar_object.activate(association, thing, activate_at, deviation))
        return await self.read_activity_calendar()

    async def read_special_days(self) -> list[SpecialDay]:
        """Read the special days, by their index."""
        thing = self._companion.object("special_days")
        return await self._link.run(special_days.read(self._link.association, thing))

    async def write_special_days(self, days: Sequence[SpecialDay]) -> list[SpecialDay]:
        """Replace all special days; give what the meter then has."""
        try:
            wanted = activity_calendar.checked_days(days)
        except ValueError as error:
            raise LocalProtocolError(f"{error}; nothing was written") from None
        thing = self._companion.object("special_days")
        return await self._link.run(special_days.write(self._link.association, thing, wanted))

    async def read_push_setup(self, channel: int = 0) -> PushSetup:
        """Read what the meter sends by itself."""
        thing = push_setup.at(self._companion.object("push_setup"), channel)
        return await self._link.run(push_setup.read(self._link.association, thing))

    async def write_push_setup(self, setup: PushSetup) -> PushSetup:
        """Write what the meter sends by itself; give what it then has.

        Raises
        ------
        LocalProtocolError
            if an object is not named as ``class/OBIS/attribute``; nothing was written.
        MeterRefused
            if the meter takes it and then shows another.
        """
        thing = push_setup.at(self._companion.object("push_setup"), setup.channel)
        return await self._link.run(push_setup.write(self._link.association, thing, setup))

    async def read_image_state(self) -> ImageState:
        """Read how far a firmware image has come."""
        return (await self._image()).state

    async def transfer_image(
        self,
        image: bytes,
        identifier: str,
        *,
        progress: Callable[[ImageProgress], None] | None = None,
        resume: bool = True,
    ) -> ImageState:
        """Bring a firmware image into the meter; it stays inactive.

        Raises
        ------
        LocalProtocolError
            if the image is empty or larger than 64 MiB, or the identifier none.
        MeterRefused
            if the meter does not take it, or says again and again that blocks are missing.
        """
        octets = image_transfer.identifier_octets(identifier)
        if not 0 < len(image) <= image_transfer.LARGEST_IMAGE:
            raise LocalProtocolError(f"an image of {len(image)} bytes is none that is sent")
        standing = await self._announced(octets, len(image), resume=resume)
        for _ in range(_MOST_ROUNDS):
            if not standing.missing:
                return standing.state
            await self._send(image, standing, progress)
            standing = await self._image()
        if standing.missing:
            raise MeterRefused(
                f"{self._whose} still lacks {len(standing.missing)} of {len(standing.taken)} "
                f"blocks of image {identifier} after {_MOST_ROUNDS} rounds; the first is block "
                f"{standing.missing[0]}"
            )
        return standing.state

    async def verify_image(self) -> ImageState:
        """Let the meter check the image that it has; the state says what came of it."""
        thing = self._companion.object("image_transfer")
        # A meter that needs long, or finds the image wrong, refuses the method: its state tells.
        with suppress(MeterRefused):
            await self._link.run(image_transfer.verify(self._link.association, thing))
        for _ in range(_VERIFY_POLLS):
            standing = await self._image()
            if standing.status != "verification_initiated":
                break
            await asyncio.sleep(self.verify_pause)
        return standing.state

    async def activate_image(self, at: datetime | None = None) -> ImageState:
        """Let the meter activate a verified image, at once or at a time.

        A meter that activates at once may restart and close the line: then the state is
        ``activation_initiated``, and its firmware version tells later what became of it.

        Raises
        ------
        MeterRefused
            if the image is not verified, or the meter shows another time than it took.
        """
        standing = await self._image()
        if standing.status != "verification_successful":
            raise MeterRefused(
                f"{self._whose} has an image of status {standing.status}; only a verified one is "
                "activated: transfer and verify it first"
            )
        if at is not None:
            await self._schedule(at)
            return (await self._image()).state
        thing = self._companion.object("image_transfer")
        try:
            await self._link.run(image_transfer.activate(self._link.association, thing))
            return (await self._image()).state
        except LinkError:
            return replace(standing.state, status="activation_initiated")

    async def _schedule(self, at: datetime) -> None:
        thing = self._companion.object("image_schedule")
        script = self._companion.object("image_script")
        deviation = await self._link.run(self._deviation_now())
        await self._link.run(
            schedule.write(
                self._link.association, thing, (script.name, script.index), at, deviation
            )
        )

    async def _announced(self, identifier: bytes, size: int, *, resume: bool) -> Standing:
        """Announce an image, unless one of as many blocks is under way already."""
        thing, association = self._companion.object("image_transfer"), self._link.association
        standing = await self._image()
        if not standing.enabled:
            await self._link.run(image_transfer.enable(association, thing))
        blocks = -(-size // standing.block_size)
        under_way = standing.status == "initiated" and len(standing.taken) == blocks
        if resume and under_way:
            return standing
        await self._link.run(image_transfer.initiate(association, thing, identifier, size))
        standing = await self._image()
        if len(standing.taken) != -(-size // standing.block_size):
            raise RemoteProtocolError(
                f"{self._whose} counts {len(standing.taken)} blocks for {size} bytes in blocks of "
                f"{standing.block_size}"
            )
        return standing

    async def _send(
        self, image: bytes, standing: Standing, progress: Callable[[ImageProgress], None] | None
    ) -> None:
        """Send the blocks that the meter lacks, once each."""
        thing, size = self._companion.object("image_transfer"), standing.block_size
        taken = len(standing.taken) - len(standing.missing)
        for number in standing.missing:
            block = image[number * size : (number + 1) * size]
            association = self._link.association
            await self._link.run(image_transfer.transfer(association, thing, number, block))
            taken += 1
            if progress is not None:
                progress(ImageProgress(taken, len(standing.taken)))

    async def _image(self) -> Standing:
        thing = self._companion.object("image_transfer")
        return await self._link.run(image_transfer.read(self._link.association, thing))

    def _moment(self) -> Step[datetime]:
        thing = self._companion.object("clock")
        shown = yield from clock.read(self._link.association, thing)
        moment = shown.utc(self._deviation)
        if moment is None:
            raise RemoteProtocolError(
                "the meter does not write its deviation from UTC; register it: "
                "address deviation=-180"
            )
        return moment

    def _deviation_now(self) -> Step[int]:
        """Give the deviation of the meter's local time now, from local time to UTC [min]."""
        thing = self._companion.object("clock")
        shown = yield from clock.read(self._link.association, thing)
        written = self._deviation if shown.deviation is None else shown.deviation
        if written is None:
            raise LocalProtocolError(
                "the meter does not write its deviation from UTC; register it: "
                "address deviation=-180"
            )
        return written
