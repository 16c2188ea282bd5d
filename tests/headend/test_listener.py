from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.publish
import psycopg
import pytest
import structlog.testing

from drivers import errors
from headend import listener, overview
from headend.listener import Listener
from schemas.database import Connection
from simulators import broker as brokers
from simulators.broker import Broker
from tests.headend import dying_listener
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


def test_a_message_that_the_database_refuses_keeps_no_other_from_landing(
    connection: Connection, database_url: str, broker: Broker
) -> None:
    connection.execute(
        "ALTER TABLE raw_register_reading ADD CONSTRAINT odd CHECK (value <> 2000) NOT VALID"
    )
    for number in (1, 2, 3):
        water_meter(connection, f"W{number}")
    with listening(database_url, broker) as heard:
        publish(broker, [water(f"W{number}", str(number), 10, number) for number in (1, 2, 3)])
        assert heard.wait_for(3, seconds=SECONDS)
        assert (heard.counts.registers, heard.counts.quarantined) == (2, 1)
    [(subject, reason)] = connection.execute("SELECT subject, reason FROM quarantine").fetchall()
    assert subject == "wmbusmeters/W2"
    assert reason.startswith("the database refuses it: ")
    assert '"odd"' in reason


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


ROUNDS = 6
EACH = 15


def test_a_listener_killed_at_any_moment_loses_nothing_and_lands_nothing_twice(
    connection: Connection, database_url: str, keeping_broker: Broker
) -> None:
    for number in range(EACH):
        end_device(connection, f"M{number}", protocol="mqtt", host=None, profile="smartmeter")
    with listening(database_url, keeping_broker):
        pass
    command = [
        sys.executable,
        "-m",
        "tests.headend.dying_listener",
        database_url,
        keeping_broker.url,
    ]
    root = Path(__file__).parents[2]
    sent = 0
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as dying:
        assert dying.stdin
        assert dying.stdout
        for moment in list(dying_listener.MOMENTS) * ROUNDS:
            publish(keeping_broker, quantities(sent))
            sent += 1
            dying.stdin.write(f"{moment}\n")
            dying.stdin.flush()
            assert dying.stdout.readline() == "killed\n", moment
        dying.stdin.close()
    with listening(database_url, keeping_broker) as heard:
        publish(keeping_broker, quantities(sent))
        assert heard.wait_for(EACH + 1, seconds=SECONDS)
        deadline = time.monotonic() + SECONDS
        while count(connection, "raw_register_reading") < EACH * (sent + 1):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    rows = connection.execute(
        "SELECT d.mrid, count(*), count(DISTINCT value), min(value), max(value)"
        " FROM raw_register_reading r JOIN end_device d ON d.id = r.end_device_id GROUP BY 1"
    ).fetchall()
    assert sorted(rows) == sorted(
        (f"M{number}", sent + 1, sent + 1, 1000, 1000 + sent) for number in range(EACH)
    )
    assert count(connection, "quarantine") == sent + 1, "each broken message once"
    # Everything is acknowledged: nothing comes again.
    with listening(database_url, keeping_broker) as again:
        assert not again.wait_for(1, seconds=0.5)


def quantities(number: int) -> list[dict[str, object]]:
    """A quarter of an hour's messages of all meters, and one that is broken."""
    at = int(NOW.timestamp()) // 900 * 900 + 900 * number
    payload = json.dumps({"value": 1000 + number, "timestamp": at, "obis": "1.8.0"})
    messages: list[dict[str, object]] = [
        {"topic": f"smartmeter/M{meter}/ACTIVE_ENERGY_P", "payload": payload, "qos": 1}
        for meter in range(EACH)
    ]
    broken = {"topic": "smartmeter/M0/ACTIVE_ENERGY_P", "payload": f"broken {number}", "qos": 1}
    return [*messages[:8], broken, *messages[8:]]


def test_a_retained_message_and_a_repeated_one_land_once(
    connection: Connection, database_url: str, keeping_broker: Broker
) -> None:
    water_meter(connection, "W1")
    kept = water("W1", "1", 10, 1) | {"retain": True}
    publish(keeping_broker, [kept])
    for _ in range(2):
        # Another session each time: the broker sends what it retained to each.
        with listener.running(
            database_url, keeping_broker.url, client_id=f"s{_}", clock=clock
        ) as heard:
            assert heard.wait_for(1, seconds=SECONDS)
            publish(keeping_broker, [kept, kept])
            assert heard.wait_for(3, seconds=SECONDS)
    assert count(connection, "raw_register_reading") == 1
    assert count(connection, "arrival") == 1
    assert count(connection, "quarantine") == 0


def test_a_slow_database_holds_the_broker_up_and_not_our_memory(
    connection: Connection, database_url: str, keeping_broker: Broker
) -> None:
    end_device(connection, "M0", protocol="mqtt", host=None, profile="smartmeter")
    topic = "smartmeter/M0/ACTIVE_ENERGY_P"
    waiting = 0
    with psycopg.connect(database_url) as blocker, listening(database_url, keeping_broker) as heard:
        blocker.execute("LOCK TABLE raw_register_reading")
        messages: list[dict[str, object]] = [
            {
                "topic": topic, "qos": 1,
                "payload": json.dumps({"value": n, "timestamp": 1_780_000_000 + 900 * n}),
            }
            for n in range(3000)
        ]  # fmt: skip
        for first in range(0, 3000, 500):
            publish(keeping_broker, messages[first : first + 500])
            waiting = max(waiting, heard.waiting)
        assert 0 < waiting <= 2000
        assert heard.counts.messages == 0
        blocker.rollback()
        assert heard.wait_for(3000, seconds=60)
    assert count(connection, "raw_register_reading") == 3000


def test_a_lost_broker_is_told_once_and_so_is_its_return(database_url: str) -> None:
    with (
        structlog.testing.capture_logs() as logged,
        brokers.running() as first,
        listening(database_url, first),
    ):
        first.process.terminate()
        first.process.wait(10)
        time.sleep(1.5)
        with brokers.running(port=first.port):
            deadline = time.monotonic() + SECONDS
            while not any(one["event"] == "listener.broker.back" for one in logged):
                assert time.monotonic() < deadline
                time.sleep(0.05)
    events = [one["event"] for one in logged]
    before = logged[: events.index("listener.broker.back")]
    lost = [one["reason"] for one in before if one["event"] == "listener.broker.lost"]
    assert len(lost) == len(set(lost)) >= 1, "once with each reason"
