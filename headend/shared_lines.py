"""Meters that share a line: units behind one gateway, meters of one bus. Read one after the other.

A line that several conversations wait for would cost each of them its time, and its place.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Protocol, TypeGuard, runtime_checkable

from drivers.driver import Driver, Endpoint
from headend.preparation import Asking


@runtime_checkable
class SharesLines(Protocol):
    """A driver whose meters may be on one line."""

    def line_of(self, endpoint: Endpoint) -> Hashable:
        """Tell which line a meter is on; None if that is not known."""

    def holding(self, endpoint: Endpoint) -> AbstractContextManager[None]:
        """Keep a meter's line open between the sessions of its units."""


def groups(asking: Iterable[Asking], driver_of: dict[str, Driver]) -> list[list[Asking]]:
    """Put meters of one line and segment together, those that failed last at the end."""
    made: dict[Hashable, list[Asking]] = {}
    for one in asking:
        device = one.request.device
        driver = driver_of[device.protocol]
        line = driver.line_of(one.endpoint) if shares_lines(driver) else None
        alone = ("meter", device.id)
        key = (device.protocol, device.segment_id, line) if line is not None else alone
        made.setdefault(key, []).append(one)
    return [sorted(group, key=lambda one: one.request.device.failures) for group in made.values()]


@runtime_checkable
class TakesTurns(Protocol):
    """A driver on whose lines one client at a time can talk."""

    def exclusive_line(self, endpoint: Endpoint) -> str:
        """Name the line that a meter is on, the same in every process of this machine."""


@cache
def _has(kind: type, protocol: type) -> bool:
    """Tell whether a class has a protocol's methods: looking for them takes 20 µs each time."""
    return all(hasattr(kind, name) for name in vars(protocol) if not name.startswith("_"))


def shares_lines(driver: Driver) -> TypeGuard[SharesLines]:
    """Tell whether a driver's meters may be on one line."""
    return _has(type(driver), SharesLines)


def takes_turns(driver: Driver) -> TypeGuard[TakesTurns]:
    """Tell whether one client at a time can talk on a driver's lines."""
    return _has(type(driver), TakesTurns)


def leases(asking: Asking, driver: Driver) -> tuple[int, ...]:
    """Give the numbers of the leases that a conversation needs: its meter's, and its line's.

    Two lines whose names have the same checksum wait for each other, which does no harm.
    """
    device = asking.request.device.id
    if not takes_turns(driver):
        return (device,)
    return device, -1 - (zlib.crc32(driver.exclusive_line(asking.endpoint).encode()) & 0x7FFFFFFE)


def holding(group: Sequence[Asking], driver: Driver) -> AbstractContextManager[None]:
    """Keep a group's line open until all of it is read."""
    if len(group) > 1 and shares_lines(driver):
        return driver.holding(group[0].endpoint)
    return nullcontext()
