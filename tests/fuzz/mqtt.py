"""Decoders of MQTT payloads."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from drivers.mqtt import mapping, payload, payloads
from drivers.mqtt.formats import sparkplug
from drivers.mqtt.setting import Setting
from tests.fuzz.target import NOW, Target

_ZONE: Final = ZoneInfo("Europe/Berlin")


_TOPICS: Final = {
    "wmbusmeters/cellar": "",
    "tele/house/SENSOR": "",
    "smartmeter/flat/ACTIVE_ENERGY_P": "",
    "smartmeter/flat/power": "",
    "v3/a@t/devices/d/up": "emu-prof-ii",
    "application/a/device/24e124136b502217/event/up": "axioma-w1",
    "zigbee2mqtt/plug": "",
    "another/topic": "",
}


def _mqtt(data: bytes) -> None:
    for topic, name in _TOPICS.items():
        chosen = mapping.named(name) if name else None
        setting = Setting(_ZONE, chosen, {7: ("energy", 10), 9: ("power", 3)})
        found = payloads.decode(payload.Message(topic, data, NOW), setting)
        if isinstance(found, payload.Rejected):
            assert len(found.reason) < 1000
            continue
        assert all(abs(one.value) < 2**63 for one in found.readings)


def _sparkplug(data: bytes) -> None:
    edge: sparkplug.Edge | None = None
    for at, kind in enumerate(("NBIRTH", "DBIRTH", "DDATA", "NDEATH")):
        device = "/d" if kind.startswith("D") else ""
        topic = f"spBv1.0/g/{kind}/n{device}"
        where = sparkplug.address(topic)
        assert where is not None
        # Each message begins elsewhere, so that one input is a birth and its data.
        part = data[at * (data[0] if data else 0) :]
        with contextlib.suppress(payload.Malformed):
            edge, _ = sparkplug.follow(edge, where, part)
        aliases = edge.aliases.get(where.device, {}) if edge else {}
        setting = Setting(_ZONE, mapping.named("zigbee2mqtt"), aliases)
        found = payloads.decode(payload.Message(topic, part, NOW), setting)
        if isinstance(found, payload.Delivery):
            assert all(abs(one.value) < 2**63 for one in found.readings)


_WMBUS: Final = (
    b'{"media":"water","meter":"multical21","name":"cellar","id":"12345678",'
    b'"total_m3":12.345,"timestamp":"2026-07-01T00:00:00Z"}'
)


_SML: Final = (
    b'{"Time":"2026-07-01T02:00:00","SML":{"Total_in":1234.5,"Power_curr":99,"Meter_id":"0a"}}'
)


_SMARTMETER: Final = b'{"timestamp":1782864000,"value":1234.5,"unit":"kWh"}'


_TTS: Final = (
    b'{"end_device_ids":{"device_id":"d","application_ids":{"application_id":"a"},'
    b'"dev_eui":"24E124136B502217"},"received_at":"2026-06-30T23:00:00.1Z","uplink_message":'
    b'{"f_port":1,"frm_payload":"AA==","decoded_payload":{"timestamp":{"value":1782860000},'
    b'"ActiveEnergyImportT1":{"unit":"Wh","value":1810}}}}'
)


_CHIRPSTACK: Final = (
    b'{"time":"2026-06-30T23:00:00+00:00","deviceInfo":{"applicationId":"a",'
    b'"devEui":"24e124136b502217"},"fPort":1,"data":"AA==","object":{"timestamp_unix":1782860000,'
    b'"current_volume_m3":"6.054 m3"}}'
)


_PLUG: Final = b'{"energy":31.02,"power":-3.5,"last_seen":1782860000123}'


_SPARKPLUG: Final = bytes.fromhex(
    "0880c78fe9e8331228 0a06656e657267791007 1880c78fe9e833200a 690000000000002940"
    "120d 0a05706f776572 1009 2003 5005 1803"
)


TARGETS: Final[Mapping[str, Target]] = {
    "mqtt": Target(_mqtt, (_WMBUS, _SML, _SMARTMETER, _TTS, _CHIRPSTACK, _PLUG)),
    "sparkplug": Target(_sparkplug, (_SPARKPLUG, b"\x1c" + _SPARKPLUG)),
}
