"""Conversations with DLMS meters over the TCP wrapper: what the domain asks, in COSEM objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from drivers.bare import BareSession
from drivers.dlms import axdr, clock_time, profile, readout
from drivers.dlms.apdu import Attribute
from drivers.dlms.connection import Connection, connection
from drivers.dlms.profile import Profile
from drivers.dlms.readout import Rows
from drivers.dlms.refusals import Refusal
from drivers.dlms.scaling import Scale, scale
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Step
from drivers.driver import ClockReading, Endpoint, Feature, Identity
from drivers.errors import NotOffered, RemoteProtocolError, WrongKey, WrongMeter
from schemas import reading_type
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

_REGISTER: Final = 3
_SECOND: Final = timedelta(seconds=1)

Captured = MutableMapping[tuple[str, Attribute], tuple[Attribute, ...]]
"""What the last meter captured, by companion profile and profile object."""


class DlmsSession(BareSession):
    """One conversation with one meter, over a connection that is open."""

    def __init__(
        self, link: Connection, endpoint: Endpoint, settings: Settings, captured: Captured
    ) -> None:
        super().__init__(f"{endpoint.end_device}: this driver")
        self._link = link
        self._interval_seconds = endpoint.interval_seconds
        self._companion = settings.companion
        self._deviation = settings.deviation
        self._captured = captured
        self._layouts: dict[Attribute, Profile] = {}
        self._scales: dict[Attribute, Scale] = {}

    async def identify(self) -> Identity:
        """Ask for serial number, firmware and logical device name.

        Raises
        ------
        NotOffered
            if the meter has no serial number.
        """
        wanted = ("serial", "firmware", "logical_device_name")
        found = await self._link.run(self._texts(*wanted))
        name = found["logical_device_name"]
        # A logical device name begins with the manufacturer's three letters (FLAG).
        manufacturer = name[:3] if name[:3].isalpha() else ""
        return Identity(found["serial"], manufacturer=manufacturer, firmware=found["firmware"])

    async def check_serial(self, serial: str) -> None:
        """Compare the meter's serial number with the expected one.

        Raises
        ------
        WrongMeter
            if it is another.
        """
        await self._link.run(self._check_serial(serial))

    async def read_registers(
        self, reading_types: Sequence[str], *, now: datetime
    ) -> list[RegisterReading]:
        """Read the present value of registers; those that the meter does not have are left out.

        Parameters
        ----------
        reading_types : names in ``reading_types.csv``
        now : the moment that the values belong to
        """
        asked = [Attribute(_REGISTER, reading_type.named(one).obis, 2) for one in reading_types]
        values = await self._link.run(self._registers(asked))
        readings = []
        for name, attribute in zip(reading_types, asked, strict=True):
            if values.get(attribute) is not None:
                value, code = self._scales[attribute].integer(values[attribute])
                readings.append(RegisterReading(name, now, value, code))
        return readings

    async def read_register_history(self, period: Period) -> list[RegisterReading]:
        """Read register values that the meter stored in the period or at its very end.

        The end belongs to it because a period's consumption is the difference of the registers at
        its two ends.
        """
        return await self._link.run(self._register_history(period))

    async def read_intervals(self, period: Period) -> list[IntervalBlock]:
        """Read the load profile's intervals that start in a period, oldest first.

        Stamps, which are interval ends, stay as the meter wrote them, on the grid or off it.
        """
        return await self._link.run(self._intervals(period))

    async def read_events(self, period: Period) -> list[EndDeviceEvent]:
        """Read the event log's entries of a period, oldest first."""
        return await self._link.run(self._events(period))

    async def read_clock(self, *, now: datetime) -> ClockReading:
        """Read the meter's clock beside ours."""
        return ClockReading(await self._link.run(self._clock()), now)

    async def read_invocation_counter(self) -> int:
        """Read the counter that the meter last accepted from the client with the meter's keys.

        Meters show it to a client without security too: ``{"client": 16}``, security ``none``.
        """
        return await self._link.run(self._invocation_counter())

    def _value(self, attribute: Attribute) -> Step[axdr.Value]:
        return axdr.decode((yield from self._link.association.get(attribute)))[0]

    def _invocation_counter(self) -> Step[int]:
        attribute = self._companion.objects["invocation_counter"]
        value = yield from self._value(attribute)
        if not isinstance(value, int):
            raise RemoteProtocolError(f"{attribute} is {value!r}, which is no invocation counter")
        return value

    def _check_serial(self, serial: str) -> Step[None]:
        found = (yield from self._texts("serial"))["serial"]
        if found != serial:
            raise WrongMeter(
                f"the meter has serial number {found!r}, not {serial!r}; "
                "check the address, or register the meter exchange"
            )

    def _texts(self, *wanted: str) -> Step[dict[str, str]]:
        """Read identity objects; all but the serial number may be missing."""
        attributes = [self._companion.objects[what] for what in wanted]
        values = yield from self._link.association.get_all(attributes)
        for what, value in zip(wanted, values, strict=True):
            if isinstance(value, Refusal) and what == "serial":
                raise value.error("reading the serial number")
        return {
            what: "" if isinstance(value, Refusal) else readout.text(value)
            for what, value in zip(wanted, values, strict=True)
        }

    def _registers(self, asked: Sequence[Attribute]) -> Step[dict[Attribute, axdr.Value]]:
        """Read registers, and the scales of those that are read for the first time."""
        new = [attribute for attribute in asked if attribute not in self._scales]
        scalers = [replace(attribute, index=3) for attribute in new]
        wanted = [*asked, *scalers]
        values = yield from self._link.association.get_all(wanted)
        answers = {
            attribute: value
            for attribute, value in zip(wanted, values, strict=True)
            if _is_there(attribute, value)
        }
        for attribute, scaler in zip(new, scalers, strict=True):
            meaning = reading_type.of_obis(attribute.name)
            if attribute in answers and scaler in answers and meaning is not None:
                self._scales[attribute] = scale(answers[scaler], meaning)
        return {one: answers[one] for one in asked if one in answers and one in self._scales}

    def _clock(self) -> Step[datetime]:
        value = yield from self._value(self._companion.objects["clock"])
        if not isinstance(value, bytes):
            raise RemoteProtocolError(f"the meter's clock says {value!r}, which is no date-time")
        moment = clock_time.decode(value).utc(self._deviation)
        if moment is None:
            raise RemoteProtocolError(
                "the meter does not write its deviation from UTC; register it: "
                "address deviation=-180"
            )
        return moment

    def _register_history(self, period: Period) -> Step[list[RegisterReading]]:
        rows = yield from self._rows("daily_registers", period.start, period.end)
        return readout.register_readings(rows, period)

    def _intervals(self, period: Period) -> Step[list[IntervalBlock]]:
        layout = yield from self._layout("load_profile")
        seconds = layout.period_seconds or self._interval_seconds
        length = timedelta(seconds=seconds)
        rows = yield from self._rows(
            "load_profile", period.start + length, period.end + length - _SECOND
        )
        return readout.interval_blocks(rows, period, seconds)

    def _events(self, period: Period) -> Step[list[EndDeviceEvent]]:
        rows = yield from self._rows("event_log", period.start, period.end)
        return readout.events(rows, period)

    def _rows(self, what: str, first: datetime, last: datetime) -> Step[Rows]:
        layout = yield from self._layout(what)
        columns = yield from profile.read_rows(
            self._link.association, layout, first, last, self._deviation
        )
        return Rows(layout, columns, self._companion)

    def _layout(self, what: str) -> Step[Profile]:
        """Give a profile's lay-out, asked for once a session.

        Most meters of a kind capture the same, so what the last one captured is the guess.
        """
        buffer = self._companion.objects[what]
        if buffer not in self._layouts:
            key = (self._companion.name, buffer)
            layout = yield from profile.read_layout(
                self._link.association, buffer, self._captured.get(key, ())
            )
            self._layouts[buffer] = layout
            self._captured[key] = layout.captured
        return self._layouts[buffer]


