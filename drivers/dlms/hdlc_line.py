"""APDUs in HDLC frames, over TCP and over serial lines: runs the link's steps over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

from drivers import errors, stream
from drivers.dlms import mode_e
from drivers.dlms.gateway import Route
from drivers.dlms.hdlc import Frame
from drivers.dlms.hdlc_link import Link, Talk
from drivers.dlms.line_settings import LineSettings
from drivers.driver import Endpoint
from drivers.serial_port import Characters
from drivers.stream import Stream

T = TypeVar("T")

# Octets of a frame that are not information: flags, format, two addresses, control, checks.
_FRAME_OVERHEAD: Final = 16
# Frames of one turn follow each other at once; networks between may delay the next one.
_MOMENT_SECONDS: Final = 0.3
# IEC 62056-21, 6.5.2: a meter reacts between 200 ms and 1500 ms after what it has heard.
_REACTION_SECONDS: Final = 1.5


class HdlcLine:
    """An HDLC connection that carries APDUs; made by ``connected``."""

    ends_associations: Final = True

    def __init__(
        self, line: Stream[Frame], link: Link, route: Route, seconds: float, frame_seconds: float
    ) -> None:
        self._line = line
        self._link = link
        self._route = route
        self._seconds = seconds
        self._moment = min(_MOMENT_SECONDS + frame_seconds, seconds)

    async def connect(self) -> None:
        """Set the connection up and agree on its sizes."""
        await self._drive(self._link.connect())

    async def exchange(self, apdu: bytes) -> bytes:
        """Send an APDU and give the one that answers it."""
        return self._route.back(await self._drive(self._link.exchange(self._route.out(apdu))))

    async def burst(self, apdus: Sequence[bytes]) -> bytes | None:
        """Send APDUs and give the next that comes, None if none does."""
        try:
            if not apdus:
                return await self.receive()
            talk = self._link.exchange(*(self._route.out(apdu) for apdu in apdus))
            return self._route.back(await self._drive(talk))
        except errors.TimedOut:
            return None

    async def receive(self) -> bytes:
        """Give the next APDU."""
        return self._route.back(await self._drive(self._link.more()))

    async def leave(self) -> None:
        """Disconnect, which the meter confirms."""
        await self._drive(self._link.disconnect())

    def abandon(self, release: bytes) -> None:
        """Disconnect; what leaves the association (``release``) is not needed for that."""
        self._line.send(self._link.goodbye)

    def close(self) -> None:
        """Close the line after what was sent has left."""
        self._line.close()

    async def _drive(self, talk: Talk[T]) -> T:
        try:
            output = next(talk)
            while True:
                if output:
                    self._line.send(output)
                seconds = self._seconds if output is not None else self._moment
                output = talk.send(await self._line.wait(seconds))
        except StopIteration as done:
            result: T = done.value
            return result


async def connected(endpoint: Endpoint, settings: LineSettings) -> HdlcLine:
    """Open the line and set up the HDLC connection on it.

    Raises
    ------
    drivers.errors.DriverError
        by what the caller should do.
    """
    link = Link(
        settings.client_address, settings.server_address, settings.parameters, settings.retries
    )
    seconds, frame_seconds = endpoint.timeout / (settings.retries + 1), 0.0
    line: Stream[Frame]
    if settings.path:
        line = await _serial(settings, link, endpoint.timeout)
        octets = settings.parameters.information_in + _FRAME_OVERHEAD
        frame_seconds = settings.characters.seconds(octets)
        seconds += 2 * frame_seconds * settings.parameters.window_in
    else:
        line = await stream.connect(
            endpoint.host, endpoint.port, link.frames, timeout=endpoint.timeout
        )
    made = HdlcLine(line, link, settings.route, seconds, frame_seconds)
    try:
        await made.connect()
    except BaseException:
        made.close()
        raise
    return made


async def _serial(settings: LineSettings, link: Link, seconds: float) -> Stream[Frame]:
    if not settings.signs_on:
        return await stream.open_serial(
            settings.path, settings.characters, link.frames, timeout=seconds
        )
    first = Characters(mode_e.FIRST_BAUD)
    line = await stream.open_serial(settings.path, first, mode_e.Lines(), timeout=seconds)
    try:
        await _sign_on(line, settings)
    except BaseException:
        line.close()
        raise
    return line.take_over(link.frames)


async def _sign_on(line: Stream[str], settings: LineSettings) -> None:
    """Have the meter name itself, and go over to HDLC at its baud rate (mode E)."""
    request = mode_e.sign_on(settings.sign_on_device)
    slow = Characters(mode_e.FIRST_BAUD).seconds(mode_e.LONGEST_LINE + len(request))
    said = None
    for _ in range(settings.retries + 1):
        line.send(request)
        said = await line.wait(_REACTION_SECONDS + slow)
        if said is not None:
            break
    if said is None:
        raise errors.TimedOut(
            f"no meter names itself at {line.where} ({mode_e.FIRST_BAUD} baud); check the cable "
            "or the optical head, and the address sign_on="
        )
    meter = mode_e.identified(said)
    choice = mode_e.choice(meter)
    line.send(choice)
    # An adapter may still have what has left the machine.
    await line.pause(Characters(mode_e.FIRST_BAUD).seconds(len(choice)))
    await line.set_characters(replace(settings.characters, baud=meter.baud))
    # Some meters confirm the choice, at the old rate or the new one, and some do not.
    await line.wait(_REACTION_SECONDS)
