"""Brokers carry a message, and are gone afterwards."""

from __future__ import annotations

import queue
import socket
import sys

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from simulators import broker


def _send_and_receive(running: broker.Broker, count: int) -> list[bytes]:
    """Publish to a topic that the same client is subscribed to; QoS 1 both ways."""
    received: queue.Queue[bytes] = queue.Queue()
    subscribed: queue.Queue[bool] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: received.put(bytes(message.payload))
    client.on_subscribe = lambda *_: subscribed.put(True)
    # amqtt loses what comes before its own word that the connection stands.
    client.on_connect = lambda *_: client.subscribe("meters/#", qos=1)
    client.connect(running.host, running.port)
    client.loop_start()
    try:
        subscribed.get(timeout=10)
        for number in range(count):
            client.publish("meters/1", str(number).encode(), qos=1)
        return [received.get(timeout=10) for _ in range(count)]
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.parametrize("kind", broker.available())
def test_a_broker_carries_messages_in_order_and_stops(kind: broker.Kind) -> None:
    with broker.running(kind) as running:
        expected = [str(number).encode() for number in range(50)]
        assert _send_and_receive(running, 50) == expected
        assert running.url == f"mqtt://127.0.0.1:{running.port}"
    assert running.process.returncode is not None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((running.host, running.port), timeout=1)


def test_a_broker_comes_back_on_the_same_port() -> None:
    with broker.running() as first:
        pass
    with broker.running(port=first.port) as second:
        assert second.port == first.port
        assert _send_and_receive(second, 1) == [b"0"]


def test_a_taken_port_is_told() -> None:
    with broker.running() as first, pytest.raises(broker.BrokerError, match="in use"):
        broker.running(port=first.port).__enter__()


def test_a_broker_that_ends_at_once_shows_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    failing = [sys.executable, "-c", "raise SystemExit('no such option')"]
    monkeypatch.setattr(broker, "_command", lambda *_: failing)
    with pytest.raises(broker.BrokerError, match="no such option"):
        broker.running("amqtt").__enter__()
