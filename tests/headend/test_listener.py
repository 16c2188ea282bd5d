from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import paho.mqtt.publish
import psycopg
import pytest
import structlog.testing

from drivers import errors
from headend import listener, overview
from headend.listener import Listener
from schemas.database import Connection
from simulators.broker import Broker
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 3, 12, 0, 20, tzinfo=UTC)
SECONDS = 20


def clock() -> datetime:
    return NOW


def water(name: str, serial: str, hour: int, total: float) -> dict[str, object]:
    at = datetime(2026, 6, 3, hour, 0, 5, tzinfo=UTC)
    telegram = {
        "media": "water", "meter": "multical21", "name": name, "id": serial,
        "total_m3": total, "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "status": "OK",
    }  # fmt: skip
    return {"topic": f"wmbusmeters/{name}", "payload": json.dumps(telegram), "qos": 1}


def publish(broker: Broker, messages: list[dict[str, object]]) -> None:
    paho.mqtt.publish.multiple(messages, hostname=broker.host, port=broker.port)  # type: ignore[arg-type]


def listening(url: str, broker: Broker) -> listener.running:  # type: ignore[valid-type]
    return listener.running(url, broker.url, clock=clock)


def water_meter(connection: Connection, mrid: str, address: str = "{}") -> int:
    return end_device(
        connection, mrid, protocol="mqtt", host=None, profile="wmbusmeters",
        interval_seconds=3600, address=address,
    )  # fmt: skip


def test_published_readings_land_by_topic_mrid_or_serial(
    connection: Connection, database_url: str, broker: Broker
) -> None:
    water_meter(connection, "W1")
    water_meter(connection, "W2", '{"topic": "wmbusmeters/cellar"}')
    water_meter(connection, "W3", '{"serial": "333"}')
    with listening(database_url, broker) as heard:
        publish(
            broker,
            [
                water("W1", "1", 10, 1.5),
                water("cellar", "2", 10, 2.5),
                water("roof", "333", 10, 3.5),
            ],
        )
        assert heard.wait_for(3, seconds=SECONDS)
        assert heard.counts == listener.Counts(3, 3, 0)
    rows = connection.execute(
        "SELECT d.mrid, r.read_at, r.value FROM raw_register_reading r"
        " JOIN end_device d ON d.id = r.end_device_id ORDER BY 1"
    ).fetchall()
    # Five seconds past the hour is on the grid.
    at = datetime(2026, 6, 3, 10, tzinfo=UTC)
    assert rows == [("W1", at, 1500), ("W2", at, 2500), ("W3", at, 3500)]
    assert overview.status(connection, "W1", now=NOW).verdict.name == "talks"


def test_what_cannot_be_read_or_placed_is_kept_with_the_reason(
    connection: Connection, database_url: str, broker: Broker
) -> None:
    water_meter(connection, "W1", '{"serial": "1"}')
    broken: dict[str, object] = {"topic": "wmbusmeters/W1", "payload": "{", "qos": 1}
    with listening(database_url, broker) as heard:
        publish(broker, [broken, water("W9", "9", 10, 1), water("W1", "8", 10, 1), broken])
        assert heard.wait_for(4, seconds=SECONDS)
        assert (heard.counts.registers, heard.counts.quarantined) == (0, 4)
    rows = connection.execute(
        "SELECT subject, payload, reason FROM quarantine ORDER BY id"
    ).fetchall()
    assert [row[0] for row in rows] == ["wmbusmeters/W1", "wmbusmeters/W9", "wmbusmeters/W1"]
    assert (bytes(rows[0][1]), "not JSON" in rows[0][2]) == (b"{", True)
    assert "import it into the registry" in rows[1][2]
    assert "was it exchanged" in rows[2][2]


def test_what_comes_while_nobody_listens_waits_and_lands_once(
    connection: Connection, database_url: str, keeping_broker: Broker
) -> None:
    device = water_meter(connection, "W1")
    messages = [water("W1", "1", hour, hour) for hour in range(10)]
    with listening(database_url, keeping_broker):
        pass
    publish(keeping_broker, messages)
    with listening(database_url, keeping_broker) as heard:
        assert heard.wait_for(10, seconds=SECONDS)
        publish(keeping_broker, messages)
        assert heard.wait_for(20, seconds=SECONDS)
        assert heard.counts.registers == 10
    assert count(connection, "raw_register_reading", f"end_device_id = {device}") == 10


def test_nothing_is_acknowledged_before_it_is_committed(
    connection: Connection, database_url: str, keeping_broker: Broker
) -> None:
    water_meter(connection, "W1")
    with listening(database_url, keeping_broker) as heard, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE raw_register_reading")
        publish(keeping_broker, [water("W1", "1", 10, 1)])
        assert not heard.wait_for(1, seconds=1)
        heard.stop()
        # Killed in the middle: the commit never happens.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        )
    assert count(connection, "raw_register_reading") == 0
    with listening(database_url, keeping_broker) as again:
        assert again.wait_for(1, seconds=SECONDS)
    assert count(connection, "raw_register_reading") == 1


def test_a_broker_that_is_not_there_is_an_error_at_the_start(database_url: str) -> None:
    begun = time.monotonic()
    with pytest.raises(errors.LinkError):
        Listener(database_url, "mqtt://127.0.0.1:1").run()
    assert time.monotonic() - begun < SECONDS


def test_a_broker_that_is_not_there_is_logged_in_one_line(database_url: str) -> None:
    with (
        structlog.testing.capture_logs() as logged,
        pytest.raises(errors.LinkError),
        listener.running(database_url, "mqtt://127.0.0.1:1"),
    ):
        pass
    assert [(one["event"], "exc_info" in one) for one in logged] == [("listener.failed", False)]
    assert "127.0.0.1:1" in logged[0]["reason"]


def test_a_new_meter_is_known_soon_after_it_is_registered(
    connection: Connection, database_url: str, broker: Broker
) -> None:
    with listening(database_url, broker) as heard:
        publish(broker, [water("W1", "1", 9, 1)])
        assert heard.wait_for(1, seconds=SECONDS)
        water_meter(connection, "W1")
        time.sleep(timedelta(seconds=1.1).total_seconds())
        publish(broker, [water("W1", "1", 10, 1)])
        assert heard.wait_for(2, seconds=SECONDS)
        assert heard.counts == listener.Counts(2, 1, 1)
