"""LoRaWAN, Zigbee2MQTT and their mappings: real payloads, and what files get wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mqtt import mapping, payloads
from drivers.mqtt.mapping import BadMapping, FieldMap
from drivers.mqtt.payload import Delivery, Malformed, Message, Rejected
from drivers.mqtt.setting import Setting
from schemas import quality
from schemas.reading import RegisterReading
from tests.drivers.mqtt.test_payloads import sample

ARRIVAL = datetime(2026, 6, 3, 12, tzinfo=UTC)
EUI = "24E124136B502217"
WATER_EUI = "24e124136b502218"

# What decoders in The Things Network's LoRaWAN Device Repository give for their examples:
# vendor/emu/emu-prof-ii-codec.yaml and vendor/axioma/qalcosonic-w1-codec.yaml.
EMU = {
    "timestamp": {"unit": "seconds", "value": 1635506100},
    "ActiveEnergyImportT1": {"unit": "Wh", "value": 1810},
    "ActiveEnergyImportT2": {"unit": "Wh", "value": 128},
    "ActiveEnergyExportT1": {"unit": "Wh", "value": 1149},
    "ActiveEnergyExportT2": {"unit": "Wh", "value": 17794},
    "ReactiveEnergyImportT1": {"unit": "varh", "value": 1864},
    "ReactiveEnergyImportT2": {"unit": "varh", "value": 2600},
    "ReactiveEnergyExportT1": {"unit": "varh", "value": 338},
    "ReactiveEnergyExportT2": {"unit": "varh", "value": 9661},
    "timeStamp": 1635506100,
    "medium": {"type": 1, "desc": "Electricity"},
}
EMU_JOINED = {"serial-number": {"value": "22060126"}, "timeStamp": 1644548400}
AXIOMA = {
    "payload_format": "AXIOMA_W1_ENHANCED_24H", "timestamp_unix": 1788390574,
    "timestamp_utc": "2026-09-02T23:09:34.000Z", "status": 0, "low_battery": False,
    "log_volume_m3": 5.938, "delta_6_m3": 0.014, "current_volume_m3": 6.054,
}  # fmt: skip


def decoded(topic: str, payload: object, name: str | None = None) -> Delivery | Rejected:
    setting = Setting(mapping=mapping.named(name) if name else None)
    return payloads.decode(Message(topic, json.dumps(payload).encode(), ARRIVAL), setting)


def delivered(topic: str, payload: object, name: str | None = None) -> Delivery:
    found = decoded(topic, payload, name)
    assert isinstance(found, Delivery), found
    return found


def reason(topic: str, payload: object, name: str | None = None) -> str:
    found = decoded(topic, payload, name)
    assert isinstance(found, Rejected), found
    return found.reason


TTS = "v3/meters@ttn/devices/cellar-1/up"


def things_stack(fields: object = None, **uplink: object) -> dict[str, Any]:
    """An uplink as The Things Stack documents it; what is empty or 0 it leaves out."""
    message = {
        "f_port": 1, "frm_payload": "DTgAAAAAC8MAABA=", "decoded_payload": fields,
        "received_at": "2021-10-29T11:15:32.656299995Z", **uplink,
    }  # fmt: skip
    return {
        "end_device_ids": {
            "device_id": "cellar-1", "application_ids": {"application_id": "meters"},
            "dev_eui": EUI, "dev_addr": "260BE6BF",
        },
        "received_at": "2021-10-29T11:15:32.869542824Z",
        "uplink_message": {k: v for k, v in message.items() if v is not None},
    }  # fmt: skip


CHIRPSTACK = f"application/c7a5/device/{WATER_EUI}/event/up"


def chirpstack(fields: object = None, **event: object) -> dict[str, Any]:
    """An uplink event as ChirpStack v4's integration.proto has it in JSON."""
    known = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2026-09-02T23:10:01.417735+00:00",
        "deviceInfo": {
            "tenantId": "52f14cd4", "tenantName": "ChirpStack", "applicationId": "c7a5",
            "applicationName": "water", "deviceProfileId": "14855bf7", "deviceProfileName": "W1",
            "deviceName": "cellar", "devEui": WATER_EUI, "tags": {},
        },
        "devAddr": "00189440", "adr": True, "dr": 1, "fCnt": 4, "fPort": 100, "confirmed": False,
        "data": "AQ==", "object": fields, "rxInfo": [], "txInfo": {},
    }  # fmt: skip
    return {k: v for k, v in {**known, **event}.items() if v is not None}