class DlmsDriver:
    """DLMS meters over the TCP wrapper."""

    name: str = "dlms"
    offers: frozenset[Feature] = frozenset(
        {"identity", "registers", "register_history", "intervals", "events", "clock"}
    )

    def __init__(self) -> None:
        self.captured: Captured = {}

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[DlmsSession]:
        """Open a conversation with a meter; leaving it releases the association.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do; LocalProtocolError if the endpoint is not a DLMS one.
        """
        settings = Settings.of(endpoint)
        async with connection(endpoint, settings) as link:
            session = DlmsSession(link, endpoint, settings, self.captured)
            if settings.serial is not None:
                await session.check_serial(settings.serial)
            yield session

    async def keys_in_force(
        self, endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]
    ) -> int | None:
        """Tell which of several sets of secrets a meter takes: its place, None if it takes none.

        Raises
        ------
        drivers.errors.DriverError
            if that cannot be told, since the line failed.
        """
        for place, known in enumerate(candidates):
            one = replace(endpoint, secrets={**endpoint.secrets, **known})
            try:
                async with connection(one, Settings.of(one)):
                    return place
            except WrongKey:
                continue
        return None


def _is_there(attribute: Attribute, value: axdr.Value) -> bool:
    """Tell whether the meter has an attribute; other refusals than "no such thing" are errors."""
    if isinstance(value, Refusal):
        error = value.error(f"reading {attribute}")
        if not isinstance(error, NotOffered):
            raise error
        return False
    return value is not None
