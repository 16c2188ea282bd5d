"""Controls that are wanted now or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from headend import clock, control_now, controls
from headend.capacity import Limits
from headend.control_kinds import ControlError
from headend.controls import Control, Wish
from headend.on_demand import Busy
from schemas.database import Connection
from tests.headend.controlling import DRIVERS, NOW, QUICK, UNPAID, meter
from tests.headend.line_meter import House
from tests.headend.registry import end_device


def now_in(
    connection: Connection, url: str, wish: Wish, mrid: str = "M1", limits: Limits = QUICK
) -> Callable[[], Awaitable[Control]]:
    clock.simulate(connection, NOW)
    return lambda: asyncio.to_thread(control_now.ask, url, wish, mrid, DRIVERS, limits=limits)


async def test_now_means_now_or_not_at_all(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    done = await now_in(connection, database_url, UNPAID)()
    assert (done.state, mine.supply) == ("done", "disconnected")
    end_device(connection, "DEAD", host="127.12.1.1", port=1)
    lost = await now_in(connection, database_url, UNPAID, "DEAD")()
    assert (lost.state, lost.error) == ("failed", "Refused")


async def test_now_waits_for_a_second_person_where_one_is_needed(
    connection: Connection, database_url: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIQYAS_DISCONNECTS_A_DAY", "0")
    mine = meter(connection, house)
    waits = await now_in(connection, database_url, UNPAID)()
    assert (waits.waits_for_approval, mine.requests) == (True, [])
    with pytest.raises(ControlError, match="second person"):
        await asyncio.to_thread(control_now.run, database_url, waits.id, DRIVERS, limits=QUICK)
    controls.approve(connection, waits.id, by="Salem", now=NOW)
    done = await asyncio.to_thread(control_now.run, database_url, waits.id, DRIVERS, limits=QUICK)
    assert (done.state, mine.supply) == ("done", "disconnected")


async def test_somebody_elses_conversation_withdraws_what_was_wanted_now(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    mine.pause = 2.0
    patient = replace(QUICK, timeout=20.0)
    reading = now_in(connection, database_url, Wish("read_clock", "Salem"), limits=patient)
    task = asyncio.ensure_future(reading())
    for _ in range(1000):
        if mine.connections:
            break
        await asyncio.sleep(0.02)
    with pytest.raises(Busy):
        await now_in(connection, database_url, UNPAID)()
    mine.pause = 0.0
    await task
    assert [one.state for one in controls.listed(connection) if one.kind == "disconnect"] == [
        "cancelled"
    ]
    assert "disconnect" not in mine.requests
