"""Serving a fleet: every protocol's meters in one process, moved by one clock.

A protocol's module offers ``serve`` and gives back a ``Service``; TCP protocols get theirs, with
all faults of the line, from ``line.Lines`` and only write a ``line.Conversation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from simulators.clock import Clock
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
    published: int = 0
    meters: Mapping[str, int] = field(default_factory=dict)

    async def move(self, to: datetime) -> int:
        """Move the clock and let every meter do what became due.

        Returns
        -------
        messages published since the start

        Raises
        ------
        ValueError
            if that is backwards.
        """
        self.clock.move(to)
        self.published = sum([await service.catch_up() for service in self.services.values()])
        return self.published

    def port(self, protocol: str) -> int:
        """Give a protocol's port, 0 if it has none."""
        return self.services[protocol].port if protocol in self.services else 0

    async def close(self) -> None:
        """Stop every meter."""
        for service in self.services.values():
            await service.close()


def of_protocol(meters: Sequence[Meter], protocol: str) -> list[Meter]:
    """Choose the meters of one protocol."""
    return [meter for meter in meters if meter.protocol == protocol]
