"""Formats that need a mapping or a birth certificate, from the broker to the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from headend import listener, quarantine, replayers
from schemas.database import Connection
from simulators.broker import Broker
from tests.drivers.mqtt.test_mappings import (
    AXIOMA,
    CHIRPSTACK,
    EMU,
    EUI,
    TTS,
    chirpstack,
    things_stack,
)
from tests.drivers.mqtt.test_sparkplug import DEVICE, NODE, raw
from tests.headend.registry import count, end_device

NOW = datetime(2026, 9, 3, tzinfo=UTC)
SECONDS = 20


@contextmanager
def listening(url: str, broker: Broker) -> Iterator[listener.Listener]:
    with listener.running(url, broker.url, clock=lambda: NOW) as heard:
        yield heard


@contextmanager
def node(broker: Broker) -> Iterator[Client]:
    """An edge node, that is born again whenever it is asked."""
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = _born_again
    client.connect(broker.host, broker.port)
    client.subscribe("spBv1.0/plant/NCMD/gateway")
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def _born_again(client: Client, _: object, message: MQTTMessage) -> None:
    if message.payload.endswith(bytes.fromhex("7001")):
        client.publish(NODE.format("NBIRTH"), raw("nbirth"))
        client.publish(DEVICE.format("DBIRTH"), raw("dbirth"))


def meter(connection: Connection, mrid: str, profile: str, address: dict[str, str]) -> None:
    end_device(
        connection, mrid, protocol="mqtt", host=None, profile=profile, interval_seconds=900,
        address=json.dumps(address),
    )  # fmt: skip


def landed(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute(
        "SELECT d.mrid, t.name, r.value FROM raw_register_reading r"
        " JOIN end_device d ON d.id = r.end_device_id"
        " JOIN reading_type t ON t.id = r.reading_type_id"
        " WHERE t.name NOT LIKE 'reactive%' ORDER BY r.read_at, d.mrid, t.id"
    ).fetchall()


def test_uplinks_land_by_the_mapping_that_the_registry_names(
    connection: Connection, database_url: str, broker: Broker
) -> None:
    meter(connection, "E1", "things-stack", {"serial": EUI, "mapping": "emu-prof-ii"})
    meter(connection, "W1", "chirpstack", {"topic": CHIRPSTACK, "mapping": "axioma-w1"})
    with listening(database_url, broker) as heard, node(broker) as gateway:
        gateway.publish(TTS, json.dumps(things_stack(EMU)), qos=1)
        gateway.publish(CHIRPSTACK, json.dumps(chirpstack(AXIOMA)), qos=1)
        assert heard.wait_for(2, seconds=SECONDS)
    assert landed(connection) == [
        ("E1", "active_energy_import", 1938),
        ("E1", "active_energy_export", 18943),
        ("E1", "active_energy_import_t1", 1810),
        ("E1", "active_energy_import_t2", 128),
        ("W1", "water_volume", 6054),
    ]
    assert quarantine.rows(connection) == []


def test_a_mapping_that_is_missing_is_said_and_found_by_a_replay(
    connection: Connection,
    database_url: str,
    broker: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter(connection, "E1", "things-stack", {"serial": EUI, "mapping": "mine"})
    meter(connection, "W1", "chirpstack", {"topic": CHIRPSTACK})
    meter(connection, "X1", "wmbusmeters", {"topic": "zigbee2mqtt/washer"})
    plug = {"energy": 1, "last_seen": "2026-09-01T00:00:00Z"}
    with listening(database_url, broker) as heard, node(broker) as gateway:
        gateway.publish(TTS, json.dumps(things_stack(EMU)), qos=1)
        gateway.publish(CHIRPSTACK, json.dumps(chirpstack(AXIOMA)), qos=1)
        gateway.publish("zigbee2mqtt/washer", json.dumps(plug), qos=1)
        assert heard.wait_for(3, seconds=SECONDS)
    first, second, third = (row.reason for row in quarantine.rows(connection))
    assert first.startswith("E1: no mapping 'mine'; there are ")
    assert second.startswith("W1 needs mapping=NAME in its address")
    assert third.startswith("X1 has the profile 'wmbusmeters' in the registry")
    (tmp_path / "mine.toml").write_text(
        '[[reading]]\nfield = "ActiveEnergyImportT1"\ntype = "active_energy_import"\nunit = "Wh"\n'
    )
    monkeypatch.setenv("MIQYAS_MAPPINGS", str(tmp_path))
    done = replayers.replay(database_url, now=lambda: NOW)
    assert (dict(done.fates), done.staying.total()) == ({"landed": 1}, 2)
    assert landed(connection) == [("E1", "active_energy_import", 1810)]


def test_a_node_whose_birth_was_missed_is_asked_for_it(
    connection: Connection,
    database_url: str,
    broker: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "press.toml").write_text(
        '[[reading]]\nfield = ["Energy/Import"]\ntype = "active_energy_import"\nunit = "kWh"\n'
    )
    monkeypatch.setenv("MIQYAS_MAPPINGS", str(tmp_path))
    meter(connection, "P1", "sparkplug-b", {"topic": "plant/gateway/m1", "mapping": "press"})
    with listening(database_url, broker) as heard, node(broker) as gateway:
        gateway.publish(DEVICE.format("DDATA"), raw("history"))
        # That one, the command itself, and both births.
        assert heard.wait_for(4, seconds=SECONDS)
        gateway.publish(DEVICE.format("DDATA"), raw("ddata"))
        assert heard.wait_for(5, seconds=SECONDS)
    assert landed(connection) == [
        ("P1", "active_energy_import", 12_500),
        ("P1", "active_energy_import", 12_750),
    ]
    [row] = quarantine.rows(connection)
    assert "no birth certificate names it" in row.reason


def test_data_by_alias_of_a_device_that_is_registered_later_can_be_tried_again(
    connection: Connection,
    database_url: str,
    broker: Broker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "press.toml").write_text(
        '[[reading]]\nfield = ["Energy/Import"]\ntype = "active_energy_import"\nunit = "kWh"\n'
    )
    monkeypatch.setenv("MIQYAS_MAPPINGS", str(tmp_path))
    with listening(database_url, broker) as heard, node(broker) as gateway:
        gateway.publish(NODE.format("NBIRTH"), raw("nbirth"))
        gateway.publish(DEVICE.format("DBIRTH"), raw("dbirth"))
        gateway.publish(DEVICE.format("DDATA"), raw("ddata"))
        assert heard.wait_for(3, seconds=SECONDS)
    assert count(connection, "quarantine") == 2, "the gateway's own birth has nothing of a meter"
    meter(connection, "P1", "sparkplug-b", {"topic": "plant/gateway/m1", "mapping": "press"})
    done = replayers.replay(database_url, now=lambda: NOW, subject="*/m1")
    assert dict(done.fates) == {"landed": 2}
    assert [row[2] for row in landed(connection)] == [12_500, 12_750]
