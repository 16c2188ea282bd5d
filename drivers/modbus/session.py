"""Conversations with Modbus meters: what the domain asks, in requests of the meter's map."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Final, NoReturn

from drivers import errors
from drivers.bare import BareSession
from drivers.driver import Endpoint, Feature, Identity
from drivers.modbus import decode, place, planner, profiles, register_map, search
from drivers.modbus.line import Line, Lines
from drivers.modbus.place import Place
from drivers.modbus.register_map import RegisterMap, Span
from schemas.reading import RegisterReading

# A meter on a bus answers within tenths of a second; the time that the characters take is added.
_BUS_SECONDS: Final = 1.0
_LONGEST_SECONDS: Final = 60.0
# Maps that were found are remembered; so many meters one process never has.
_MOST_FOUND: Final = 50_000

Key = tuple[Place, int, str]
"""A meter: its line, its unit, its profile."""


class ModbusSession(BareSession):
    """One conversation with one meter. Modbus meters have registers and, here, nothing else.

    ``found`` remembers by unit which map a meter was found to have.
    """

    def __init__(self, line: Line, endpoint: Endpoint, found: dict[Key, RegisterMap]) -> None:
        super().__init__(f"{endpoint.end_device}: a {endpoint.profile} meter")
        self._line, self._endpoint, self._found = line, endpoint, found
        self._unit = _unit(endpoint, line.place)
        self._seconds = _seconds(endpoint, line.place)
        self._key = (line.place, self._unit, endpoint.profile)

    async def identify(self) -> Identity:
        """Ask for the serial number, where the map has its registers.

        Raises
        ------
        NotOffered
            if the map has none.
        """
        meter = await self._map()
        fields = meter.identity
        if "serial" not in fields:
            self._lacks("a serial number in its register map")
        memory = await self._read(meter, [field.span for field in fields.values()])
        said = {
            what: decode.text(decode.pick(memory, field), field)
            for what, field in fields.items()
            if decode.has(memory, field)
        }
        return Identity(
            serial=said.get("serial", ""),
            manufacturer=said.get("manufacturer", meter.manufacturer),
            model=said.get("model", meter.model),
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
        meter, memory = await self._memory(reading_types)
        return [
            RegisterReading(kind, now, value, modulus=register.modulus)
            for kind, register in meter.registers.items()
            if kind in reading_types
            and decode.is_there(memory, register)
            and (value := decode.reading(memory, register)) is not None
        ]

    async def _memory(
        self, reading_types: Sequence[str]
    ) -> tuple[RegisterMap, dict[tuple[int, int], int]]:
        """Read the words of registers, and with them those that prove the map."""
        for _ in range(2):
            meter = await self._map()
            known = [one for kind, one in meter.registers.items() if kind in reading_types]
            spans = [field.span for one in known for field in one.fields]
            memory = await self._read(meter, [*spans, *(meter.proof if spans else ())])
            if not spans or search.holds(meter, memory):
                return meter, memory
            # Another meter is there now, or this one has new settings.
            self._found.pop(self._key, None)
        raise errors.RemoteProtocolError(
            f"{self._endpoint.end_device}: it says another model or scale each time it is asked"
        )

    async def _map(self) -> RegisterMap:
        """Give the meter's map; ask the meter where that is not known."""
        if self._endpoint.profile not in profiles.FAMILIES:
            return register_map.named(self._endpoint.profile)
        if self._key not in self._found:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[self._key] = await self._search()
        return self._found[self._key]

    async def _search(self) -> RegisterMap:
        """Answer what the search for the map asks, from the meter."""
        asking = profiles.FAMILIES[self._endpoint.profile]()
        try:
            span = next(asking)
            while True:
                span = asking.send(await self._ask_if_there(span))
        except StopIteration as end:
            found: RegisterMap | None = end.value
        if found is None:
            self._lacks("any model that this profile knows")
        return found

    async def _ask_if_there(self, span: Span) -> Sequence[int] | None:
        try:
            return await self._ask(span)
        except errors.MeterRefused:
            return None

    async def _read(self, meter: RegisterMap, spans: Sequence[Span]) -> dict[tuple[int, int], int]:
        """Read words, by function code and address, without those that the meter does not have.

        Raises
        ------
        NotOffered
            if it has none of them.
        """
        memory: dict[tuple[int, int], int] = {}
        refusal: errors.NotOffered | None = None
        for request in planner.plan(spans, meter.limits):
            try:
                _keep(memory, request, await self._ask(request))
            except errors.NotOffered as error:
                refusal = error
                await self._read_singly(memory, request, spans, meter)
        if refusal is not None and not memory:
            raise refusal
        return memory

    async def _read_singly(
        self,
        memory: dict[tuple[int, int], int],
        refused: Span,
        spans: Sequence[Span],
        meter: RegisterMap,
    ) -> None:
        """Read each value of a refused request alone: one that is not there hides the others."""
        inside = {span for span in spans if _is_inside(span, refused)}
        if len(inside) == 1:
            return
        for span in sorted(inside, key=lambda one: (one.address, one.count)):
            for request in planner.plan([span], meter.limits):
                try:
                    _keep(memory, request, await self._ask(request))
                except errors.NotOffered:
                    continue

    async def _ask(self, request: Span) -> Sequence[int]:
        try:
            return await self._line.read(self._unit, request, self._seconds)
        except errors.DriverError as error:
            raise type(error)(f"{self._endpoint.end_device}: {error}") from error


