"""What becomes of a push: who sent it, may it be taken, and where its values land."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drivers.dlms.push_inbox import Received
from drivers.meter_profile import Capture, MeterProfile, StoredProfile
from headend import keys, meter_profiles, overview, push_listener, pushes, unknown_devices
from headend.pushes import Desk, Heard
from schemas.database import Connection
from simulators import dlms_codec, dlms_push, stored
from simulators.dlms_apdu import Selection
from simulators.meter import ACTIVE, REACTIVE
from tests.headend import push_meters
from tests.headend.push_meters import HOST, NOW, SECONDS, Pushing, received, register
from tests.headend.registry import count, end_device

PLAIN, SECURED = "M00001", "M00007"


@pytest.fixture(scope="module")
def meters() -> Pushing:
    return push_meters.pushing()


def land(connection: Connection, *batch: Received | bytes, desk: Desk | None = None) -> Heard:
    came = [one if isinstance(one, Received) else received(one) for one in batch]
    return pushes.land(connection, came, desk or Desk(keys.open_vault()), now=NOW)


def refusals(heard: Heard) -> list[tuple[str, str]]:
    return [(one.refusal.kind, one.refusal.reason) for one in heard.pushes if one.refusal]


def values(connection: Connection, device: int) -> dict[str, int]:
    rows = connection.execute(
        "SELECT t.name, r.value FROM raw_register_reading r JOIN reading_type t"
        " ON t.id = r.reading_type_id WHERE end_device_id = %s AND read_at = %s",
        [device, NOW],
    )
    return dict(rows.fetchall())


@pytest.mark.parametrize(("mrid", "ciphered"), [(PLAIN, False), (SECURED, True)])
def test_a_push_lands_as_what_the_registers_show(
    connection: Connection, meters: Pushing, mrid: str, ciphered: bool
) -> None:
    device = register(connection, meters[mrid])
    heard = land(connection, meters.registers(mrid, ciphered=ciphered))
    assert (heard.registers, refusals(heard)) == (5, [])
    meter = meters[mrid].meter
    present = meter.present(SECONDS)
    assert values(connection, device) == {
        ACTIVE: meter.register_at(ACTIVE, SECONDS),
        REACTIVE: meter.register_at(REACTIVE, SECONDS),
        "active_power_import": present["active_power_import"],
        "voltage_l1": present["voltage_l1"],
        "current_l1": present["current_l1"],
    }
    assert overview.status(connection, mrid, now=NOW).verdict.name == "talks"


def test_many_pushes_at_once_land_as_one_by_one(connection: Connection, meters: Pushing) -> None:
    register(connection, meters[SECURED])
    register(connection, meters["M00008"], host="127.9.0.2")
    frames = [
        meters.registers(mrid, SECONDS - 60 * minute)
        for minute in range(20, 0, -1)
        for mrid in (SECURED, "M00008")
    ]
    everything = (
        "SELECT end_device_id, reading_type_id, read_at, value, quality"
        " FROM raw_register_reading ORDER BY 1, 2, 3"
    )
    assert land(connection, *frames).registers == len(frames) * 5
    at_once = connection.execute(everything).fetchall()
    connection.execute("DELETE FROM raw_register_reading")
    connection.execute("DELETE FROM push_counter")
    for frame in frames:
        land(connection, frame)
    assert connection.execute(everything).fetchall() == at_once
    assert len(at_once) == len(frames) * 5


def test_pushed_intervals_land_as_the_load_profile_has_them(
    connection: Connection, meters: Pushing
) -> None:
    device = register(connection, meters[SECURED])
    frames = [meters.intervals(SECURED, row) for row in range(8)]
    heard = land(connection, *frames)
    assert (heard.intervals, heard.registers, refusals(heard)) == (16, 0, [])
    rows = connection.execute(
        "SELECT starts_at, value, quality FROM raw_reading WHERE end_device = %s"
        " AND reading_type = 'active_energy_import_interval' ORDER BY 1",
        [SECURED],
    ).fetchall()
    profile = stored.load_profile(meters[SECURED].meter)
    ends = profile.stamps[:8].tolist()
    assert rows == [
        (datetime.fromtimestamp(end - 900, UTC), value, 0)
        for end, value in zip(ends, profile.values[ACTIVE][:8].tolist(), strict=True)
    ]
    assert count(connection, "arrival", f"end_device_id = {device}") > 0
    # One by one is what landing does with blocks: the same, and so nothing new.
    connection.execute("DELETE FROM push_counter")
    assert [land(connection, frame).intervals for frame in frames] == [0] * 8


def test_the_same_push_twice_is_refused_as_a_replay_and_a_gap_is_not(
    connection: Connection, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    first, _lost, third = (meters.registers(SECURED, SECONDS + i) for i in range(3))
    assert refusals(land(connection, first, third)) == []
    heard = land(connection, first, third, first)
    assert [kind for kind, _ in refusals(heard)] == ["replay"] * 3
    assert "no higher than" in refusals(heard)[0][1]
    assert heard.registers == 0
    # A replay is counted and not kept: it has landed.
    assert count(connection, "quarantine") == 0


def test_the_counter_outlives_the_listener(connection: Connection, meters: Pushing) -> None:
    register(connection, meters[SECURED])
    frame = meters.registers(SECURED)
    land(connection, frame, desk=Desk(keys.open_vault()))
    heard = land(connection, frame, desk=Desk(keys.open_vault()))
    assert [kind for kind, _ in refusals(heard)] == ["replay"]


def test_a_forged_counter_does_not_silence_a_meter(connection: Connection, meters: Pushing) -> None:
    register(connection, meters[SECURED])
    frame = bytearray(meters.registers(SECURED))
    forged = bytes(frame[:13]) + b"\xff\xff\xff\xff" + bytes(frame[17:])
    heard = land(connection, forged)
    assert [kind for kind, _ in refusals(heard)] == ["wrong_key"]
    assert refusals(land(connection, bytes(frame))) == []


def test_a_gateway_cannot_send_one_meters_readings_as_anothers(
    connection: Connection, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    register(connection, meters["M00008"], host="127.9.0.2")
    plain = dlms_push.registers(meters["M00008"], SECONDS, invoke=1)
    heard = land(connection, dlms_push.ciphered(meters[SECURED], plain))
    [(kind, reason)] = refusals(heard)
    assert kind == "contradiction"
    assert "M00007's" in reason
    assert "M00008" in reason
    assert count(connection, "raw_register_reading") == 0
    assert count(connection, "quarantine", "subject = 'end device M00007'") == 1


def test_another_serial_than_the_registrys_is_refused(
    connection: Connection, meters: Pushing
) -> None:
    model = meters[SECURED]
    address = f'{{"system_title": "{push_meters.title(model)}", "serial": "4711"}}'
    register(connection, model, address, mrid="E-1")
    [(kind, reason)] = refusals(land(connection, meters.registers(SECURED)))
    assert kind == "contradiction"
    assert "was it exchanged" in reason


def test_a_secured_meter_is_not_believed_in_plain(connection: Connection, meters: Pushing) -> None:
    register(connection, meters[SECURED])
    [(kind, reason)] = refusals(land(connection, meters.registers(SECURED, ciphered=False)))
    assert kind == "unprotected"
    assert "push=plain" in reason
    connection.execute('UPDATE end_device SET address = address || \'{"push": "plain"}\'')
    assert refusals(land(connection, meters.registers(SECURED, ciphered=False))) == []


def test_a_nameless_push_is_of_who_is_alone_at_the_address(
    connection: Connection, meters: Pushing
) -> None:
    device = end_device(connection, "N1", host=HOST, profile="generic")
    gasp = dlms_push.event(meters[PLAIN], SECONDS, dlms_push.POWER_DOWN)
    assert land(connection, gasp).events == 1
    assert count(connection, "end_device_event", f"end_device_id = {device} AND code = 1") == 1
    end_device(connection, "N2", host=HOST, profile="generic")
    [(kind, _)] = refusals(land(connection, gasp))
    assert kind == "unknown"
    # Who says another name is not who is at the address.
    [(kind, reason)] = refusals(
        land(connection, received(meters.registers(PLAIN, ciphered=False), host="127.9.0.9"))
    )
    assert kind == "unknown"
    assert "serial=M" in reason


def test_keys_that_fit_tell_the_title_of_who_is_at_the_address(
    connection: Connection, meters: Pushing
) -> None:
    device = register(connection, meters[SECURED], "{}")
    assert land(connection, meters.registers(SECURED)).registers == 5
    assert count(connection, "raw_register_reading", f"end_device_id = {device}") == 5
    [(kind, _)] = refusals(land(connection, meters.registers("M00008")))
    assert kind == "unknown"


def test_a_last_gasp_is_an_event_and_the_diagnosis_until_it_is_heard_again(
    connection: Connection, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    desk = Desk(keys.open_vault())
    land(connection, meters.registers(SECURED), desk=desk)
    gasp = dlms_push.event(meters[SECURED], SECONDS + 60, dlms_push.POWER_DOWN)
    later = NOW + timedelta(minutes=1)
    came = [received(dlms_push.ciphered(meters[SECURED], gasp), at=SECONDS + 60)]
    pushes.land(connection, came, desk, now=later)
    status = overview.status(connection, SECURED, now=later)
    assert (status.verdict.name, status.verdict.since) == ("power_off", later)
    assert [(one.category, one.code) for one in status.events] == [("power", 1)]
    assert status.events[0].occurred_at == later
    back = [received(meters.registers(SECURED, SECONDS + 120), at=SECONDS + 120)]
    pushes.land(connection, back, desk, now=NOW + timedelta(minutes=2))
    assert overview.status(connection, SECURED, now=later).verdict.name == "talks"


def test_an_unknown_meter_awaits_registration_and_then_its_pushes_land(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    frames = [meters.registers(SECURED, SECONDS + minute) for minute in range(3)]
    land(connection, *frames[:2])
    land(connection, frames[2])
    [unknown] = unknown_devices.awaiting(connection)
    assert (unknown.kind, unknown.identity) == ("system_title", "4D51530000000007")
    assert (unknown.pushes, unknown.kept, unknown.host) == (3, 3, HOST)
    assert "system_title=4D51530000000007" in unknown.reason
    assert push_listener.replay_registered(database_url, now=lambda: NOW) == 0
    device = register(connection, meters[SECURED])
    live = meters.registers(SECURED, SECONDS + 10)
    assert land(connection, live).registers == 5
    # What was kept is older than what has landed since: that is no replay.
    assert push_listener.replay_registered(database_url, now=lambda: NOW) == 3
    assert count(connection, "raw_register_reading", f"end_device_id = {device}") == 20
    assert unknown_devices.awaiting(connection) == []
    assert count(connection, "quarantine", "fate = 'landed'") == 3
    assert [kind for kind, _ in refusals(land(connection, *frames))] == ["replay"] * 3


def test_what_is_kept_of_a_device_is_bounded(
    connection: Connection, meters: Pushing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_devices, "KEPT", 3)
    frames = [meters.registers(PLAIN, SECONDS + i, ciphered=False) for i in range(5)]
    land(connection, *frames[:4])
    land(connection, frames[4])
    [unknown] = unknown_devices.awaiting(connection)
    assert (unknown.kind, unknown.pushes, unknown.kept) == ("name", 5, 3)
    kept = connection.execute("SELECT payload FROM quarantine ORDER BY id").fetchall()
    assert [bytes(row[0]) for row in kept] == frames[2:]


def test_whoever_makes_up_names_fills_no_disk(
    connection: Connection, meters: Pushing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unknown_devices, "_MOST", 2)
    for mrid in ("M00001", "M00002", "M00003"):
        land(connection, meters.registers(mrid, ciphered=False))
    land(connection, meters.registers("M00001", SECONDS + 1, ciphered=False))
    assert count(connection, "quarantine") == 3
    assert sorted(one.pushes for one in unknown_devices.awaiting(connection)) == [1, 2]


@pytest.mark.parametrize(
    ("apdu", "kind"),
    [
        (b"", "broken"),
        (b"\x0f\x00", "broken"),
        (b"\xdb\x08abc", "broken"),
        (b"\xdb\x08MQS\0\0\0\0\x07\x05\x30\0\0\0\x01", "broken"),
        (b"\x0f\0\0\0\1\0\x02\x02\x11\x05\x11\x05", "empty"),
    ],
)
def test_what_is_no_push_is_kept_with_the_reason(
    connection: Connection, meters: Pushing, apdu: bytes, kind: str
) -> None:
    register(connection, meters[SECURED])
    connection.execute("UPDATE end_device SET security = 'none'")
    assert [found for found, _ in refusals(land(connection, apdu))] == [kind]
    assert count(connection, "quarantine", "kind = 'dlms-push'") == 1


def test_a_value_that_the_store_cannot_hold_is_told(
    connection: Connection, meters: Pushing
) -> None:
    device = register(connection, meters[SECURED])
    largest = b"\x06" + b"\xff" * 4
    for frame in (meters.intervals(SECURED, row, ciphered=False) for row in range(4)):
        at = frame.index(bytes.fromhex("0100011d00ff")) + 6
        plain = frame[:at] + largest + frame[at + 5 :]
        land(connection, dlms_push.ciphered(meters[SECURED], plain))
    assert count(connection, "quarantine", "reason LIKE '%32 bits%'") == 4
    assert count(connection, "raw_interval_block", f"end_device_id = {device}") == 8


def test_rows_of_the_load_profile_land_by_the_columns_that_the_meter_is_kept_with(
    connection: Connection, meters: Pushing
) -> None:
    device = register(connection, meters[SECURED])
    model = meters[SECURED]
    rows = model.load_profile.buffer(Selection(2, [1, 4, 1, 0]), SECONDS)
    # As IDIS meters push: device name, push set-up, rows; and not what their columns are.
    body = dlms_codec.structure(
        dlms_codec.octets(b"MQS0000000M00007"),
        dlms_codec.octets(bytes.fromhex("0001190900ff")),
        rows,
    )
    apdu = dlms_push.ciphered(model, b"\x0f\0\0\0\1\0" + body)
    [(kind, _)] = refusals(land(connection, apdu))
    assert kind == "empty"
    captures = (
        Capture("8/0.0.1.0.0.255/2", None, None, None),
        Capture("1/0.0.96.10.1.255/2", None, None, None),
        Capture("3/1.0.1.29.0.255/2", "active_energy_import_interval", 0, 30),
        Capture("3/1.0.3.29.0.255/2", "reactive_energy_import_interval", 0, 32),
    )
    profile = StoredProfile("load_profile", "7/1.0.99.1.0.255/2", 900, captures)
    offers = MeterProfile("generic", (), (profile,), ())
    assert meter_profiles.store(connection, device, offers, now=NOW)
    again = dlms_push.ciphered(model, b"\x0f\0\0\0\1\0" + body)
    assert land(connection, again).intervals == 8
    landed = connection.execute(
        "SELECT value FROM raw_reading WHERE reading_type = 'active_energy_import_interval'"
        " ORDER BY starts_at"
    ).fetchall()
    values = stored.load_profile(model.meter).values[ACTIVE][:4].tolist()
    assert [value for (value,) in landed] == values
