"""Conversations with DLMS meters: what the domain asks, in COSEM objects."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import datetime
from typing import Final

from drivers.control import KeyChange
from drivers.dlms import axdr, key_change, ratios, readout, turns
from drivers.dlms.apdu import Attribute
from drivers.dlms.connection import Connection, connection
from drivers.dlms.memory import Captured, Memory
from drivers.dlms.operations import Operations
from drivers.dlms.refusals import Refusal
from drivers.dlms.scaling import Scale, scale
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Step
from drivers.dlms.turns import Turns
from drivers.driver import METHODS, Endpoint, Feature, Identity
from drivers.errors import (
    NotOffered,
    RemoteProtocolError,
    WrongMeter,
)
from schemas import reading_type
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

_REGISTER: Final = 3
_REGISTERS: Final = (3, 4)


class DlmsSession(Operations):
    """One conversation with one meter, over a connection that is open."""

    def __init__(
        self, link: Connection, endpoint: Endpoint, settings: Settings, captured: Captured
    ) -> None:
        super().__init__(link, endpoint, settings)
        self._endpoint = endpoint
        self._memory = Memory(link.association, endpoint, settings, captured)
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
        asked = {one: self._register(one) for one in reading_types if one not in ratios.OBJECTS}
        plain = ratios.attributes(reading_types)
        values = await self._link.run(self._registers([*asked.values()], plain))
        readings = []
        for name in reading_types:
            if name in ratios.OBJECTS:
                found = ratios.scaled(name, values)
            elif (raw := values.get(asked[name])) is not None:
                found = self._scales[asked[name]].integer(raw)
            else:
                found = None
            if found is not None:
                readings.append(RegisterReading(name, now, *found))
        return readings

    async def read_register_history(self, period: Period) -> list[RegisterReading]:
        """Read register values that the meter stored in the period or at its very end.

        The end belongs to it because a period's consumption is the difference of the registers at
        its two ends.
        """
        return await self._link.run(self._memory.registers(self._companion.registers, period))

    async def read_intervals(self, period: Period) -> list[IntervalBlock]:
        """Read the load profile's intervals that start in a period, oldest first.

        Stamps, which are interval ends, stay as the meter wrote them, on the grid or off it.
        """
        return await self._link.run(self._memory.intervals(period))

    async def read_events(self, period: Period) -> list[EndDeviceEvent]:
        """Read the event log's entries of a period, oldest first."""
        return await self._link.run(self._memory.events(period))

    async def read_billing_registers(self, period: Period) -> list[RegisterReading]:
        """Read registers that the meter stored at the ends of billing periods, oldest first."""
        return await self._link.run(self._memory.registers(self._companion.billing, period))

    async def change_keys(self, new: Mapping[str, bytes]) -> KeyChange:
        """Give the meter new keys, wrapped under its master key (secret ``master``).

        If the answer is lost, the new keys and then the old ones are tried over new connections.
        The session is of no use afterwards.

        Raises
        ------
        LocalProtocolError
            if a name or size is wrong, or the master key is missing; nothing was sent.
        MeterRefused
            if the meter refuses: the old keys are in force.
        """
        return await key_change.change(self._link, self._endpoint, new)

    async def read_invocation_counter(self) -> int:
        """Read the counter that the meter last accepted from the client with the meter's keys.

        Meters show it to a client without security too: ``{"client": 16}``, security ``none``.
        """
        return await self._link.run(self._invocation_counter())

    def _value(self, attribute: Attribute) -> Step[axdr.Value]:
        return axdr.decode((yield from self._link.association.get(attribute)))[0]

    def _invocation_counter(self) -> Step[int]:
        attribute = self._companion.object("invocation_counter")
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
        attributes = [self._companion.object(what) for what in wanted]
        values = yield from self._link.association.get_all(attributes)
        for what, value in zip(wanted, values, strict=True):
            if isinstance(value, Refusal) and what == "serial":
                raise value.error("reading the serial number")
        return {
            what: "" if isinstance(value, Refusal) else readout.text(value)
            for what, value in zip(wanted, values, strict=True)
        }

    def _registers(
        self, asked: Sequence[Attribute], plain: Sequence[Attribute]
    ) -> Step[dict[Attribute, axdr.Value]]:
        """Read registers, and the scales of those that are read for the first time.

        Parameters
        ----------
        plain : numbers without a scale
        """
        new = [attribute for attribute in asked if attribute not in self._scales]
        scalers = [attribute.beside(3) for attribute in new]
        wanted = [*asked, *scalers, *plain]
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
        known = [one for one in asked if one in self._scales] + [*plain]
        return {one: answers[one] for one in known if one in answers}

    def _register(self, name: str) -> Attribute:
        """Give a register's value; its class is a register's, or what the meter's profile says."""
        obis = reading_type.named(name).obis
        known = self._endpoint.meter_profile
        classes = known.classes(str(obis)) if known is not None else ()
        return Attribute(next((one for one in classes if one in _REGISTERS), _REGISTER), obis, 2)


class DlmsDriver:
    """DLMS meters, over whatever line their address names (``drivers.dlms.line_settings``)."""

    name: str = "dlms"
    offers: frozenset[Feature] = frozenset(METHODS)

    def __init__(self) -> None:
        self.captured: Captured = {}
        self._turns = Turns()

    def line_of(self, endpoint: Endpoint) -> Hashable:
        """Tell which line a meter is on: meters on the same one are read one after the other."""
        return turns.line_of(endpoint)

    def exclusive_line(self, endpoint: Endpoint) -> str:
        """Name the line that a meter is on, which one client at a time may use."""
        return " ".join(map(str, turns.line_of(endpoint)))

    def holding(self, endpoint: Endpoint) -> AbstractContextManager[None]:
        """Keep nothing between the sessions of a line's meters: each has its own connection."""
        return nullcontext()

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[DlmsSession]:
        """Open a conversation with a meter; leaving it releases the association.

        Meters behind one endpoint, or on one bus, take turns: most take one client at a time.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do; LocalProtocolError if the endpoint is not a DLMS one.
        """
        settings = Settings.of(endpoint)
        async with self._turns.turn(endpoint), connection(endpoint, settings) as link:
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
        async with self._turns.turn(endpoint):
            return await key_change.in_force(endpoint, candidates)


def _is_there(attribute: Attribute, value: axdr.Value) -> bool:
    """Tell whether the meter has an attribute; other refusals than "no such thing" are errors."""
    if isinstance(value, Refusal):
        error = value.error(f"reading {attribute}")
        if not isinstance(error, NotOffered):
            raise error
        return False
    return value is not None
