"""Controls of simulated meters that speak DLMS: over real sockets, and killed at every step."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers import catalogue, kept
from drivers.activity_calendar import ActivityCalendar, DayAction, DayProfile
from headend import (
    clock,
    control_now,
    controls,
    engineering,
    firmware,
    groups,
    jobs,
    keys,
    meter_profiles,
    on_demand,
    overview,
    pending_keys,
    schedules,
)
from headend.capacity import Limits
from headend.control_kinds import ControlError
from headend.control_rules import Rules
from headend.controls import Control, Wish
from mdm import registry
from schemas import database
from schemas.database import Connection
from simulators import control
from simulators import fleet as fleets
from simulators.dlms_state import signed
from simulators.fleet import Fleet
from tests.headend.registry import count

LIMITS = Limits(timeout=5.0, lease_wait=1.0, flush_seconds=0.1)
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Stage:
    url: str
    fleet: Fleet
    end: datetime
    key_file: Path

    def do(self, mrid: str, kind: str, **parameters: Any) -> Control:
        wish = Wish(kind, "Noura", parameters, reason="a test")
        return control_now.ask(self.url, wish, mrid, limits=LIMITS)


@pytest.fixture(scope="module")
def served(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A registered fleet, served, with its clock at the end of its data."""
    small = fleets.load("small")
    end = small.period.end + timedelta(minutes=10)
    key_file = tmp_path_factory.mktemp("keys") / "master.key"
    vault = keys.Vault.open(key_file)
    with control.running("small", now=end) as running:
        rows = small.registry(dlms_port=running.dlms_port, modbus_port=1, broker="mqtt://none")
        with database.connect(module_database_url) as connection:
            registry.import_rows(connection, rows)
            assert keys.import_keys(connection, small.keys(), now=end, vault=vault).rejected == ()
            clock.simulate(connection, end)
        yield Stage(module_database_url, small, end, key_file)


