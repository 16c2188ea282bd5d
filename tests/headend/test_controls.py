from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from headend import clock, control_now, controls, groups, jobs, overview, schedules
from headend.capacity import Limits
from headend.control_kinds import ControlError
from headend.control_rules import Extent, Rules, needs_approval
from headend.controls import Control, Requested, Wish
from headend.on_demand import Busy
from schemas import database
from schemas.database import Connection
from tests.headend.line_meter import House, LineDriver, Meter, SamplingDriver
from tests.headend.registry import count, end_device, segment

NOW = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)
DRIVERS = {"dlms": LineDriver(), "modbus": SamplingDriver()}
QUICK = Limits(timeout=0.5, lease_wait=0.3, flush_seconds=0.1)
RULES = Rules(disconnects_a_day=2, critical_sectors=frozenset({"government"}))
ROOT = Path(__file__).parents[2]
UNPAID = Wish("disconnect", "Noura", reason="unpaid since March")


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def meter(connection: Connection, house: House, number: int = 1, **columns: Any) -> Meter:
    host = f"127.12.0.{number}"
    house.meters[host] = Meter(serial=f"M{number}")
    end_device(connection, f"M{number}", host=host, port=house.port, **columns)
    return house.meters[host]


def ask(
    connection: Connection,
    wish: Wish,
    mrid: str | None = "M1",
    group: str | None = None,
    rules: Rules = RULES,
) -> Requested:
    with connection.transaction():
        return controls.request(
            connection, wish, drivers=DRIVERS, rules=rules, now=NOW, mrid=mrid, group=group
        )


async def work(url: str, now: datetime = NOW) -> None:
    async with jobs.opened(url, DRIVERS, limits=QUICK) as pool:
        await pool.drain(now)


def states(connection: Connection, control_id: int) -> list[str]:
    return [one.state for one in controls.changes(connection, control_id)]