def test_an_electricity_meter_by_the_things_stack() -> None:
    found = delivered(TTS, things_stack(EMU), "emu-prof-ii")
    at = datetime(2021, 10, 29, 11, 15, tzinfo=UTC)
    assert (found.identity, found.serial) == ("cellar-1", EUI.lower())
    assert found.readings == (
        RegisterReading("active_energy_import", at, 1938),
        RegisterReading("active_energy_export", at, 18943),
        RegisterReading("reactive_energy_import", at, 4464),
        RegisterReading("reactive_energy_export", at, 9999),
        RegisterReading("active_energy_import_t1", at, 1810),
        RegisterReading("active_energy_import_t2", at, 128),
    )


def test_the_captured_uplink_of_the_things_stack(shared: Path) -> None:
    """A soil probe's: its identity is read, and its text "3.384 V" is an amount with a unit."""
    captured = sample(shared, "The Things Stack")["sample"]
    topic = "v3/soulmbengue-app-lorawansrv-1@ttn/devices/eui-a8404194a1875ff3/up"
    assert delivered(topic, captured) == Delivery(
        "eui-a8404194a1875ff3", "a8404194a1875ff3", (), unmapped=True
    )
    battery = FieldMap("b", (mapping.Entry((("Bat",),), "voltage_l1", "V"),))
    found = payloads.decode(
        Message(topic, json.dumps(captured).encode(), ARRIVAL), Setting(mapping=battery)
    )
    assert isinstance(found, Delivery)
    assert found.readings == (
        RegisterReading("voltage_l1", datetime(2023, 6, 20, 14, 34, 32, tzinfo=UTC), 34),
    )


def test_a_field_may_hold_the_transformer_ratio() -> None:
    ratio = FieldMap("ct", (mapping.Entry((("ct_ratio",),), "current_transformer_ratio", "1"),))
    found = ratio.readings({"ct_ratio": Decimal(40)}, ARRIVAL)
    assert [(one.reading_type, one.value) for one in found] == [
        ("current_transformer_ratio", 40_000)
    ]


def test_a_water_meter_by_chirpstack() -> None:
    found = delivered(CHIRPSTACK, chirpstack(AXIOMA), "axioma-w1")
    at = datetime(2026, 9, 2, 23, 9, 34, tzinfo=UTC)
    assert found == Delivery(WATER_EUI, WATER_EUI, (RegisterReading("water_volume", at, 6054),))


def test_the_fields_of_the_captured_event_are_those_that_are_read(shared: Path) -> None:
    fields = sample(shared, "ChirpStack")["sample"]["fields"]
    named = {one.split(" ")[0].split("{")[0].removesuffix("[]") for one in fields}
    assert chirpstack(AXIOMA).keys() == named


def test_fields_that_are_left_out_are_no_readings_and_no_zeros() -> None:
    only = {name: EMU[name] for name in ("timestamp", "ActiveEnergyImportT1")}
    found = delivered(TTS, things_stack(only), "emu-prof-ii")
    assert [one.reading_type for one in found.readings] == ["active_energy_import_t1"]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        # f_port 0 is left out; so is an empty uplink's data.
        (TTS, things_stack(None, f_port=None, frm_payload=None)),
        (TTS, things_stack(EMU_JOINED, f_port=100)),
        (CHIRPSTACK, chirpstack(None, data=None, fPort=None)),
    ],
)
def test_uplinks_without_readings_are_nobodys(topic: str, payload: object) -> None:
    found = delivered(topic, payload, "emu-prof-ii")
    assert (found.readings, found.unmapped) == ((), False)


