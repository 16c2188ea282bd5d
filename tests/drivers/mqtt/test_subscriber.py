"""The subscription against real brokers: nothing lost, memory bounded."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.mqtt import broker as urls
from drivers.mqtt.subscriber import Subscriber, Version
from simulators import broker as brokers
from tests.drivers.mqtt.subscribing import NOW, VERSIONS, drain, numbers, publish, subscriber, texts


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_acknowledged_does_not_come_again(
    keeping_broker: brokers.Broker, version: Version
) -> None:
    with subscriber(keeping_broker.url, version=version) as inbound:
        publish(keeping_broker, numbers(250))
        assert drain(inbound, 250) == numbers(250)
    publish(keeping_broker, numbers(5, 250))
    with subscriber(keeping_broker.url, version=version) as inbound:
        assert inbound.connected
        assert drain(inbound, 6) == numbers(5, 250), "what came while we were away, and no more"


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_acknowledged_comes_again(
    keeping_broker: brokers.Broker, version: Version
) -> None:
    with subscriber(keeping_broker.url, version=version) as inbound:
        publish(keeping_broker, numbers(60))
        assert drain(inbound, 60, acknowledge=False) == numbers(60)
    with subscriber(keeping_broker.url, version=version) as inbound:
        assert drain(inbound, 60) == numbers(60)


def test_a_message_says_when_and_where_it_came(broker: brokers.Broker) -> None:
    with subscriber(broker.url) as inbound:
        publish(broker, ["1"])
        batch = inbound.take(wait=5)
    assert batch is not None
    assert [(one.topic, one.payload, one.received_at) for one in batch.messages] == [
        ("smartmeter/M/ACTIVE_ENERGY_P", b"1", NOW)
    ]


LANDING = textwrap.dedent(
    """
    import os, sys, time
    from datetime import UTC, datetime
    from drivers.mqtt import broker
    from drivers.mqtt.subscriber import Subscriber

    url, path, killed_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
    landed = 0
    with Subscriber(broker.parse(url), client_id="head-end", topics=["smartmeter/+/+"],
                    clock=lambda: datetime.now(UTC)) as inbound, open(path, "ab") as store:
        print("ready", flush=True)
        for batch in inbound.batches(size=50):
            for message in batch.messages:
                store.write(message.payload + b"\\n")
            store.flush()
            os.fsync(store.fileno())
            landed += len(batch)
            if landed >= killed_at:
                # Goes after what was acknowledged before, on the same way.
                inbound.publish("told", b"landed")
                time.sleep(60)
            batch.acknowledge()
    """
)


def test_a_process_killed_between_landing_and_acknowledging_loses_nothing(
    keeping_broker: brokers.Broker, tmp_path: Path
) -> None:
    store = tmp_path / "landed"
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", LANDING, keeping_broker.url, str(store), "120"]
    where = urls.parse(keeping_broker.url)
    with (
        Subscriber(where, client_id="told", topics=["told"], clock=lambda: NOW) as told,
        subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        publish(keeping_broker, numbers(300))
        assert told.take(wait=30), "what was acknowledged before has reached the broker"
        process.send_signal(signal.SIGKILL)
    before = store.read_text().split()
    assert 120 <= len(before) < 300
    with subscriber(keeping_broker.url) as inbound:
        after = drain(inbound, 300)
    assert set(before) | set(after) == set(numbers(300)), "nothing lost"
    again = set(before) & set(after)
    assert 0 < len(again) <= 50, "the batch that landed unacknowledged comes again, no other"


def test_messages_without_acknowledgement_do_not_cost_the_connection(
    broker: brokers.Broker,
) -> None:
    gateway = Client(CallbackAPIVersion.VERSION2)
    gateway.connect(broker.host, broker.port)
    gateway.loop_start()
    with subscriber(broker.url) as inbound:
        for qos in (0, 1, 0):
            gateway.publish("smartmeter/M/ACTIVE_ENERGY_P", str(qos), qos=qos).wait_for_publish(5)
        assert sorted(drain(inbound, 3)) == ["0", "0", "1"]
        inbound.publish("smartmeter/M/ACTIVE_ENERGY_P", b"ours")
        assert drain(inbound, 1) == ["ours"]
        assert inbound.connected
    gateway.disconnect()
    gateway.loop_stop()


def test_a_session_loses_what_is_not_wanted_any_more(keeping_broker: brokers.Broker) -> None:
    known = {"client_id": "choosy", "clock": lambda: NOW, "timeout": 5}
    where = urls.parse(keeping_broker.url)
    with Subscriber(where, topics=["smartmeter/+/+", "b"], **known):  # type: ignore[arg-type]
        pass
    with Subscriber(where, topics=["b"], unwanted=["smartmeter/+/+"], **known) as inbound:  # type: ignore[arg-type]
        publish(keeping_broker, ["not wanted"])
        inbound.publish("b", b"wanted")
        batch = inbound.take(wait=5)
        assert batch is not None
        assert texts(batch) == ["wanted"]
        assert inbound.take(wait=0.3) is None


def test_memory_is_bounded_while_nobody_takes(broker: brokers.Broker) -> None:
    with subscriber(broker.url, limit=20) as inbound:
        publish(broker, numbers(500))
        deadline = time.monotonic() + 5
        while len(inbound) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        assert len(inbound) == 20
        assert drain(inbound, 500) == numbers(500)


def test_with_mqtt_3_the_line_is_held_up(broker: brokers.Broker) -> None:
    with subscriber(broker.url, version="3.1.1", limit=20) as inbound:
        publish(broker, numbers(500))
        time.sleep(0.3)
        assert len(inbound) <= 20
        assert drain(inbound, 500) == numbers(500)


def test_closing_while_the_line_is_held_up_does_not_hang(broker: brokers.Broker) -> None:
    with subscriber(broker.url, version="3.1.1", limit=5):
        publish(broker, numbers(100))
        time.sleep(0.2)


def test_batches_end_when_the_subscriber_is_closed(broker: brokers.Broker) -> None:
    got: list[str] = []
    inbound = subscriber(broker.url)

    def consume() -> None:
        for batch in inbound.batches():
            got.extend(texts(batch))
            batch.acknowledge()

    with inbound:
        thread = threading.Thread(target=consume)
        thread.start()
        publish(broker, numbers(10))
        deadline = time.monotonic() + 5
        while len(got) < 10 and time.monotonic() < deadline:
            time.sleep(0.01)
    thread.join(5)
    assert not thread.is_alive()
    assert got == numbers(10)


async def test_from_asyncio(broker: brokers.Broker) -> None:
    got: list[str] = []
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with subscriber(broker.url) as inbound:
        assert await inbound.take_async(wait=0.2) is None
        assert ticks > 5, "other tasks run while it waits"
        publishing = asyncio.to_thread(publish, broker, numbers(120))
        asyncio.get_running_loop().create_task(publishing)
        async with asyncio.timeout(10):
            async for batch in inbound.batches_async(size=50):
                got += texts(batch)
                batch.acknowledge()
                if len(got) >= 120:
                    break
    ticking.cancel()
    assert got == numbers(120)


async def test_a_cancelled_wait_takes_nothing_away(broker: brokers.Broker) -> None:
    async with subscriber(broker.url) as inbound:
        for _ in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await inbound.take_async(wait=5, linger=5)
        await asyncio.to_thread(publish, broker, numbers(30))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await inbound.take_async(wait=5, linger=5)
        batch = await inbound.take_async(wait=5)
        assert batch is not None
        assert texts(batch) == numbers(30)