async def test_a_control_waits_for_its_time_is_carried_out_once_and_keeps_its_history(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    [number] = ask(connection, Wish("disconnect", "Noura", reason="unpaid",
                                    not_before=minutes(30))).controls  # fmt: skip
    await work(database_url)
    assert mine.requests == []
    for now in (minutes(31), minutes(40)):
        await work(database_url, now)
    assert mine.requests == ["identity", "disconnect"]
    found = controls.find(connection, number)
    assert (found.state, found.result["switch"]["position"]) == ("done", "disconnected")
    assert (found.requested_by, found.reason, found.attempts) == ("Noura", "unpaid", 1)
    assert found.session_id is not None
    assert states(connection, number) == ["requested", "running", "running", "done"]


def test_the_history_cannot_be_changed_and_states_follow_their_order(
    connection: Connection, house: House
) -> None:
    meter(connection, house)
    [number] = ask(connection, UNPAID).controls
    for statement in (
        "UPDATE end_device_control_change SET by = 'nobody'",
        "DELETE FROM end_device_control_change",
        "TRUNCATE end_device_control_change",
        f"UPDATE end_device_control SET state = 'done' WHERE id = {number}",
    ):
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(statement)  # type: ignore[arg-type]
    assert states(connection, number) == ["requested"]


async def test_a_control_shares_the_session_of_a_reading(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    groups.put(connection, "all", selector={})
    schedules.add(connection, "hourly", group="all", reads=("clock", "registers"),
                  now=minutes(-30), cron="0 * * * *")  # fmt: skip
    [number] = ask(connection, Wish("read_switch", "Noura")).controls
    await work(database_url)
    assert mine.connections == 1
    assert mine.requests == ["switch state", "clock", "registers"]
    assert controls.find(connection, number).state == "done"


@pytest.mark.parametrize(
    ("extent", "needs"),
    [
        (Extent(1, disconnected=1), None),
        (Extent(1, disconnected=2), "3 meters would be disconnected within 24 hours"),
        (Extent(3), "3 meters would be disconnected within 24 hours"),
        (Extent(1, group=True), "a group is disconnected"),
        (Extent(1, critical=True), "a critical usage point is disconnected"),
    ],
)
def test_who_needs_a_second_person(extent: Extent, needs: str | None) -> None:
    said = needs_approval("disconnect", extent, RULES)
    assert (said is None) if needs is None else (said or "").startswith(needs)
    assert needs_approval("connect", extent, RULES) is None


def test_keys_and_new_firmware_need_a_second_person_unless_the_settings_say_no() -> None:
    for kind, extent in (
        ("change_keys", Extent(1)),
        ("update_firmware", Extent(1, activates=True)),
    ):
        assert needs_approval(kind, extent, RULES)
        off = Rules(key_change=False, firmware=False)
        assert needs_approval(kind, extent, off) is None
    assert needs_approval("update_firmware", Extent(1), RULES) is None


async def test_over_a_number_a_day_a_second_person_approves_and_never_the_first(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = [meter(connection, house, number) for number in (1, 2, 3)]
    asked = [ask(connection, UNPAID, f"M{number}") for number in (1, 2, 3)]
    assert [one.needs_approval is None for one in asked] == [True, True, False]
    await work(database_url)
    assert [one.supply for one in mine] == ["disconnected", "disconnected", "connected"]
    [third] = asked[2].controls
    with pytest.raises(ControlError, match="second person"):
        controls.approve(connection, third, by=" noura ", now=NOW)
    controls.approve(connection, third, by="Salem", now=NOW)
    with pytest.raises(ControlError, match="does not wait"):
        controls.approve(connection, third, by="Salem", now=NOW)
    await work(database_url)
    assert mine[2].supply == "disconnected"
    assert [(one.by, one.state) for one in controls.changes(connection, third)][:2] == [
        ("Noura", "requested"),
        ("Salem", "approved"),
    ]


async def test_a_group_leaves_critical_usage_points_alone_and_says_so(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = [meter(connection, house, number) for number in (1, 2, 3)]
    connection.execute("UPDATE usage_point SET sector = 'government' WHERE mrid = 'UP-M1'")
    controls.mark_critical(connection, "UP-M2", reason="dialysis at home", by="Salem", now=NOW)
    groups.put(connection, "street", selector={})
    asked = ask(connection, UNPAID, None, "street")
    assert set(asked.left_out) == {"M1", "M2"}
    assert asked.needs_approval == "a group is disconnected"
    await work(database_url)
    assert {one.supply for one in mine} == {"connected"}
    for number in asked.controls:
        controls.approve(connection, number, by="Salem", now=NOW)
    await work(database_url)
    assert [one.supply for one in mine] == ["connected", "connected", "disconnected"]
    kept = {one.mrid: (one.state, one.message) for one in controls.listed(connection)}
    assert kept["M1"] == (
        "cancelled",
        "never disconnected with a group: critical sector: government",
    )
    assert "dialysis" in str(kept["M2"][1])
    # One by one they can be, and only with a second person.
    assert ask(connection, UNPAID, "M2").needs_approval == "a critical usage point is disconnected"


@pytest.mark.parametrize(
    ("wish", "mrid", "words"),
    [
        (Wish("disconnect", "Noura"), "M1", "needs a reason"),
        (Wish("disconnect", " ", reason="x"), "M1", "who you are"),
        (Wish("explode", "Noura"), "M1", "no control 'explode'"),
        (Wish("connect", "Noura"), "M9", "no end device 'M9'"),
        (Wish("connect", "Noura"), "B1", "cannot do that"),
        (Wish("connect", "Noura", expires_at=NOW), "M1", "expire before"),
        (Wish("adjust_clock", "Noura", {"limit_seconds": "many"}), "M1", "limit_seconds"),
        (Wish("connect", "Noura", {"speed": 1}), "M1", "no parameter 'speed'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    connection: Connection, house: House, wish: Wish, mrid: str, words: str
) -> None:
    meter(connection, house)
    end_device(connection, "B1", protocol="manual", host=None)
    with pytest.raises(ControlError, match=words):
        ask(connection, wish, mrid)
    assert count(connection, "end_device_control") == 0


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


def now_in(
    connection: Connection, url: str, wish: Wish, mrid: str = "M1"
) -> Callable[[], Awaitable[Control]]:
    clock.simulate(connection, NOW)
    return lambda: asyncio.to_thread(control_now.ask, url, wish, mrid, DRIVERS, limits=QUICK)


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
    mine.pause = 1.5
    reading = now_in(connection, database_url, Wish("read_clock", "Salem"))
    task = asyncio.create_task(reading())  # type: ignore[arg-type]
    await asyncio.sleep(0.7)
    with pytest.raises(Busy):
        await now_in(connection, database_url, UNPAID)()
    await task
    assert [one.state for one in controls.listed(connection) if one.kind == "disconnect"] == [
        "cancelled"
    ]
    assert "disconnect" not in mine.requests


async def test_clocks_are_kept_within_bounds_by_a_schedule(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = [meter(connection, house, number) for number in (1, 2, 3, 4)]
    for one, off in zip(mine, (20, -130, 5000, 200_000), strict=True):
        one.off_by = off
    groups.put(connection, "all", selector={})
    schedules.add(connection, "clocks", group="all", reads=("clock",), now=minutes(-30),
                  cron="0 * * * *", keep_clock_seconds=60)  # fmt: skip
    await work(database_url)
    assert [one.off_by for one in mine] == [20, 0, 0, 200_000]
    done = {one.mrid: one for one in controls.listed(connection)}
    assert {mrid: (one.kind, one.state) for mrid, one in done.items()} == {
        "M2": ("adjust_clock", "done"),
        "M3": ("set_clock", "done"),
    }
    assert done["M2"].requested_by == "schedule clocks"
    assert done["M2"].result == {"was_off_seconds": -130.0, "off_seconds": 0.0}
    seen = overview.status(connection, "M2", now=NOW)
    assert seen.condition.clock_deviation == timedelta(0)


async def test_what_is_cancelled_is_not_carried_out(
    connection: Connection, database_url: str, house: House
) -> None:
    mine = meter(connection, house)
    [number] = ask(connection, UNPAID).controls
    assert controls.cancel(connection, number, by="Salem", now=NOW, note="paid at the counter")
    await work(database_url)
    assert mine.requests == []
    with pytest.raises(ControlError, match="nothing to cancel"):
        controls.cancel(connection, number, by="Salem", now=NOW)
    [last] = controls.changes(connection, number)[-1:]
    assert (last.by, last.message) == ("Salem", "paid at the counter")


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
