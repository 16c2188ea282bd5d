"""What an engineer does with a meter: the driver against simulated meters over sockets."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers import kept
from drivers.activity_calendar import (
    ActivityCalendar,
    DatePattern,
    DayAction,
    DayProfile,
    Season,
    SpecialDay,
    WeekProfile,
)
from drivers.control import ImageProgress, KeyChange, PushSetup, PushWindow
from drivers.dlms.session import DlmsDriver
from drivers.errors import Broken, LocalProtocolError, MeterRefused, NotOffered
from drivers.meter_profile import MeterProfile
from schemas.period import Period
from simulators import dlms_state, keys
from simulators.fleet import Fleet
from tests.drivers.dlms.served import Served, counters, described, serving

ACTIVE = "active_energy_import"


def fleet(folder: Path, **options: Any) -> Fleet:
    """Describe a fleet of one secured meter with options."""
    written = "\n".join(f"{name} = {value!r}" for name, value in options.items())
    return described(folder, f"[group.options]\n{written}\n")


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(fleet(tmp_path)) as one:
        yield one


def endpoint(served: Served, **changes: Any) -> Any:
    """Describe the only meter, with its master key."""
    meter = served.fleet.meters[0]
    known = served.endpoint(meter.mrid)
    secrets = {**known.secrets, "master": keys.of(meter, "master")}
    return replace(known, secrets=secrets, **changes)


# --- the clock ---


async def test_a_clock_is_set_and_goes_on_from_there(served: Served) -> None:
    late = served.now + timedelta(seconds=100)
    async with DlmsDriver().session(endpoint(served)) as session:
        assert (await session.read_clock(now=served.now)).deviation == timedelta(0)
        told = await session.set_clock(late)
        assert (told.meter, told.deviation) == (late, timedelta(0))
        served.clock.seconds += 60
        assert (await session.read_clock(now=served.now)).deviation == timedelta(seconds=100)
        back = await session.adjust_clock(-95, now=served.now)
        assert back.deviation == timedelta(seconds=5)
        with pytest.raises(LocalProtocolError, match="set it instead"):
            await session.adjust_clock(901, now=served.now)
        assert (await session.read_clock(now=served.now)).deviation == timedelta(seconds=5)
        events = await session.read_events(Period(served.now - timedelta(hours=1), late))
    assert [event.description for event in events[:2]] == [
        "Clock adjusted: old time",
        "Clock adjusted: new time",
    ]


# --- the supply switch ---


async def test_a_switch_disconnects_and_connects(served: Served) -> None:
    async with DlmsDriver().session(endpoint(served)) as session:
        assert (await session.read_switch()).obeys("connect")
        off = await session.switch("disconnect")
        assert (off.position, off.supplied, off.control_mode) == ("disconnected", False, 2)
        with pytest.raises(NotOffered, match="mode 2, which follows connect, disconnect"):
            await session.switch("arm")
        assert await session.read_switch() == off
        assert (await session.switch("connect")).obeys("connect")


async def test_a_switch_that_only_arms_is_never_connected_from_afar(tmp_path: Path) -> None:
    async with (
        serving(fleet(tmp_path, switch_mode=1)) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        assert (await session.switch("disconnect")).obeys("disconnect")
        with pytest.raises(NotOffered, match="mode 1"):
            await session.switch("connect")
        armed = await session.switch("arm")
        assert armed.obeys("arm")
        assert (armed.position, armed.supplied) == ("ready_for_reconnection", False)


async def test_a_switch_that_stays_open_is_seen(tmp_path: Path) -> None:
    async with (
        serving(fleet(tmp_path, switch="stays_open")) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        await session.switch("disconnect")
        state = await session.switch("connect")
    assert state.position == "connected"
    assert not state.supplied
    assert not state.obeys("connect")


# --- what the meter offers ---


async def test_what_a_meter_offers_is_read_kept_and_used(served: Served) -> None:
    day = Period(served.now - timedelta(days=1), served.now)
    async with DlmsDriver().session(endpoint(served)) as session:
        profile = await session.read_channels()
        expected = await session.read_intervals(day)
    offered = [(one.reading_type, one.interval_seconds, one.profile) for one in profile.channels]
    assert ("active_energy_import_interval", 900, "load_profile") in offered
    assert (ACTIVE, 86_400, "load_profile_2") in offered
    assert (ACTIVE, 0, "billing_registers") in offered
    assert (ACTIVE, 0, "") in offered
    clock = next(one for one in profile.objects if one.class_id == 8)
    assert [(one.index, one.mode) for one in clock.attributes][1:3] == [
        (2, "read_write"),
        (3, "read"),
    ]
    assert [one.index for one in clock.methods] == [6]
    assert {one.name: one.reads for one in profile.profiles} == {
        "load_profile": ("intervals",),
        "load_profile_2": ("register_history",),
        "billing_registers": ("billing_registers",),
        "event_log_1": ("events",),
        "0.0.99.98.1.255": (),
        "0.0.99.98.2.255": (),
        "0.0.99.98.4.255": (),
    }
    assert [one.name for one in profile.serves("intervals")] == ["load_profile"]
    stored = profile.stored("7/1.0.99.1.0.255/2")
    assert stored is not None
    assert stored.captures[2].source == "3/1.0.1.29.0.255/2"
    assert (stored.captures[2].scaler, stored.captures[2].unit) == (0, 30)
    again = kept.loaded(MeterProfile, kept.dumped(profile))
    assert again == profile
    known = endpoint(served, meter_profile=again, reserve_counters=counters(1000))
    async with DlmsDriver().session(known) as session:
        blocks = await session.read_intervals(day)
    assert [(one.start, one.values.tolist()) for one in blocks] == [
        (one.start, one.values.tolist()) for one in expected
    ]


async def test_a_stored_profile_saves_a_request(served: Served) -> None:
    day = Period(served.now - timedelta(hours=2), served.now)
    async with DlmsDriver().session(endpoint(served)) as session:
        profile = await session.read_channels()
    asked = []
    for first, known in ((1000, None), (2000, profile)):
        one = endpoint(served, meter_profile=known, reserve_counters=counters(first))
        async with DlmsDriver().session(one) as session:
            before = await session.read_invocation_counter()
            await session.read_intervals(day)
            asked.append(await session.read_invocation_counter() - before)
    assert asked[1] == asked[0] - 1


# --- load profile 2, steps of registers, billing periods ---


async def test_a_second_load_profile_gives_intervals_of_its_own_length(tmp_path: Path) -> None:
    async with serving(fleet(tmp_path, load_profile_2=3600)) as one:
        day = Period(one.now - timedelta(days=1), one.now)
        async with DlmsDriver().session(endpoint(one)) as session:
            blocks = await session.read_intervals(day)
        meter = one.fleet.meters[0]
    lengths = {block.reading_type: block.interval_seconds for block in blocks}
    assert lengths == {
        "active_energy_import_interval": 900,
        "reactive_energy_import_interval": 900,
        "voltage_l1": 3600,
    }
    (volts,) = (block for block in blocks if block.reading_type == "voltage_l1")
    assert volts.start == day.start
    assert volts.values.tolist() == [
        meter.present(int((day.start + timedelta(hours=1 + hour)).timestamp()))["voltage_l1"]
        for hour in range(24)
    ]


async def test_a_line_that_breaks_in_the_second_profile_loses_nothing(tmp_path: Path) -> None:
    text = '[[fault]]\nkind = "reset_in_transfer"\nmeters = ["M00001"]\nlength = [0]\n'
    text += "at = 2026-06-01T00:00:00\ntimes = 1\nafter = 11000\n"
    text = f"[group.options]\nload_profile_2 = 900\n\n{text}"
    async with serving(described(tmp_path, text)) as one:
        whole = Period(one.now - timedelta(days=3), one.now)
        with pytest.raises(Broken):
            async with DlmsDriver().session(endpoint(one)) as session:
                await session.read_intervals(whole)
        later = endpoint(one, reserve_counters=counters(500))
        async with DlmsDriver().session(later) as session:
            blocks = await session.read_intervals(whole)
    assert {(block.reading_type, len(block)) for block in blocks} == {
        ("active_energy_import_interval", 288),
        ("reactive_energy_import_interval", 288),
        ("voltage_l1", 288),
    }


async def test_registers_in_a_load_profile_give_their_steps(tmp_path: Path) -> None:
    async with serving(fleet(tmp_path, load_profile="registers")) as one:
        day = Period(one.now - timedelta(days=1), one.now)
        async with DlmsDriver().session(endpoint(one)) as session:
            blocks = await session.read_intervals(day)
        true = one.fleet.meters[0].true_intervals(ACTIVE)[-96:].tolist()
    (active,) = (b for b in blocks if b.reading_type == "active_energy_import_interval")
    assert (active.start, active.interval_seconds) == (day.start, 900)
    assert active.values.tolist() == true


async def test_billing_registers_are_those_of_the_months_ends(served: Served) -> None:
    whole = Period(served.now - timedelta(days=40), served.now)
    async with DlmsDriver().session(endpoint(served)) as session:
        found = await session.read_billing_registers(whole)
        assert await session.read_billing_registers(Period(served.now, served.now)) == []
    meter = served.fleet.meters[0]
    assert {reading.read_at for reading in found} == {datetime(2026, 5, 31, 21, tzinfo=UTC)}
    values = {reading.reading_type: reading.value for reading in found}
    assert values[ACTIVE] == meter.register_at(ACTIVE, meter.start)


# --- the tariff calendar ---

CALENDAR = ActivityCalendar(
    "KW26",
    (
        Season("summer", DatePattern(month=5, day=1), "W"),
        Season("winter", DatePattern(month=10, day=-1, weekday=7), "W", time(2, 0)),
    ),
    (WeekProfile("W", (1, 1, 1, 1, 2, 2, 1)),),
    (
        DayProfile(1, (DayAction(time(0, 0), 1), DayAction(time(13, 30), 2))),
        DayProfile(2, (DayAction(time(0, 0), 3),)),
    ),
)


async def test_a_calendar_is_written_and_comes_into_force_at_its_time(served: Served) -> None:
    at = served.now + timedelta(hours=6)
    async with DlmsDriver().session(endpoint(served)) as session:
        before = await session.read_activity_calendar()
        assert before.activate_at is None
        waiting = await session.write_activity_calendar(CALENDAR, at)
        assert (waiting.active, waiting.passive) == (before.active, CALENDAR)
        assert waiting.activate_at == at
        served.clock.seconds += 6 * 3600
        assert (await session.read_activity_calendar()).active == CALENDAR
        at_once = await session.write_activity_calendar(before.active, None)
        assert at_once.active == before.active


async def test_a_calendar_with_loose_ends_never_reaches_the_meter(served: Served) -> None:
    loose = replace(CALENDAR, days=CALENDAR.days[:1])
    async with DlmsDriver().session(endpoint(served)) as session:
        with pytest.raises(LocalProtocolError, match="names day 2, which is not there"):
            await session.write_activity_calendar(loose, None)
        assert (await session.read_activity_calendar()).passive.name == "MQS1"


async def test_special_days_are_replaced(served: Served) -> None:
    days = [
        SpecialDay(2, DatePattern(2027, 3, 20), 2),
        SpecialDay(1, DatePattern(month=2, day=25), 2),
    ]
    async with DlmsDriver().session(endpoint(served)) as session:
        assert await session.read_special_days() == []
        assert await session.write_special_days(days) == days[::-1]
        many = [SpecialDay(n, DatePattern(day=1), 1) for n in range(66)]
        with pytest.raises(MeterRefused, match="other reason"):
            await session.write_special_days(many)
        assert await session.read_special_days() == days[::-1]


async def test_a_push_setup_is_written_and_read_back(served: Served) -> None:
    wanted = PushSetup(
        1,
        ("1/0.0.42.0.0.255/2", "3/1.0.1.8.0.255/2", "7/1.0.99.1.0.255/2/4097"),
        "192.0.2.7:4059",
        windows=(PushWindow("ffffffffff060000ff8000ff", "ffffffffff070000ff8000ff"),),
        randomisation_seconds=300,
        retries=3,
        retry_seconds=60,
    )
    async with DlmsDriver().session(endpoint(served)) as session:
        assert (await session.read_push_setup(1)).destination == ""
        assert await session.write_push_setup(wanted) == wanted
        assert (await session.read_push_setup()).objects == ()
        with pytest.raises(NotOffered):
            await session.read_push_setup(9)
        bad = replace(wanted, objects=("register",))
        with pytest.raises(LocalProtocolError, match="no push object such as"):
            await session.write_push_setup(bad)
        assert await session.read_push_setup(1) == wanted


# --- keys ---

NEW = {"encryption": bytes(range(16)), "authentication": bytes(range(100, 116))}


async def changed(one: Served, new: dict[str, bytes] = NEW) -> tuple[KeyChange, int | None]:
    """Change keys; tell what came of it, and whether the new ones (0) or the old (1) open."""
    driver, known = DlmsDriver(), endpoint(one, reserve_counters=counters())
    async with driver.session(known) as session:
        outcome = await session.change_keys(new)
    later = replace(known, reserve_counters=counters(5_000))
    return outcome, await driver.keys_in_force(later, (new, {}))


async def test_new_keys_are_in_force_after_their_change(served: Served) -> None:
    outcome, holds = await changed(served)
    assert outcome == KeyChange({"authentication": "new", "encryption": "new"}, answered=True)
    assert outcome.done
    assert holds == 0
    renewed = endpoint(served, reserve_counters=counters(9_000))
    renewed = replace(renewed, secrets={**renewed.secrets, **NEW})
    async with DlmsDriver().session(renewed) as session:
        assert (await session.identify()).serial == served.fleet.meters[0].mrid
        assert (await session.change_keys({"master": bytes(16)})).done


@pytest.mark.parametrize(("fault", "state"), [("lost", "new"), ("request_lost", "old")])
async def test_the_keys_in_force_are_found_out_when_the_answer_is_lost(
    tmp_path: Path, fault: str, state: str
) -> None:
    async with serving(fleet(tmp_path, key_answer=fault)) as one:
        outcome, holds = await changed(one)
    assert outcome == KeyChange({"authentication": state, "encryption": state}, answered=False)
    assert outcome.done == (state == "new")
    assert holds == (0 if state == "new" else 1)


async def test_a_meter_that_takes_one_client_at_a_time_is_asked_which_keys_hold(
    tmp_path: Path,
) -> None:
    async with serving(fleet(tmp_path, key_answer="lost", sessions=1)) as one:
        outcome, holds = await changed(one)
    assert outcome.done
    assert holds == 0


@pytest.mark.parametrize(
    ("fault", "times", "name", "state"),
    [
        ("lost", 1, "master", "new"),
        ("lost", 1, "broadcast", "new"),
        ("request_lost", 1, "master", "old"),
        ("request_lost", 1, "broadcast", "new"),
        ("lost", 9, "master", "unknown"),
        ("request_lost", 9, "broadcast", "unknown"),
    ],
)
async def test_keys_that_no_association_shows_are_given_once_more(
    tmp_path: Path, fault: str, times: int, name: str, state: str
) -> None:
    """Where the line breaks again, nobody knows, and both keys have to be kept."""
    async with (
        serving(fleet(tmp_path, key_answer=fault, key_answers_lost=times)) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        outcome = await session.change_keys({name: bytes(range(50, 66))})
    assert outcome.in_force == {name: state}
    assert not outcome.answered


async def test_keys_of_the_wrong_size_or_kind_are_not_sent(served: Served) -> None:
    async with DlmsDriver().session(endpoint(served)) as session:
        for new, message in (
            ({"encryption": bytes(17)}, "has 17 bytes, not 16"),
            ({"password": bytes(16)}, "not password"),
            ({}, "not none"),
            ({"encryption": session._endpoint.secrets["encryption"]}, "is the old one"),
        ):
            with pytest.raises(LocalProtocolError, match=message) as told:
                await session.change_keys(new)
            assert bytes(16).hex() not in str(told.value)
    lacking = endpoint(served, reserve_counters=counters(500))
    lacking = replace(lacking, secrets={k: v for k, v in lacking.secrets.items() if k != "master"})
    async with DlmsDriver().session(lacking) as session:
        with pytest.raises(LocalProtocolError, match="needs the secret 'master'"):
            await session.change_keys(NEW)


async def test_a_wrong_master_key_changes_nothing(served: Served) -> None:
    wrong = endpoint(served)
    wrong = replace(wrong, secrets={**wrong.secrets, "master": bytes(16)})
    async with DlmsDriver().session(wrong) as session:
        with pytest.raises(MeterRefused):
            await session.change_keys(NEW)
        assert (await session.identify()).serial


def test_an_outcome_never_shows_a_key() -> None:
    shown = repr(KeyChange({"encryption": "new"}, answered=True))
    assert NEW["encryption"].hex() not in shown


# --- firmware ---

IMAGE = dlms_state.signed(hashlib.sha256(b"firmware").digest() * 63)
IDENTIFIER = "Miqyas 2.0"


async def test_an_image_is_brought_verified_and_activated(served: Served) -> None:
    told: list[ImageProgress] = []
    async with DlmsDriver().session(endpoint(served)) as session:
        state = await session.transfer_image(IMAGE, IDENTIFIER, progress=told.append)
        assert (state.status, state.blocks, state.blocks_taken) == ("initiated", 8, 8)
        assert [one.blocks_taken for one in told] == list(range(1, 9))
        with pytest.raises(MeterRefused, match="only a verified one"):
            await session.activate_image()
        verified = await session.verify_image()
        assert verified.status == "verification_successful"
        assert verified.identifications == (IDENTIFIER,)
        assert (await session.activate_image()).status == "activation_successful"
        assert (await session.identify()).firmware == IDENTIFIER


async def test_an_image_is_activated_at_its_time(served: Served) -> None:
    at = served.now + timedelta(hours=3)
    async with DlmsDriver().session(endpoint(served)) as session:
        await session.transfer_image(IMAGE, IDENTIFIER)
        await session.verify_image()
        waiting = await session.activate_image(at)
        assert waiting.status == "verification_successful"
        assert (await session.identify()).firmware == "Miqyas 1.0"
        served.clock.seconds += 3 * 3600
        assert (await session.read_image_state()).status == "activation_successful"
        assert (await session.identify()).firmware == IDENTIFIER


async def test_a_verification_that_takes_long_is_awaited(tmp_path: Path) -> None:
    async with (
        serving(fleet(tmp_path, image_verify=3)) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        session.verify_pause = 0.01
        await session.transfer_image(IMAGE, IDENTIFIER)
        assert (await session.verify_image()).status == "verification_successful"


async def test_a_meter_that_restarts_to_activate_tells_later(tmp_path: Path) -> None:
    async with serving(fleet(tmp_path, image_activation="restart")) as one:
        async with DlmsDriver().session(endpoint(one)) as session:
            await session.transfer_image(IMAGE, IDENTIFIER)
            await session.verify_image()
            assert (await session.activate_image()).status == "activation_initiated"
        later = endpoint(one, reserve_counters=counters(500))
        async with DlmsDriver().session(later) as session:
            assert (await session.read_image_state()).status == "activation_successful"
            assert (await session.identify()).firmware == IDENTIFIER


async def test_a_wrong_image_is_not_verified(served: Served) -> None:
    async with DlmsDriver().session(endpoint(served)) as session:
        await session.transfer_image(IMAGE[:-1] + b"x", IDENTIFIER)
        assert (await session.verify_image()).status == "verification_failed"
        with pytest.raises(MeterRefused, match="verification_failed"):
            await session.activate_image()
        for image, name in ((b"", IDENTIFIER), (IMAGE, ""), (IMAGE, "x" * 65), (IMAGE, "ث")):
            with pytest.raises(LocalProtocolError):
                await session.transfer_image(image, name)


async def test_a_transfer_goes_on_where_the_line_broke(tmp_path: Path) -> None:
    text = '[[fault]]\nkind = "reset_in_transfer"\nmeters = ["M00001"]\nlength = [0]\n'
    text += "at = 2026-06-01T00:00:00\ntimes = 1\nafter = 500\n"
    async with serving(described(tmp_path, text)) as one:
        first: list[ImageProgress] = []
        with pytest.raises(Broken):
            async with DlmsDriver().session(endpoint(one)) as session:
                await session.transfer_image(IMAGE, IDENTIFIER, progress=first.append)
        assert 0 < len(first) < 8
        second: list[ImageProgress] = []
        known = endpoint(one, reserve_counters=counters(500))
        async with DlmsDriver().session(known) as session:
            broken_off = await session.read_image_state()
            assert broken_off.blocks_taken >= len(first)
            state = await session.transfer_image(IMAGE, IDENTIFIER, progress=second.append)
            assert len(second) == 8 - broken_off.blocks_taken
            assert state.blocks_taken == 8
            assert (await session.verify_image()).status == "verification_successful"
            anew = await session.transfer_image(IMAGE, IDENTIFIER, resume=False)
            assert anew.status == "initiated"
