"""A way for APDUs to a meter and back: which one, an endpoint's line says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from drivers import stream
from drivers.dlms import hdlc_line, wrapper, wrapper_line
from drivers.dlms.settings import Settings
from drivers.driver import Endpoint


class Link(Protocol):
    """Carries APDUs; one task at a time uses it. After an error it carries no more."""

    @property
    def ends_associations(self) -> bool:
        """Whether leaving the link also leaves the association on it."""

    async def exchange(self, apdu: bytes) -> bytes:
        """Send an APDU and give the one that answers it.

        Raises
        ------
        drivers.errors.DriverError
            by what the caller should do.
        """

    async def burst(self, apdus: Sequence[bytes]) -> bytes | None:
        """Send APDUs one after another, or none, and give the next that comes.

        None if none comes in time; the link stands then.
        """

    async def receive(self) -> bytes:
        """Give the next APDU without asking for it."""

    async def leave(self) -> None:
        """Say goodbye and hear what the meter says to that."""

    def abandon(self, release: bytes) -> None:
        """Say goodbye without waiting; ``release`` is what leaves the association."""

    def close(self) -> None:
        """Close the line, if it still stands."""


async def opened(endpoint: Endpoint, settings: Settings) -> Link:
    """Open the way to a meter.

    Raises
    ------
    drivers.errors.DriverError
        by what the caller should do.
    """
    line, seconds = settings.line, endpoint.timeout
    if line.framing == "udp":
        datagrams = await stream.connect_datagram(
            endpoint.host, endpoint.port, wrapper.decode, timeout=seconds
        )
        return wrapper_line.Datagrams(datagrams, settings.client, settings.server, line, seconds)
    if line.framing == "wrapper":
        frames = await stream.connect(
            endpoint.host, endpoint.port, wrapper.Frames(), timeout=seconds
        )
        return wrapper_line.Wrapped(frames, settings.client, settings.server, line, seconds)
    return await hdlc_line.connected(endpoint, line)
