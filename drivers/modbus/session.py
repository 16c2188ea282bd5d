"""Conversations with Modbus meters: what the domain asks, in requests of the meter's map."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, NoReturn, cast, get_args

from drivers import errors
from drivers.bare import BareSession
from drivers.driver import Endpoint, Feature, Identity
from drivers.modbus import decode, planner, register_map
from drivers.modbus.line import Framing, Line, Lines
from drivers.modbus.register_map import RegisterMap, Span
from schemas.reading import RegisterReading


class ModbusSession(BareSession):
    """One conversation with one meter. Modbus meters have registers and, here, nothing else."""

    def __init__(self, line: Line, endpoint: Endpoint, meter: RegisterMap, unit: int) -> None:
        super().__init__(f"{endpoint.end_device}: a {meter.name} meter")
        self._line, self._endpoint, self._map, self._unit = line, endpoint, meter, unit

    async def identify(self) -> Identity:
        """Ask for the serial number, where the map has its registers.

        Raises
        ------
        NotOffered
            if the map has none.
        """
        fields = self._map.identity
        if "serial" not in fields:
            self._lacks("a serial number in its register map")
        memory = await self._read([field.span for field in fields.values()])
        said = {
            what: decode.text(decode.pick(memory, field), field) for what, field in fields.items()
        }
        return Identity(
            serial=said["serial"],
            manufacturer=said.get("manufacturer", self._map.manufacturer),
            model=said.get("model", self._map.model),
            firmware=said.get("firmware", ""),
        )

    async def read_registers(
        self, reading_types: Sequence[str], *, now: datetime
    ) -> list[RegisterReading]:
        """Read the present value of registers, in the fewest requests.

        Those that the meter does not have are left out, and so are those that it has and says to
        have no value for.

        Parameters
        ----------
        reading_types : names in ``reading_types.csv``
        now : the moment that the values belong to, since the meter has no clock to ask
        """
        known = [self._map.registers[kind] for kind in reading_types if kind in self._map.registers]
        memory = await self._read([field.span for one in known for field in one.fields])
        values = [decode.reading(memory, one) for one in known]
        return [
            RegisterReading(register.reading_type, now, value)
            for register, value in zip(known, values, strict=True)
            if value is not None
        ]

    async def _read(self, spans: Sequence[Span]) -> dict[tuple[int, int], int]:
        """Read words, by function code and address."""
        memory: dict[tuple[int, int], int] = {}
        for request in planner.plan(spans, self._map.limits):
            words = await self._ask(request)
            for offset, word in enumerate(words):
                memory[request.function, request.address + offset] = word
        return memory

    async def _ask(self, request: Span) -> list[int]:
        try:
            return await self._line.read(self._unit, request, self._endpoint.timeout)
        except errors.DriverError as error:
            raise type(error)(f"{self._endpoint.end_device}: {error}") from error


class ModbusDriver:
    """Modbus meters over TCP, directly or as units behind a gateway."""

    name: str = "modbus"
    offers: frozenset[Feature] = frozenset({"identity", "registers"})

    def __init__(self) -> None:
        self._lines: Final = Lines()

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[ModbusSession]:
        """Open a conversation with a meter: ``address`` is ``{"unit": 1}``, 1 by default.

        ``{"framing": "rtu"}`` is for gateways that send the serial line's frames over TCP.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do; LocalProtocolError if the endpoint is not a Modbus one.
        """
        meter, framing = _meter(endpoint), _framing(endpoint)
        unit = _unit(endpoint, framing)
        async with self._lines.line(endpoint.host, endpoint.port, framing) as line:
            try:
                await line.connect(endpoint.timeout)
            except errors.DriverError as error:
                raise type(error)(f"{endpoint.end_device}: {error}") from error
            yield ModbusSession(line, endpoint, meter, unit)

    async def keys_in_force(
        self, endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]
    ) -> int | None:
        """Raise NotOffered: Modbus meters have no keys."""
        raise errors.NotOffered(
            f"{endpoint.end_device}: Modbus meters have no keys; {len(candidates)} sets were given"
        )


def _meter(endpoint: Endpoint) -> RegisterMap:
    try:
        return register_map.named(endpoint.profile)
    except KeyError as error:
        _wrong(endpoint, f"{error.args[0]}")


def _framing(endpoint: Endpoint) -> Framing:
    framing = endpoint.address.get("framing", "tcp")
    if framing not in get_args(Framing):
        known = ", ".join(get_args(Framing))
        _wrong(endpoint, f"address framing={framing} is none of {known}")
    return cast(Framing, framing)


def _unit(endpoint: Endpoint, framing: Framing) -> int:
    try:
        unit = int(endpoint.address.get("unit", 1))
    except ValueError:
        unit = -1
    # On a serial line 0 is everybody, whom nobody answers for.
    lowest, highest = (0, 255) if framing == "tcp" else (1, 247)
    if not lowest <= unit <= highest:
        said = f"address unit={endpoint.address['unit']} is not a unit {lowest} … {highest}"
        _wrong(endpoint, said)
    return unit


def _wrong(endpoint: Endpoint, what: str) -> NoReturn:
    raise errors.LocalProtocolError(f"{endpoint.end_device}: {what}; correct it in the registry")
