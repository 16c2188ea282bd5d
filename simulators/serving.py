"""Serving a fleet: every protocol's meters in one process, moved by one clock.

A protocol's module offers ``serve`` and gives back a ``Service``; TCP protocols get theirs, with
all faults of the line, from ``line.Lines`` and only write a ``line.Conversation``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from simulators import dlms_meter, dlms_push, line, modbus_meter, mqtt_meter
from simulators.clock import Clock
from simulators.dlms_pusher import Pusher
from simulators.meter import Meter


class Service(Protocol):
    """The running meters of one protocol."""

    port: int
    """Where they listen, 0 if they do not."""

    async def catch_up(self) -> int:
        """Do everything that became due up to the clock; give the total of messages published."""

    async def close(self) -> None:
        """Stop, and leave nothing open."""


@dataclass
class Serving:
    """A fleet that is being served."""

    clock: Clock
    services: Mapping[str, Service]
    meters: Sequence[Meter]
    published: int = 0
    publishing: asyncio.Task[int] | None = None

    async def move(self, to: datetime, *, wait: bool = True) -> int:
        """Move the clock and let every meter do what became due.

        Parameters
        ----------
        wait : until the broker has every message; otherwise the next move waits for that first

        Returns
        -------
        messages published since the start, as far as they have been waited for

        Raises
        ------
        ValueError
            if that is backwards.
        """
        await self._wait_for_messages()
        self.clock.move(to)
        for name, service in self.services.items():
            if name != "mqtt":
                await service.catch_up()
        if "mqtt" in self.services:
            self.publishing = asyncio.create_task(self.services["mqtt"].catch_up())
        if wait:
            await self._wait_for_messages()
        return self.published

    async def _wait_for_messages(self) -> None:
        if self.publishing is not None:
            task, self.publishing = self.publishing, None
            self.published = await task

    def port(self, protocol: str) -> int:
        """Give a protocol's port, 0 if it has none."""
        return self.services[protocol].port if protocol in self.services else 0

    def status(self) -> dict[str, object]:
        """Tell how things stand: the clock, the meters, what is wrong with how many now."""
        active = Counter(
            fault.kind
            for meter in self.meters
            for fault in meter.faults
            if fault.active(self.clock.seconds)
        )
        return {
            "now": self.clock.now.isoformat(),
            "meters": dict(Counter(meter.protocol for meter in self.meters)),
            "ports": {name: service.port for name, service in self.services.items()},
            "published": self.published,
            "faults_active": dict(active),
        }

    async def close(self) -> None:
        """Stop every meter; what is being published is given up."""
        if self.publishing is not None:
            self.publishing.cancel()
        for service in self.services.values():
            await service.close()


async def start(
    meters: Sequence[Meter],
    clock: Clock,
    *,
    ports: Mapping[str, int],
    broker: str | None,
    serial_folder: Path = line.SERIAL_FOLDER,
    push: str | None = None,
) -> Serving:
    """Start the meters of every protocol that the fleet has.

    Parameters
    ----------
    ports : by protocol, for ``dlms`` and ``modbus``; 0 takes a free one
    broker : URL of the MQTT broker; without it MQTT meters stay silent
    serial_folder : where serial ports appear
    push : where DLMS meters push to, tcp:// or udp://; without it none does

    Raises
    ------
    OSError
        if a port is taken.
    """
    services: dict[str, Service] = {}
    if chosen := of_protocol(meters, "dlms"):
        services["dlms"] = await dlms_meter.serve(
            chosen, clock, port=ports["dlms"], serial_folder=serial_folder
        )
    if push and (chosen := [meter for meter in meters if dlms_push.pushes(meter)]):
        services["push"] = Pusher(chosen, clock, push)
    if chosen := of_protocol(meters, "modbus"):
        services["modbus"] = await modbus_meter.serve(chosen, clock, port=ports["modbus"])
    if broker and (chosen := of_protocol(meters, "mqtt")):
        services["mqtt"] = await mqtt_meter.serve(chosen, clock, broker=broker)
    return Serving(clock, services, meters)


def of_protocol(meters: Sequence[Meter], protocol: str) -> list[Meter]:
    """Choose the meters of one protocol."""
    return [meter for meter in meters if meter.protocol == protocol]
