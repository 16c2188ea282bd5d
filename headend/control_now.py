"""Carries out one control of one meter now, while somebody watches; by the same path as workers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from drivers import catalogue
from drivers.driver import Driver
from headend import collector, controls, devices, jobs
from headend.capacity import Limits
from headend.control_kinds import KINDS, RESUMED, ControlError
from headend.control_rules import Rules
from headend.controls import Control, Wish
from headend.exchange import Clock, Listener, Order
from headend.on_demand import Busy
from schemas import database
from schemas.settings import Settings

# A transfer that somebody watches may take a night.
_LONGEST = timedelta(hours=12)


def ask(
    url: str,
    wish: Wish,
    mrid: str,
    drivers: Mapping[str, Driver] | None = None,
    *,
    listener: Listener | None = None,
    limits: Limits | None = None,
) -> Control:
    """Ask for a control of a meter and carry it out at once; give it as it then stands.

    One that needs a second person's approval only waits for that. Where a transfer of the same
    image or the same change of keys broke off, that one goes on.

    Raises
    ------
    ControlError
    headend.devices.UnknownDevice
    headend.on_demand.Busy
    """
    known = catalogue.polled() if drivers is None else drivers
    with database.connect(url) as connection:
        clock = jobs.clock_of(connection)
        device = devices.named(connection, mrid)
        number = None
        if KINDS[wish.kind].effect in RESUMED:
            number = controls.open_like(connection, device.id, wish)
        if number is None:
            [number] = controls.request(
                connection, replace(wish, soon=True), drivers=known, rules=Rules.of(Settings()),
                now=clock(), mrid=mrid,
            ).controls  # fmt: skip
        found = controls.find(connection, number)
    if found.waits_for_approval:
        return found
    try:
        return run(url, number, known, listener=listener, limits=limits)
    except Busy:
        if KINDS[wish.kind].effect not in RESUMED:
            _withdraw(url, number, clock)
        raise


def run(
    url: str,
    control_id: int,
    drivers: Mapping[str, Driver] | None = None,
    *,
    listener: Listener | None = None,
    limits: Limits | None = None,
) -> Control:
    """Carry out a control that waits, even of a meter that is held; give it as it then stands.

    Parameters
    ----------
    listener : is told of every step

    Raises
    ------
    ControlError
        if it waits for an approval or for its time, or is over.
    headend.on_demand.Busy
        if another process talks to the meter.
    """
    known = catalogue.polled() if drivers is None else drivers
    with database.connect(url) as connection:
        clock = jobs.clock_of(connection)
        found = controls.find(connection, control_id)
    _check(found, clock())
    patient = replace(limits or Limits(), slice=_LONGEST)
    order = Order((found.end_device_id,), (), "on_demand", controls=(control_id,))

    async def collect() -> bool:
        async with collector.running(url, known, patient) as reader:
            done = await reader.collect(order, clock=clock, listener=listener)
        return bool(done.recorded)

    if not asyncio.run(collect()):
        raise Busy(f"{found.mrid} is being talked to by another process; try again in a minute")
    with database.connect(url) as connection:
        return controls.find(connection, control_id)


def _check(found: Control, now: datetime) -> None:
    if found.state not in controls.OPEN:
        raise ControlError(f"control {found.id} is {found.state} already; ask for a new one")
    if found.waits_for_approval:
        raise ControlError(
            f"control {found.id} waits for a second person ({found.needs_approval}):"
            f" miqyas control approve {found.id} --by NAME"
        )
    if found.not_before > now:
        raise ControlError(f"control {found.id} waits for {found.not_before:%Y-%m-%d %H:%M} UTC")


def _withdraw(url: str, control_id: int, clock: Clock) -> None:
    """Leave nothing behind that would switch a supply when nobody thinks of it any more."""
    with database.connect(url) as connection:
        controls.cancel(
            connection, control_id, by="miqyas", now=clock(), note="another process had the line"
        )
