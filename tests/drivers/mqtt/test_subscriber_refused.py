"""Brokers that refuse, go away, or never answer, and addresses of them: each fault is named."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from drivers import errors
from drivers.mqtt import broker as urls
from drivers.mqtt.subscriber import Subscriber, Version
from simulators import broker as brokers
from tests.drivers.mqtt.subscribing import NOW, drain, numbers, publish, subscriber


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
