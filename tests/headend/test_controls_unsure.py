"""Controls whose answer is lost, whose meter is dead or another, whose worker is killed."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from headend import clock, controls, groups, jobs
from headend.controls import Wish
from schemas import database
from schemas.database import Connection
from tests.headend.controlling import (
    DRIVERS,
    NOW,
    QUICK,
    ROOT,
    UNPAID,
    ask,
    meter,
    minutes,
    states,
    work,
)
from tests.headend.line_meter import House, Meter
from tests.headend.registry import end_device, segment


async def test_a_lost_answer_is_looked_up_and_not_sent_again(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    mine.loses = ["disconnect"]
    [number] = ask(connection, UNPAID).controls
    await work(database_url)
    assert mine.requests == ["identity", "disconnect", "switch state"]
    found = controls.find(connection, number)
    assert (found.state, found.attempts) == ("done", 2)
    assert "found where it was sent" in (found.message or "")
    assert "unknown" in states(connection, number)


async def test_what_was_sent_and_not_done_is_sent_again_only_in_its_time(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    wish = Wish("disconnect", "Noura", reason="unpaid", expires_at=minutes(60))
    numbers = []
    for later in (50, 90):
        mine.supply, mine.loses, mine.mood = "connected", ["disconnect"], "well"
        mine.requests.clear()
        [number] = ask(connection, wish).controls
        numbers.append(number)
        # Every answer is lost until somebody has put the supply back by hand.
        mine.loses += ["switch state"] * 9
        await work(database_url)
        assert controls.find(connection, number).state == "unknown"
        mine.supply, mine.loses = "connected", []
        await work(database_url, minutes(later))
        assert mine.requests.count("disconnect") == (2 if later == 50 else 1)
    first, second = (controls.find(connection, number) for number in numbers)
    assert (first.state, second.state) == ("done", "failed")
    assert "not sent again" in (second.message or "")


async def test_a_later_switch_control_overtakes_one_whose_answer_was_lost(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    mine.loses = ["disconnect", *["switch state"] * 9]
    [number] = ask(connection, UNPAID).controls
    await work(database_url)
    mine.supply, mine.loses = "connected", []
    [other] = ask(connection, Wish("connect", "Noura")).controls
    await work(database_url, minutes(10))
    assert mine.supply == "connected"
    assert mine.requests.count("disconnect") == 1
    assert [controls.find(connection, one).state for one in (number, other)] == ["failed", "done"]


async def test_a_dead_meter_is_tried_until_the_control_expires(
    connection: Connection, database_url: str
) -> None:
    end_device(connection, "M1", host="127.12.1.1", port=1)
    wish = Wish("disconnect", "Noura", reason="unpaid", expires_at=minutes(30))
    [number] = ask(connection, wish).controls
    for now in (0, 1, 6, 20):
        await work(database_url, minutes(now))
    waiting = controls.find(connection, number)
    assert (waiting.state, waiting.error) == ("requested", "Refused")
    assert 2 <= waiting.attempts <= 3
    await work(database_url, minutes(31))
    assert controls.find(connection, number).state == "expired"
    assert "Refused" not in states(connection, number)


async def test_another_meter_at_the_address_is_never_switched(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house, address='{"serial": "M77"}')
    [number] = ask(connection, UNPAID).controls
    await work(database_url)
    assert (mine.supply, mine.requests) == ("connected", ["identity"])
    assert controls.find(connection, number).error == "WrongMeter"


async def test_controls_keep_to_their_segments_limit(
    connection: Connection, database_url: str, house: House
) -> None:
    cell = segment(connection, "cell", limit=1)
    mine = [meter(connection, house, number, segment_id=cell) for number in (1, 2, 3)]
    for one in mine:
        one.pause = 0.1
    groups.put(connection, "all", selector={})
    ask(connection, Wish("read_switch", "Noura"), None, "all")
    await work(database_url)
    spans = connection.execute(
        "SELECT count(*) FROM end_device_control WHERE state = 'done'"
    ).fetchone()
    assert spans == (3,)


@pytest.mark.parametrize("lost", ["disconnect", "identity"])
async def test_a_worker_that_is_killed_in_the_middle_leaves_a_control_that_is_verified(
    connection: Connection, database_url: str, house: House, lost: str
) -> None:
    """Killed while the meter does not answer: after the command was sent, and before it was."""
    mine = meter(connection, house)
    hangs = Hanging(mine, lost)
    house.meters["127.12.0.1"] = hangs
    clock.simulate(connection, NOW)
    [number] = ask(connection, UNPAID).controls
    with database.connect(database_url) as one:
        jobs.hand_over(one, NOW)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.headend.worker_process", database_url, "1.0", cwd=ROOT
    )
    try:
        async with asyncio.timeout(30):
            await hangs.reached.wait()
    finally:
        worker.kill()
        await worker.wait()
    before = controls.find(connection, number)
    assert before.state == ("running" if lost == "disconnect" else "requested")
    assert (before.sent_at is None) == (lost == "identity")
    hangs.mood, hangs.at = "well", ""
    clock.resume(connection)
    connection.execute("UPDATE end_device_control SET expires_at = now() + interval '1 hour'")
    async with jobs.opened(database_url, DRIVERS, limits=QUICK,
                           pulse=jobs.Pulse(0.2, 1.0)) as pool:  # fmt: skip
        async with asyncio.timeout(30):
            while controls.find(connection, number).state not in ("done", "failed"):
                await pool.drain(datetime.now(UTC))
                await asyncio.sleep(0.2)
    assert controls.find(connection, number).state == "done"
    assert (mine.supply, hangs.requests.count("disconnect")) == ("disconnected", 1)


class Hanging(Meter):
    """Carries out what it is asked and, at one request, never answers."""

    def __init__(self, meter: Meter, at: str) -> None:
        super().__init__(serial=meter.serial)
        self.inner, self.at, self.reached = meter, at, asyncio.Event()

    def answer(self, ask: dict[str, Any]) -> Any:
        answer = self.inner.answer(ask)
        self.requests.append(ask["ask"])
        if ask["ask"] == self.at:
            self.mood = "silent"
            self.reached.set()
        return answer