@pytest.mark.parametrize("topic", [TTS, CHIRPSTACK])
def test_a_device_without_a_decoder_says_so(topic: str) -> None:
    payload = things_stack(None) if topic == TTS else chirpstack(None, fPort=1)
    assert "give the device a payload formatter" in reason(topic, payload, "emu-prof-ii")


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        (TTS.replace("cellar-1", "roof"), things_stack(EMU), "device 'cellar-1' under the topic"),
        (TTS.replace("meters", "other"), things_stack(EMU), "application 'meters' under the topic"),
        (CHIRPSTACK.replace("c7a5", "ffff"), chirpstack(AXIOMA), "under another's topic"),
        (CHIRPSTACK.replace(WATER_EUI, "0" * 16), chirpstack(AXIOMA), "under the topic of"),
        (TTS, {"uplink_message": {}}, "no group 'end_device_ids'"),
        (TTS, things_stack(EMU, f_port="x"), "f_port is no port"),
        (TTS, things_stack({"ActiveEnergyImportT1": 1}), "no time 'timestamp.value'"),
        (TTS, things_stack([1]), "decoded_payload is no object"),
        (
            TTS,
            things_stack({"timestamp": EMU["timestamp"]}),
            "none of the fields of mapping emu-prof-ii",
        ),
        (CHIRPSTACK, chirpstack(AXIOMA, deviceInfo={"devEui": "xyz"}), "is no DevEUI"),
    ],
)
def test_what_does_not_fit_is_rejected(topic: str, payload: object, said: str) -> None:
    assert said in reason(topic, payload, "emu-prof-ii" if topic.startswith("v3") else "axioma-w1")


@pytest.mark.parametrize(
    ("told", "expected", "code"),
    [
        (1635506100, datetime(2021, 10, 29, 11, 15, tzinfo=UTC), quality.VALID),
        # A battery was changed, and the clock begins anew; or it runs ahead.
        (946_684_800, datetime(2021, 10, 29, 11, 15, 32, tzinfo=UTC), quality.CLOCK_INVALID),
        (1635599999, datetime(2021, 10, 29, 11, 15, 32, tzinfo=UTC), quality.CLOCK_INVALID),
    ],
)
def test_a_meter_that_does_not_know_the_time(told: int, expected: datetime, code: int) -> None:
    payload = things_stack({**EMU, "timestamp": {"value": told}})
    found = delivered(TTS, payload, "emu-prof-ii")
    assert {(one.read_at, one.quality) for one in found.readings} == {(expected, code)}


PLUG = "zigbee2mqtt/washer"


def test_zigbee2mqtt_capture(shared: Path) -> None:
    captured = sample(shared, "Zigbee2MQTT")["sample"]
    found = delivered(PLUG, captured)
    at = datetime(2025, 10, 15, 17, 10, 57, tzinfo=UTC)
    assert (found.identity, found.serial) == ("washer", "")
    # The capture's clock is behind ours by less than 400 days.
    assert found.readings == (
        RegisterReading("active_energy_import", at, 31_020),
        RegisterReading("active_power_import", at, 0),
        RegisterReading("active_power_export", at, 0),
        RegisterReading("reactive_power_import", at, 0),
        RegisterReading("reactive_power_export", at, 33),
        RegisterReading("voltage_l1", at, 2362),
        RegisterReading("current_l1", at, 0),
        RegisterReading("frequency", at, 50_000),
    )


def test_zigbee2mqtt_epochs_and_what_is_null() -> None:
    state = {"energy": 1.5, "power": None, "last_seen": 1780484400123, "state": "ON"}
    found = delivered(PLUG, {**state, "device": {"ieeeAddr": "0x00158d0001"}})
    assert found.serial == "0x00158d0001"
    assert found.readings == (
        RegisterReading("active_energy_import", datetime(2026, 6, 3, 11, tzinfo=UTC), 1500),
    )


def test_zigbee2mqtt_lamps_are_nobodys_and_times_are_needed() -> None:
    assert delivered(PLUG, {"brightness": 200, "energy": None}) == Delivery("washer", "", ())
    assert "set advanced.last_seen" in reason(PLUG, {"energy": 1.5})


# Mappings


