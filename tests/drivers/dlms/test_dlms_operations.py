"""What an engineer does with a meter: its clock, its switch, what it offers and remembers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drivers import kept
from drivers.dlms.session import DlmsDriver
from drivers.errors import Broken, LocalProtocolError, NotOffered
from drivers.meter_profile import MeterProfile
from schemas.period import Period
from tests.drivers.dlms.secured_meter import ACTIVE, endpoint, fleet
from tests.drivers.dlms.served import Served, counters, described, serving

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
