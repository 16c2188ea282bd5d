"""Subscribers for tests, and a gateway that publishes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

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