def test_every_mapping_that_comes_along_can_be_read() -> None:
    assert set(mapping.names()) >= {"emu-prof-ii", "axioma-w1", "zigbee2mqtt"}
    for name in mapping.names():
        assert mapping.named(name).entries


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("1.5"), (Decimal("1.5"), "kWh")),
        ("3.384 V", (Decimal("3.384"), "V")),
        ("-7", (Decimal(-7), "kWh")),
        ({"value": Decimal(3), "unit": "Wh"}, (Decimal(3), "Wh")),
        ({"value": "2 m3"}, (Decimal(2), "m3")),
        (None, None),
        ("", None),
        ({}, None),
    ],
)
def test_amounts(value: object, expected: object) -> None:
    assert mapping.amount(value, "kWh") == expected


@pytest.mark.parametrize("value", ["V", "1,5", "1e9", "1 2 3", True, [], "٣", {"value": []}])
def test_what_is_no_amount(value: object) -> None:
    with pytest.raises(Malformed, match="is no amount"):
        mapping.amount(value, "kWh")


GOOD = '[[reading]]\nfield = "a.b"\ntype = "active_energy_import"\nunit = "kWh"\n'


def test_a_mapping_of_ones_own_stands_before_those_that_come_along(tmp_path: Path) -> None:
    (tmp_path / "zigbee2mqtt.toml").write_text(GOOD)
    (tmp_path / "mine.toml").write_text(
        'time = ["t.x"]\n[[reading]]\nfield = ["a.b", "c"]\ntype = "active_power_import"\n'
        'unit = "kW"\nnegative = "active_power_export"\n'
    )
    assert mapping.named("zigbee2mqtt", tmp_path).entries[0].fields == (("a", "b"),)
    fields = {"a.b": {"c": Decimal("-1.25")}, "t.x": Decimal(1780484400)}
    assert mapping.named("mine", tmp_path).readings(fields, ARRIVAL) == (
        RegisterReading("active_power_import", datetime(2026, 6, 3, 11, tzinfo=UTC), 0),
        RegisterReading("active_power_export", datetime(2026, 6, 3, 11, tzinfo=UTC), 1250),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs 1 to 200"),
        ("reading = []", "needs 1 to 200"),
        ("nonsense", "mapping m:"),
        (f"colour = 1\n{GOOD}", "unknown: colour"),
        (f'time_unit = "h"\n{GOOD}', "time_unit must be s or ms"),
        (GOOD.replace("active_energy_import", "warmth"), "no reading type 'warmth'"),
        (GOOD.replace("kWh", "m³"), "is no unit of active energy"),
        (GOOD.replace('"a.b"', '"a..b"'), "is no path"),
        (f"{GOOD}sum = []", "field or sum"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(BadMapping, match="mapping m") as raised:
        mapping.named("m", tmp_path)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["nosuch", "../m", "A", ""])
def test_there_is_no_such_mapping(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadMapping, match=r"no mapping|no name"):
        mapping.named(name, tmp_path)


def test_the_parts_of_a_sum_have_one_unit() -> None:
    parts = {**EMU, "ActiveEnergyImportT2": {"unit": "kWh", "value": 1}}
    assert "parts of a sum have units ['Wh', 'kWh']" in reason(
        TTS, things_stack(parts), "emu-prof-ii"
    )


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


@given(
    values, st.sampled_from(["emu-prof-ii", "axioma-w1", "zigbee2mqtt"]), st.sampled_from([0, 1, 2])
)
def test_any_fields_give_readings_or_a_reason(fields: Any, name: str, where: int) -> None:
    inner = {**EMU, "timestamp_unix": 1, "energy": fields, "ActiveEnergyImportT1": fields}
    topic, payload = (
        (TTS, things_stack(inner)), (CHIRPSTACK, chirpstack(inner, fPort=1)), (PLUG, inner),
    )[where]  # fmt: skip
    found = decoded(topic, payload, name)
    if isinstance(found, Delivery):
        assert all(abs(one.value) < 2**63 for one in found.readings)
    else:
        assert len(found.reason) < 1000