@pytest.fixture
def stage(served: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("MIQYAS_MASTER_KEY_FILE", str(served.key_file))
    monkeypatch.setenv("MIQYAS_APPROVE_KEY_CHANGE", "false")
    monkeypatch.setenv("MIQYAS_APPROVE_FIRMWARE", "false")
    return served


@pytest.fixture
def known(stage: Stage) -> Iterator[Connection]:
    with database.connect(stage.url, autocommit=True) as connection:
        yield connection


def number(connection: Connection, mrid: str) -> int:
    row = connection.execute("SELECT id FROM end_device WHERE mrid = %s", [mrid]).fetchone()
    assert row
    return int(row[0])


def test_a_supply_is_switched_off_and_on_and_the_switch_read_back(
    stage: Stage, known: Connection
) -> None:
    for kind, position, supplied in (
        ("disconnect", "disconnected", False),
        ("read_switch", "disconnected", False),
        ("connect", "connected", True),
    ):
        done = stage.do("M00004", kind)
        assert (done.state, done.message) == ("done", None)
        assert done.result["switch"]["position"] == position
        assert done.result["switch"]["supplied"] is supplied
    seen = engineering.of_device(known, number(known, "M00004"))
    assert seen.switch is not None
    assert (seen.switch.state.position, seen.switch.in_doubt) == ("connected", False)
    assert [one.kind for one in seen.controls] == ["connect", "read_switch", "disconnect"]


def test_what_a_meter_refuses_is_told_and_nothing_is_switched(stage: Stage) -> None:
    # Its switch closes by a command from afar, and is never armed.
    refused = stage.do("M00004", "arm")
    assert (refused.state, refused.error) == ("failed", "NotOffered")


def test_a_schedule_puts_a_drifting_clock_right_and_intervals_show_it(
    stage: Stage, known: Connection
) -> None:
    groups.put(known, "drifting", members=["M00010"])
    schedules.add(
        known, "clocks", group="drifting", reads=("clock",), now=stage.end - timedelta(days=1),
        cron="0 0 * * *", time_zone="Asia/Kuwait", keep_clock_seconds=5,
    )  # fmt: skip
    jobs.drain(stage.url, stage.end, limits=LIMITS)
    [one] = controls.listed(known, end_device_id=number(known, "M00010"))
    assert (one.state, one.requested_by) == ("done", "schedule clocks")
    assert abs(one.result["was_off_seconds"]) > 5
    assert abs(one.result["off_seconds"]) <= 1
    deviation = overview.status(known, "M00010", now=stage.end).condition.clock_deviation
    assert deviation is not None
    assert abs(deviation) <= timedelta(seconds=1)


def test_what_a_meter_offers_is_kept_and_asked_for(stage: Stage, known: Connection) -> None:
    done = stage.do("M00001", "read_channels")
    assert done.state == "done"
    device = number(known, "M00001")
    found = meter_profiles.newest(known, device)
    assert found is not None
    assert meter_profiles.capture_seconds(found.offers) == 900
    stored = {one.reading_type for one in found.offers.channels if one.profile == "load_profile"}
    assert stored == {"active_energy_import_interval", "reactive_energy_import_interval"}
    assert not stage.do("M00001", "read_channels").result["changed"]
    # All that it gave before is asked for still.
    whole = on_demand.read(stage.url, "M00001", limits=LIMITS)
    assert (whole.outcome, whole.message) == ("ok", None)
    assert whole.landed.intervals == 2 * 384
    assert whole.landed.registers >= 6
    assert count(known, "end_device_profile") == 1
    # Another length in the registry is told.
    known.execute("UPDATE end_device SET interval_seconds = 1800 WHERE id = %s", [device])
    on_demand.read(stage.url, "M00001", reads=["clock"], limits=LIMITS)
    assert overview.status(known, "M00001", now=stage.end).verdict.name == "interval_differs"
    known.execute("UPDATE end_device SET interval_seconds = 900 WHERE id = %s", [device])
    assert overview.status(known, "M00001", now=stage.end).verdict.name == "talks"


def test_a_meter_without_a_channel_is_not_asked_for_it(stage: Stage, known: Connection) -> None:
    stage.do("M00002", "read_channels")
    # As a meter of the same profile without any load profile would say.
    device = number(known, "M00002")
    found = meter_profiles.newest(known, device)
    assert found is not None
    assert meter_profiles.store(known, device, replace(found.offers, profiles=()), now=stage.end)
    read = on_demand.read(stage.url, "M00002", limits=LIMITS)
    assert (read.outcome, read.landed.intervals) == ("ok", 0)
    row = known.execute("SELECT reads FROM collection_session ORDER BY id DESC LIMIT 1").fetchone()
    assert row == (["clock", "identity", "registers"],)
    assert overview.missing(known, "M00002", now=stage.end) == ()


def test_a_calendar_and_special_days_and_a_push_set_up_are_written_and_read_back(
    stage: Stage,
) -> None:
    read = stage.do("M00003", "read_activity_calendar")
    calendar = kept.loaded(ActivityCalendar, read.result["active"])
    day = DayProfile(1, (DayAction(time(6), 2),))
    changed = ActivityCalendar("SUMMER", calendar.seasons, calendar.weeks, (day,))
    wish = Wish("write_activity_calendar", "Noura", {"calendar": kept.dumped(changed)})
    # Its weeks name days that the changed calendar has not: refused before the meter is asked.
    if calendar.weeks and any(number != 1 for week in calendar.weeks for number in week.days):
        with pytest.raises(ControlError, match="names day"):
            control_now.ask(stage.url, wish, "M00003", limits=LIMITS)
    whole = ActivityCalendar("SUMMER", (), (), (day,))
    done = stage.do("M00003", "write_activity_calendar", calendar=kept.dumped(whole))
    assert done.state == "done", done.message
    assert done.result["active"]["name"] == "SUMMER"
    days = [{"index": 1, "date": {"month": 2, "day": 25}, "day": 1}]
    done = stage.do("M00003", "write_special_days", days=days)
    assert done.state == "done", done.message
    assert stage.do("M00003", "read_special_days").result == done.result
    setup = {**stage.do("M00003", "read_push_setup").result, "destination": "192.0.2.7:4059"}
    done = stage.do("M00003", "write_push_setup", setup=setup)
    assert done.state == "done", done.message
    assert stage.do("M00003", "read_push_setup").result["destination"] == "192.0.2.7:4059"


# Keys


def secrets_of(stage: Stage, connection: Connection, mrid: str) -> dict[str, bytes]:
    vault = keys.open_vault()
    rows = connection.execute(
        "SELECT kind, sealed FROM end_device_key WHERE end_device_id = %s",
        [number(connection, mrid)],
    )
    return {kind: vault.unseal(keys.sealed_name(mrid, kind), sealed) for kind, sealed in rows}


def reads_well(stage: Stage, mrid: str) -> bool:
    return on_demand.read(stage.url, mrid, reads=["clock"], limits=LIMITS).outcome == "ok"


KINDS = ["authentication", "encryption"]


def test_a_meter_gets_new_keys_and_the_store_has_them(stage: Stage, known: Connection) -> None:
    before = secrets_of(stage, known, "M00007")
    done = stage.do("M00007", "change_keys", kinds=KINDS)
    assert (done.state, done.result) == ("done", {"in_force": dict.fromkeys(KINDS, "new")})
    after = secrets_of(stage, known, "M00007")
    assert all(after[kind] != before[kind] for kind in KINDS)
    assert after["master"] == before["master"]
    assert reads_well(stage, "M00007")
    assert pending_keys.sealed_of(known, [number(known, "M00007")]) == {}
    told = known.execute("SELECT string_agg(c::text, '') FROM end_device_control c").fetchone()
    assert told
    assert not any(key.hex() in told[0] for key in (*after.values(), *before.values()))


def killed(stage: Stage, control_id: int, point: str, *count: int) -> bool:
    """Carry out a control in a process that is killed at a point; tell whether it was."""
    arguments = [stage.url, control_id, point, *count]
    done = subprocess.run(
        [sys.executable, "-m", "tests.headend.crashing_process", *map(str, arguments)],
        cwd=ROOT, timeout=60, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == -9


def asked(connection: Connection, stage: Stage, mrid: str, wish: Wish) -> int:
    [made] = controls.request(
        connection, wish, drivers=catalogue.polled(), now=stage.end, mrid=mrid,
        rules=Rules(key_change=False, firmware=False),
    ).controls  # fmt: skip
    return made


@pytest.mark.parametrize(
    "point",
    [
        "after@headend.pending_keys:put",
        "after@headend.control_ledger:Ledger.sent",
        "before@headend.pending_keys:promote",
        "after@headend.pending_keys:promote",
        "before@headend.control_steps:_settle",
    ],
)
def test_killed_at_any_step_of_a_key_change_one_of_the_kept_keys_is_the_meters(
    stage: Stage, known: Connection, point: str
) -> None:
    before = secrets_of(stage, known, "M00008")
    made = asked(known, stage, "M00008", Wish("change_keys", "Noura", {"kinds": KINDS}))
    assert killed(stage, made, point)
    left = controls.find(known, made)
    assert left.state == "running"
    # A reading comes first, and must find the meter's keys by itself.
    assert reads_well(stage, "M00008")
    done = controls.find(known, made)
    assert done.state == "done", done.message
    after = secrets_of(stage, known, "M00008")
    assert all(after[kind] != before[kind] for kind in KINDS)
    assert pending_keys.sealed_of(known, [number(known, "M00008")]) == {}
    assert reads_well(stage, "M00008")


def test_keys_that_the_meter_refuses_leave_the_old_ones(stage: Stage, known: Connection) -> None:
    before = secrets_of(stage, known, "M00011")
    vault = keys.open_vault()
    wrong = vault.seal(keys.sealed_name("M00011", "master"), bytes(16))
    known.execute(
        "UPDATE end_device_key SET sealed = %s WHERE kind = 'master' AND end_device_id = %s",
        [wrong, number(known, "M00011")],
    )
    done = stage.do("M00011", "change_keys", kinds=KINDS)
    assert done.state == "failed", done
    after = secrets_of(stage, known, "M00011")
    assert all(after[kind] == before[kind] for kind in KINDS)
    assert pending_keys.sealed_of(known, [number(known, "M00011")]) == {}
    assert reads_well(stage, "M00011")


# Firmware


def test_a_firmware_transfer_that_was_killed_goes_on_where_it_was(
    stage: Stage, known: Connection
) -> None:
    content = signed(bytes(range(256)) * 80)
    image = firmware.add(known, content, "X1-2.4", now=stage.end)
    wish = Wish("update_firmware", "Noura", {"image": image, "activate_at": "verified"})
    made = asked(known, stage, "M00005", wish)
    assert killed(stage, made, "after@drivers.dlms.operations:ImageProgress", 40)
    assert controls.find(known, made).state == "running"
    told: list[str] = []
    done = control_now.ask(
        stage.url, wish, "M00005", limits=LIMITS, listener=lambda p: told.append(p.detail)
    )
    assert (done.id, done.state) == (made, "done"), done.message
    assert done.result["image"]["status"] in ("activation_initiated", "activation_successful")
    blocks = [int(text.split()[0]) for text in told if "blocks" in text]
    assert blocks[0] > 30
    assert blocks[-1] == 81
    assert "kB" in next(text for text in told if "blocks" in text)
    seen = engineering.of_device(known, number(known, "M00005")).image
    assert seen is not None
    assert (seen.identifier, seen.blocks_taken) == ("X1-2.4", 81)


def test_a_damaged_image_is_refused_by_the_meter_and_not_activated(
    stage: Stage, known: Connection
) -> None:
    image = firmware.add(known, b"not what the maker made" * 40, "X1-2.5", now=stage.end)
    done = stage.do("M00006", "update_firmware", image=image, activate_at="verified")
    assert done.state == "failed", done
    assert done.sent_at is None
