"""A small meter of our own on a real socket, and its driver: one JSON text a line.

It stands for a protocol here because its lines can be cut, stalled and refused at any point, and
because every request that reaches it is counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from drivers import errors
from drivers.bare import BareSession
from drivers.control import SwitchCommand, SwitchState
from drivers.driver import ClockReading, Endpoint, Feature, Identity
from schemas.event import EndDeviceEvent
from schemas.period import Period, floor
from schemas.reading import IntervalBlock, RegisterReading

STEP = 900


@dataclass
class Meter:
    """What a meter holds and how it behaves.

    ``lacks`` are slots that it does not have; an answer of more than ``longest`` slots is cut off.
    ``loses`` are requests that it carries out and does not answer, as often as each is named.
    """

    serial: str
    mood: str = "well"
    lacks: set[int] = field(default_factory=set)
    breaks_after: int | None = None
    pause: float = 0.0
    longest: int | None = None
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    loses: list[str] = field(default_factory=list)
    supply: str = "connected"
    off_by: int = 2

    def answer(self, ask: dict[str, Any]) -> Any:
        what = ask["ask"]
        self.requests.append(what)
        if what == "intervals":
            return [s for s in range(ask["from"], ask["to"], STEP) if s not in self.lacks]
        if what == "registers":
            return value(ask["now"])
        if what in ("connect", "disconnect", "arm"):
            self.supply = {"arm": "ready_for_reconnection"}.get(what, f"{what}ed")
        if what in ("connect", "disconnect", "arm", "switch state"):
            return self.supply
        if what == "shift":
            self.off_by += ask["seconds"]
        if what == "set":
            self.off_by = 0
        if what in ("clock", "shift", "set"):
            return self.off_by
        return self.serial


def value(slot: int) -> int:
    """The load of a slot, as everybody here knows it."""
    return slot // STEP % 977


class House:
    """Serves meters by the loopback address that a client connected to."""

    def __init__(self) -> None:
        self.meters: dict[str, Meter] = {}
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[House]:
        server = await asyncio.start_server(self._serve, "0.0.0.0", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        meter = self.meters.get(writer.get_extra_info("sockname")[0])
        try:
            if meter is None:
                return
            meter.connections += 1
            while line := await reader.readline():
                if not await self._answer(meter, json.loads(line), writer):
                    return
        except ConnectionError:
            return
        finally:
            writer.close()

    async def _answer(
        self, meter: Meter, ask: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        if meter.mood == "dumb":
            await asyncio.sleep(3600)
        await asyncio.sleep(meter.pause)
        if meter.mood == "locked":
            reply: dict[str, Any] = {"error": "WrongKey"}
        else:
            reply = {"answer": meter.answer(ask)}
        if meter.mood == "silent":
            await asyncio.sleep(3600)
        if ask["ask"] in meter.loses:
            meter.loses.remove(ask["ask"])
            return False
        too_long = meter.longest is not None and ask["ask"] == "intervals"
        if too_long and len(reply.get("answer", ())) > (meter.longest or 0):
            return False
        if meter.breaks_after is not None and ask["ask"] == "intervals":
            meter.breaks_after -= 1
            if meter.breaks_after < 0:
                meter.breaks_after = None
                return False
        writer.write(json.dumps(reply).encode() + b"\n")
        await writer.drain()
        return True


class LineSession(BareSession):
    def __init__(
        self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(endpoint.end_device)
        self._endpoint, self._reader, self._writer = endpoint, reader, writer

    async def identify(self) -> Identity:
        return Identity(str(await self._ask(ask="identity")))

    async def read_registers(
        self, reading_types: Sequence[str], *, now: datetime
    ) -> list[RegisterReading]:
        got = await self._ask(ask="registers", now=int(now.timestamp()))
        return [RegisterReading("active_energy_import", now, got)]

    async def read_register_history(self, period: Period) -> list[RegisterReading]:
        raise errors.NotOffered(f"{self._endpoint.end_device}: no history of {period}")

    async def read_intervals(self, period: Period) -> list[IntervalBlock]:
        span = {"from": int(period.start.timestamp()), "to": int(period.end.timestamp())}
        slots = np.array(await self._ask(ask="intervals", **span), dtype=np.int64)
        parts = np.split(slots, np.flatnonzero(np.diff(slots) != STEP) + 1) if len(slots) else []
        return [
            IntervalBlock(
                "active_energy_import_interval",
                datetime.fromtimestamp(int(part[0]), UTC),
                STEP,
                part // STEP % 977,
            )
            for part in parts
        ]

    async def read_events(self, period: Period) -> list[EndDeviceEvent]:
        await self._ask(ask="events")
        return [EndDeviceEvent(floor(period.start, 86400), "power", 1, "power down")]

    async def read_clock(self, *, now: datetime) -> ClockReading:
        return ClockReading(now + timedelta(seconds=await self._ask(ask="clock")), now)

    async def set_clock(self, moment: datetime) -> ClockReading:
        return ClockReading(moment + timedelta(seconds=await self._ask(ask="set")), moment)

    async def adjust_clock(self, seconds: int, *, now: datetime) -> ClockReading:
        off = await self._ask(ask="shift", seconds=seconds)
        return ClockReading(now + timedelta(seconds=off), now)

    async def read_switch(self) -> SwitchState:
        return _state(await self._ask(ask="switch state"))

    async def switch(self, command: SwitchCommand) -> SwitchState:
        return _state(await self._ask(ask=command))

    async def _ask(self, **ask: Any) -> Any:
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                self._writer.write(json.dumps(ask).encode() + b"\n")
                line = await self._reader.readline()
        except TimeoutError as error:
            raise errors.TimedOut(f"{self._endpoint.end_device}: no answer") from error
        except ConnectionError as error:
            raise errors.Broken(f"{self._endpoint.end_device}: {error}") from error
        if not line:
            raise errors.Broken(f"{self._endpoint.end_device}: the line was cut")
        reply = json.loads(line)
        if "error" in reply:
            raise getattr(errors, reply["error"])(f"{self._endpoint.end_device}: {reply['error']}")
        return reply["answer"]


def _state(position: Any) -> SwitchState:
    return SwitchState(position, supplied=position == "connected", control_mode=4)


class LineDriver:
    """Speaks with ``House``; with a memory, so that it offers intervals."""

    name = "dlms"
    offers: frozenset[Feature] = frozenset(
        {"identity", "registers", "register_history", "intervals", "events", "clock", "set_clock",
         "switch"}
    )  # fmt: skip

    @asynccontextmanager
    async def session(self, endpoint: Endpoint) -> AsyncIterator[LineSession]:
        try:
            async with asyncio.timeout(endpoint.timeout):
                reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        except ConnectionRefusedError as error:
            raise errors.Refused(f"{endpoint.end_device}: nobody listens") from error
        except (TimeoutError, OSError) as error:
            raise errors.Unreachable(f"{endpoint.end_device}: {error}") from error
        try:
            yield LineSession(endpoint, reader, writer)
        finally:
            writer.close()

    async def keys_in_force(
        self, endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]
    ) -> int | None:
        raise errors.NotOffered(f"{endpoint.end_device}: none of {len(candidates)} sets of keys")


class SamplingDriver(LineDriver):
    """The same meters without a memory."""

    name = "modbus"
    offers: frozenset[Feature] = frozenset({"identity", "registers"})
