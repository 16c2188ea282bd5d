"""Reads one meter now, while somebody watches; by the same path as every poll."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drivers import catalogue
from drivers.driver import Driver
from headend import collector, devices, jobs, overview
from headend.capacity import Limits
from headend.exchange import Listener, Order, Outcome
from headend.landing import Landed
from headend.overview import Value
from schemas import database

EVERYTHING = ("identity", "clock", "registers", "register_history", "events", "intervals")


class Busy(RuntimeError):
    """Another process talks to the meter and did not finish in time."""


class NotReadable(ValueError):
    """The meter cannot be asked: it publishes by itself, or is read by hand."""


@dataclass(frozen=True, slots=True)
class Read:
    """What reading a meter now gave.

    Attributes
    ----------
    outcome : ``ok``, ``partial`` or ``failed``
    error, message : class of ``drivers.errors`` and its words, None when all is well
    landed : what was new
    values : the last value of every reading type, after landing
    remaining : True if more periods are missing than one session asks for
    """

    mrid: str
    outcome: Outcome
    error: str | None
    message: str | None
    attempts: int
    seconds: float
    landed: Landed
    values: tuple[Value, ...]
    remaining: bool


def read(
    url: str,
    mrid: str,
    drivers: Mapping[str, Driver] | None = None,
    *,
    reads: Sequence[str] = EVERYTHING,
    listener: Listener | None = None,
    limits: Limits | None = None,
) -> Read:
    """Read a meter now; see ``read_async``."""
    return asyncio.run(
        read_async(url, mrid, drivers, reads=reads, listener=listener, limits=limits)
    )


async def read_async(
    url: str,
    mrid: str,
    drivers: Mapping[str, Driver] | None = None,
    *,
    reads: Sequence[str] = EVERYTHING,
    listener: Listener | None = None,
    limits: Limits | None = None,
) -> Read:
    """Read a meter now, even one that is held or waits for its next attempt.

    Parameters
    ----------
    reads : names of ``headend.schedule.READS``
    listener : is told of every step

    Raises
    ------
    headend.devices.UnknownDevice
    NotReadable
    Busy
    """
    with database.connect(url) as connection:
        device = devices.named(connection, mrid)
        clock = jobs.clock_of(connection)
    known = catalogue.polled() if drivers is None else drivers
    if device.protocol not in known:
        what = "publishes by itself" if device.protocol == "mqtt" else "is read by hand"
        raise NotReadable(f"{mrid} {what} (protocol {device.protocol}): there is nobody to ask")
    order = Order((device.id,), tuple(reads), "on_demand")
    async with collector.running(url, known, limits) as reader:
        done = await reader.collect(order, clock=clock, listener=listener)
    if not done.recorded:
        raise Busy(f"{mrid} is being read by another process just now; try again in a minute")
    [one] = done.recorded
    with database.connect(url) as connection:
        values = overview.last_values(connection, device.id, now=clock())
    result = one.result
    return Read(
        mrid=mrid,
        outcome=result.outcome,
        error=type(result.error).__name__ if result.error else None,
        message=str(result.error) if result.error else "; ".join(result.notes) or None,
        attempts=result.attempts,
        seconds=result.seconds,
        landed=one.landed,
        values=values,
        remaining=result.request.remaining,
    )
