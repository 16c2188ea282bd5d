"""Real samples decode to the values they say; anything else is rejected with a reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mqtt import payloads
from drivers.mqtt.payload import Delivery, Message, Rejected
from drivers.mqtt.setting import Setting
from schemas import quality
from schemas.reading import RegisterReading

ARRIVAL = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def decoded(topic: str, payload: object, zone: ZoneInfo | None = None) -> Delivery | Rejected:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return payloads.decode(Message(topic, data, ARRIVAL), Setting(zone or UTC))


def sample(shared: Path, convention: str) -> dict[str, Any]:
    """The captured sample of a convention."""
    every = json.loads((shared / "data/mqtt/samples.json").read_text("utf-8"))
    found: dict[str, Any] = next(one for one in every if convention in one["convention"])
    return found


def test_smartmeter_capture(shared: Path) -> None:
    captured = sample(shared, "smartmeter-datacollector")["sample"]
    assert decoded(captured["topic"], captured["payload"]) == Delivery(
        "LGZ1030655933512",
        "",
        (
            RegisterReading(
                "active_energy_import", datetime(2021, 7, 6, 14, 58, 18, tzinfo=UTC), 886_977
            ),
        ),
    )


def test_wmbusmeters_capture(shared: Path) -> None:
    captured = sample(shared, "wmbusmeters")["sample"]
    expected = RegisterReading(
        "hot_water_volume", datetime(2026, 11, 22, 3, 0, 4, tzinfo=UTC), 5548
    )
    for name in ("MyWarmWater", "12345678"):
        assert decoded(f"wmbusmeters/{name}", captured) == Delivery(name, "12345678", (expected,))


# Of wmbusmeters' own tests (drivers multical603 and aerius): what it prints for their telegrams.
HEAT = {
    "media": "heat", "meter": "multical603", "name": "Heat", "id": "36363636", "status": "OK",
    "total_energy_consumption_kwh": 165, "total_volume_m3": 5.45, "volume_flow_m3h": 0.018,
    "t1_temperature_c": 53.28, "t2_temperature_c": 23.04, "current_status": "",
    "energy_forward_kwh": 299, "energy_returned_kwh": 156, "timestamp": "2026-11-22T03:00:04Z",
}  # fmt: skip
GAS = {
    "media": "gas", "meter": "aerius", "name": "aerius_gas", "id": "99657098",
    "total_m3": 6842.784, "flow_m3h": 0, "temperature_c": 15.9,
    "target_datetime": "2022-12-31 23:59", "target_m3": 6260.324,
    "timestamp": "2026-11-22T03:00:04Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("telegram", "kind", "value"),
    [
        (HEAT, "heat_energy", 165_000),
        (GAS, "gas_volume", 6_842_784),
        # As older versions wrote it.
        ({**HEAT, "total_energy_consumption_kwh": None, "total_kwh": 1.5}, "heat_energy", 1500),
    ],
)
def test_wmbusmeters_heat_and_gas(telegram: dict[str, Any], kind: str, value: int) -> None:
    told = {name: field for name, field in telegram.items() if field is not None}
    at = datetime(2026, 11, 22, 3, 0, 4, tzinfo=UTC)
    assert decoded(f"wmbusmeters/{told['name']}", told) == Delivery(
        told["name"], told["id"], (RegisterReading(kind, at, value),)
    )


def test_tasmota_shape(shared: Path) -> None:
    """The sample shows which fields there are; all of them are read."""
    shape = sample(shared, "Tasmota SML")["sample"]["payload_shape"]
    payload = tasmota()
    assert shape.keys() == payload.keys()
    assert shape["SML"].keys() == payload["SML"].keys()
    delivery = decoded("tele/tasmota_8F3A21/SENSOR", payload, BERLIN)
    assert isinstance(delivery, Delivery)
    assert (delivery.identity, delivery.serial) == ("tasmota_8F3A21", "0a01454d480000e2f3")
    at = datetime(2026, 6, 1, 10, 0, 5, tzinfo=UTC)
    assert delivery.readings == (
        RegisterReading("active_energy_import", at, 17_923_214),
        RegisterReading("active_energy_export", at, 12),
        RegisterReading("active_power_import", at, 0),
        RegisterReading("active_power_export", at, 218),
    )


def tasmota(**meter: object) -> dict[str, Any]:
    known = {
        "Total_in": 17923.2141,
        "Total_out": 0.0125,
        "Power_curr": -218,
        "Meter_Id": "0A01454D480000E2F3",
    }
    return {"Time": "2026-06-01T12:00:05", "SML": {**known, **meter}}


@pytest.mark.parametrize(
    ("received", "utc_hour"),
    [
        (datetime(2026, 10, 25, 0, 31, tzinfo=UTC), 0),
        (datetime(2026, 10, 25, 1, 31, tzinfo=UTC), 1),
    ],
)
def test_the_hour_that_comes_twice_is_told_by_the_arrival(
    received: datetime, utc_hour: int
) -> None:
    payload = json.dumps({**tasmota(), "Time": "2026-10-25T02:30:00"}).encode()
    message = Message("tele/a/SENSOR", payload, received)
    delivery = payloads.decode(message, Setting(BERLIN))
    assert isinstance(delivery, Delivery)
    at = {reading.read_at for reading in delivery.readings}
    assert at == {datetime(2026, 10, 25, utc_hour, 30, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (datetime(2026, 10, 25, 0, 40, tzinfo=UTC), quality.VALID),
        (datetime(2026, 10, 25, 1, 44, tzinfo=UTC), quality.VALID),
        # The broker kept it while we were away: it may be of either hour.
        (datetime(2026, 10, 25, 4, 0, tzinfo=UTC), quality.CLOCK_INVALID),
    ],
)
def test_a_late_message_of_the_hour_that_comes_twice_says_that_its_time_is_doubtful(
    received: datetime, code: int
) -> None:
    payload = json.dumps({**tasmota(), "Time": "2026-10-25T02:30:00"}).encode()
    delivery = payloads.decode(Message("tele/a/SENSOR", payload, received), Setting(BERLIN))
    assert isinstance(delivery, Delivery)
    assert {reading.quality for reading in delivery.readings} == {code}


def test_a_doubtful_meter_gives_doubtful_readings() -> None:
    telegram = water(status="LEAKING DRY")
    delivery = decoded("wmbusmeters/W1", telegram)
    assert isinstance(delivery, Delivery)
    assert [(one.reading_type, one.value, one.quality) for one in delivery.readings] == [
        ("water_volume", 5_000, quality.METER_DOUBTS)
    ]


def water(**more: object) -> dict[str, object]:
    known = {
        "_": "telegram",
        "media": "cold water",
        "meter": "iperl",
        "name": "W1",
        "id": "33225544",
        "total_m3": 5.0004,
        "timestamp": "2026-06-01T00:00:00Z",
    }
    return {**known, **more}


def test_electricity_over_wireless_mbus() -> None:
    telegram = water(
        media="electricity",
        total_energy_consumption_kwh=123.456,
        total_energy_production_kwh=0,
        current_power_consumption_kw=2.5,
    )
    delivery = decoded("wmbusmeters/W1", telegram)
    assert isinstance(delivery, Delivery)
    assert {one.reading_type: one.value for one in delivery.readings} == {
        "active_energy_import": 123_456,
        "active_energy_export": 0,
        "active_power_import": 2500,
    }


def test_numbers_stay_exact() -> None:
    """This number as a float64 is a little less; its litres would come out one short."""
    telegram = json.dumps(water()).replace("5.0004", "9007199254.740993").encode()
    delivery = decoded("wmbusmeters/W1", telegram)
    assert isinstance(delivery, Delivery)
    assert delivery.readings[0].value == 9_007_199_254_741


def test_a_quantity_without_a_reading_type_is_no_reading_and_no_fault() -> None:
    assert decoded("smartmeter/M/ANGLE_UI_L1", {}) == Delivery("M", "", ())


GOOD = {"value": 1, "timestamp": 1625583498, "obis": "1.8.0"}


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("another/plug", {"energy": 1}, "no payload convention has this topic"),
        ("smartmeter//ACTIVE_ENERGY_P", GOOD, "no payload convention"),
        ("smartmeter/M\x07/ACTIVE_ENERGY_P", GOOD, "no payload convention"),
        ("smartmeter/M/ENERGY", GOOD, "unknown quantity 'ENERGY'"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "obis": "2.8.0"}, "under a topic for 1.8.0"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "value": "1"}, "no number 'value'"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "value": True}, "no number 'value'"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "value": 1e300}, "not an amount"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "value": 1e19}, "too large"),
        ("smartmeter/M/ACTIVE_ENERGY_P", {**GOOD, "timestamp": 1e12}, "2000 and 2100"),
        ("smartmeter/M/ACTIVE_ENERGY_P", b'{"value": NaN}', "NaN is not a number"),
        ("smartmeter/M/ACTIVE_ENERGY_P", b'{"value": 1', "not JSON"),
        ("smartmeter/M/ACTIVE_ENERGY_P", b"\xff\xfe\x00", "not JSON"),
        ("smartmeter/M/ACTIVE_ENERGY_P", b"[" * 60_000, "not JSON"),
        ("smartmeter/M/ACTIVE_ENERGY_P", b" " * 70_000, "70000 bytes"),
        ("smartmeter/M/ACTIVE_ENERGY_P", [1], "not an object"),
        # A gateway was seen to publish a second meter's readings under the first one's name.
        ("wmbusmeters/W2", water(), "meter 'W1', id '33225544' under this topic"),
        ("wmbusmeters/W1", water(media="steam"), "no reading type for medium 'steam'"),
        ("wmbusmeters/W1", water(timestamp="yesterday"), "time 'yesterday'"),
        ("wmbusmeters/W1", water(total_m3=None), "no number 'total_m3'"),
        ("wmbusmeters/W1", water(media="electricity"), "none of total_energy"),
        ("wmbusmeters/W1", water(id="3\u0000"), "no text 'id'"),
        ("tele/T/SENSOR", {"Time": "2026-06-01T12:00:05"}, "no group 'SML'"),
        ("tele/T/SENSOR", {"Time": "2026-06-01T12:00:05", "SML": {}}, "none of Total_in"),
        ("tele/T/SENSOR", {"SML": {"Total_in": 1}}, "no text 'Time'"),
        ("tele/T/SENSOR", tasmota(Meter_Id="T"), "not hexadecimal"),
    ],
)
def test_what_is_broken_is_rejected_with_the_reason(
    topic: str, payload: object, reason: str
) -> None:
    rejected = decoded(topic, payload)
    assert isinstance(rejected, Rejected)
    assert reason in rejected.reason
    assert rejected.reason.isprintable()


TOPICS = st.sampled_from(["smartmeter/M/ACTIVE_ENERGY_P", "wmbusmeters/W1", "tele/T/SENSOR"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(TOPICS | st.text(), st.binary())
def test_any_bytes_give_a_value(topic: str, payload: bytes) -> None:
    assert isinstance(decoded(topic, payload), Delivery | Rejected)


@given(TOPICS, st.data())
def test_right_fields_with_any_contents_give_a_value(topic: str, data: st.DataObject) -> None:
    whole: dict[str, Any] = {**GOOD, **water(), **tasmota()}
    for name in data.draw(st.lists(st.sampled_from([*whole, "SML.Total_in"]), max_size=3)):
        changed = data.draw(VALUES)
        if name == "SML.Total_in":
            whole["SML"] = {"Total_in": changed}
        else:
            whole[name] = changed
    outcome = decoded(topic, whole)
    assert isinstance(outcome, Delivery | Rejected)
    if isinstance(outcome, Delivery):
        assert all(abs(one.value) < 2**63 for one in outcome.readings)
        assert all(one.read_at.year in range(2000, 2100) for one in outcome.readings)


def test_extreme_exponents_cost_nothing() -> None:
    for value in ("1e999999999", "-1e999999999", "0e999999999", "1e-999999999"):
        payload = f'{{"Time": "2026-06-01T12:00:05", "SML": {{"Power_curr": {value}}}}}'
        assert isinstance(decoded("tele/T/SENSOR", payload.encode()), Rejected)


def test_every_format_has_a_topic_and_is_reached() -> None:
    for name, one in payloads.FORMATS.items():
        for wanted in one.topics:
            topic = wanted.replace("+", "x")
            assert payloads.of_topic(topic) is one
            if name != "sparkplug-b":  # of which x is no kind of message
                rejected = decoded(topic, b"")
                assert isinstance(rejected, Rejected)
                assert rejected.reason.startswith(name)


def test_the_page_of_formats_names_every_convention() -> None:
    page = (Path(__file__).parents[3] / "docs/formats.md").read_text("utf-8")
    for name in payloads.FORMATS:
        assert f"| `{name}` |" in page
