"""Controls: who may ask, when they are carried out, and what is kept of them."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from headend import controls, groups, overview, schedules
from headend.control_kinds import ControlError
from headend.control_rules import Extent, Rules, needs_approval
from headend.controls import Wish
from schemas.database import Connection
from tests.headend.controlling import NOW, RULES, UNPAID, ask, meter, minutes, states, work
from tests.headend.line_meter import House
from tests.headend.registry import count, end_device


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
