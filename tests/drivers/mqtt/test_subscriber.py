"""The subscription against real brokers: nothing lost, memory bounded, faults named."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers import errors
from drivers.mqtt import broker as urls
from drivers.mqtt.subscriber import Batch, Subscriber, Version
from simulators import broker as brokers

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
VERSIONS: tuple[Version, ...] = ("5", "3.1.1")


def subscriber(
    url: str, *, version: Version = "5", limit: int = 2000, client_id: str = "head-end"
) -> Subscriber:
    return Subscriber(
        urls.parse(url),
        client_id=client_id,
        topics=["smartmeter/+/+"],
        clock=lambda: NOW,
        version=version,
        limit=limit,
        timeout=5,
    )


def publish(broker: brokers.Broker, payloads: Sequence[str]) -> None:
    """Publish as a gateway does, each at QoS 1, and wait until the broker has them."""
    gateway = Client(CallbackAPIVersion.VERSION2)
    gateway.max_inflight_messages = 100
    gateway.connect(broker.host, broker.port)
    gateway.loop_start()
    sent = [gateway.publish("smartmeter/M/ACTIVE_ENERGY_P", one, qos=1) for one in payloads]
    for one in sent:
        one.wait_for_publish(10)
    gateway.disconnect()
    gateway.loop_stop()


def drain(inbound: Subscriber, count: int, *, acknowledge: bool = True) -> list[str]:
    """Take until so many messages have come, or none came for a second."""
    got: list[str] = []
    while len(got) < count and (batch := inbound.take(size=100, wait=3)) is not None:
        got += texts(batch)
        if acknowledge:
            batch.acknowledge()
    return got


def texts(batch: Batch) -> list[str]:
    return [message.payload.decode() for message in batch.messages]


def numbers(count: int, start: int = 0) -> list[str]:
    return [str(number) for number in range(start, start + count)]


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
                print("landed", flush=True)
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
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        publish(keeping_broker, numbers(300))
        assert process.stdout.readline() == "landed\n"
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
    known = {"client_id": "head-end", "clock": lambda: NOW, "timeout": 5}
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


def test_a_broker_that_comes_back_is_found_again() -> None:
    with brokers.running() as first:
        inbound = subscriber(first.url)
        with inbound:
            publish(first, numbers(3))
            old = inbound.take(wait=5)
            assert old is not None
            first.process.terminate()
            first.process.wait(10)
            with brokers.running(port=first.port) as second:
                deadline = time.monotonic() + 20
                while not inbound.connected and time.monotonic() < deadline:
                    time.sleep(0.05)
                time.sleep(0.3)
                publish(second, numbers(3, 100))
                # The same packet ids mean other messages now: this must not acknowledge them.
                old.acknowledge()
                assert drain(inbound, 3, acknowledge=False) == numbers(3, 100)
            # The first broker's block ends after its process has: nothing else is stopped.


def test_a_broker_that_only_knows_mqtt_3() -> None:
    with brokers.running("amqtt") as broker, subscriber(broker.url) as inbound:
        publish(broker, numbers(100))
        assert drain(inbound, 100) == numbers(100)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(errors.Refused, match="refused the connection"):
        subscriber(f"mqtt://127.0.0.1:{port}").__enter__()


@contextmanager
def scripted(answer: bytes) -> Iterator[str]:
    """A peer that answers every connection's first bytes with these."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.recv(1000)
                connection.sendall(answer)
                connection.recv(1000)

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"mqtt://user:secret@127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)


@pytest.mark.parametrize(
    ("version", "answer", "error", "said"),
    [
        ("5", "20 03 00 87 00", errors.AccessDenied, "Not authorized"),
        ("5", "20 03 00 86 00", errors.AccessDenied, "Bad user name or password"),
        ("5", "20 03 00 88 00", errors.LinkError, "Server unavailable"),
        ("3.1.1", "20 02 00 05", errors.AccessDenied, "Not authorized"),
        ("3.1.1", "20 02 00 03", errors.LinkError, "Server unavailable"),
        ("3.1.1", "20 02 00 01", errors.NotOffered, "protocol version"),
    ],
)
def test_a_broker_that_refuses(
    version: Version, answer: str, error: type[errors.DriverError], said: str
) -> None:
    with scripted(bytes.fromhex(answer)) as url, pytest.raises(error, match=said) as raised:
        subscriber(url, version=version).__enter__()
    assert raised.type is error
    assert "secret" not in str(raised.value)


def test_somebody_else_with_our_name() -> None:
    """CONNACK with the session present, then DISCONNECT 0x8E as MQTT 5, §3.14.2.1 has it."""
    taken = pytest.raises(errors.AccessDenied, match="another process took over client id")
    answer = bytes.fromhex("20 03 01 00 00 e0 02 8e 00")
    with scripted(answer) as url, subscriber(url) as first, taken:
        first.take(wait=5)


def test_a_subscription_that_is_denied() -> None:
    """CONNACK with the session present, then SUBACK with reason 0x87 for packet 1."""
    denied = pytest.raises(errors.AccessDenied, match=r"refused to subscribe to smartmeter/\+/\+")
    answer = bytes.fromhex("20 03 01 00 00 90 04 00 01 00 87")
    with scripted(answer) as url, subscriber(url) as first, denied:
        first.take(wait=5)


def test_a_broker_that_never_answers() -> None:
    inbound = Subscriber(
        urls.parse("mqtt://127.0.0.1:1"),
        client_id="x",
        topics=["a"],
        clock=lambda: NOW,
        timeout=0.3,
    )
    with scripted(b"") as url:
        inbound._broker = urls.parse(url)
        with pytest.raises(errors.TimedOut, match=r"no answer in 0\.3 s"):
            inbound.__enter__()


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("mqtt://broker", urls.Broker("broker")),
        ("mqtt://10.0.0.1:1884/", urls.Broker("10.0.0.1", 1884)),
        ("mqtt://u%40x:p%3Aw@broker", urls.Broker("broker", 1883, "u@x", "p:w")),
    ],
)
def test_urls(url: str, broker: urls.Broker) -> None:
    assert urls.parse(url) == broker
    assert "p:w" not in repr(urls.parse(url))


@pytest.mark.parametrize(
    "url", ["", "broker:1883", "http://broker", "mqtt://", "mqtt://u:hidden@b:99999", "mqtt://b/x"]
)
def test_a_wrong_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ValueError, match="mqtt://host:port") as raised:
        urls.parse(url)
    assert "hidden" not in str(raised.value)