class ModbusDriver:
    """Modbus meters over TCP or a serial line, alone or as units that share one."""

    name: str = "modbus"
    offers: frozenset[Feature] = frozenset({"identity", "registers"})

    def __init__(self) -> None:
        self._lines: Final = Lines()
        self._found: Final[dict[Key, RegisterMap]] = {}

    def line_of(self, endpoint: Endpoint) -> Hashable:
        """Tell which line a meter is on: meters on the same one are read one after the other."""
        try:
            return place.of(endpoint.host, endpoint.port, endpoint.address)
        except ValueError:
            return None

    @contextmanager
    def holding(self, endpoint: Endpoint) -> Iterator[None]:
        """Keep a meter's line from being closed between the sessions of its units."""
        with self._lines.line(_place(endpoint)):
            yield

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[ModbusSession]:
        """Open a conversation with a meter: ``address`` is ``{"unit": 1}``, 1 by default.

        ``drivers.modbus.place.of`` says how it names a serial line or frames over TCP;
        ``{"timeout": 1}`` is the longest wait for an answer [s] where the endpoint's is too long.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do; LocalProtocolError if the endpoint is not a Modbus one.
        """
        where = _place(endpoint)
        _check(endpoint, where)
        with self._lines.line(where) as line:
            try:
                await line.connect(_seconds(endpoint, where))
            except errors.DriverError as error:
                raise type(error)(f"{endpoint.end_device}: {error}") from error
            yield ModbusSession(line, endpoint, self._found)

    async def keys_in_force(
        self, endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]
    ) -> int | None:
        """Raise NotOffered: Modbus meters have no keys."""
        raise errors.NotOffered(
            f"{endpoint.end_device}: Modbus meters have no keys; {len(candidates)} sets were given"
        )


def _keep(memory: dict[tuple[int, int], int], request: Span, words: Sequence[int]) -> None:
    for address, word in enumerate(words, request.address):
        memory[request.function, address] = word


def _is_inside(span: Span, request: Span) -> bool:
    starts_inside = request.address <= span.address < request.end
    return span.function == request.function and starts_inside


def _check(endpoint: Endpoint, where: Place) -> None:
    _unit(endpoint, where)
    if not profiles.is_known(endpoint.profile):
        known = ", ".join(profiles.names())
        _wrong(endpoint, f"no Modbus register map {endpoint.profile!r}; known: {known}")


def _place(endpoint: Endpoint) -> Place:
    try:
        return place.of(endpoint.host, endpoint.port, endpoint.address)
    except ValueError as error:
        _wrong(endpoint, str(error))


def _unit(endpoint: Endpoint, where: Place) -> int:
    try:
        unit = int(endpoint.address.get("unit", 1))
    except ValueError:
        unit = -1
    # On a serial line 0 is everybody, whom nobody answers for.
    lowest, highest = (0, 255) if where.framing == "tcp" else (1, 247)
    if not lowest <= unit <= highest:
        said = f"address unit={endpoint.address['unit']} is not a unit {lowest} … {highest}"
        _wrong(endpoint, said)
    return unit


def _seconds(endpoint: Endpoint, where: Place) -> float:
    """Give the longest wait for an answer [s]: a dead meter of a bus delays all others."""
    asked = endpoint.address.get("timeout")
    if asked is None:
        usual = _BUS_SECONDS if where.path else endpoint.timeout
        return min(usual, endpoint.timeout)
    try:
        seconds = float(asked)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST_SECONDS:
        _wrong(endpoint, f"address timeout={asked} is no number of seconds up to 60")
    return seconds


def _wrong(endpoint: Endpoint, what: str) -> NoReturn:
    raise errors.LocalProtocolError(f"{endpoint.end_device}: {what}; correct it in the registry")
