"""Simulated MQTT meters: what became due is published to a real broker, and acknowledged by it.

They have no memory: what is not sent at its time is lost.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import numpy as np
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion

from simulators.clock import Clock
from simulators.meter import ACTIVE, WATER, Meter

Sent = tuple[str, str]
"""Topic and payload."""

_IN_FLIGHT: Final = 500
_PATIENCE_SECONDS: Final = 30.0


class BrokerLost(RuntimeError):
    """The broker does not take what meters publish."""


async def serve(meters: Sequence[Meter], clock: Clock, *, broker: str) -> Publisher:
    """Connect MQTT meters to a broker; the first move of the clock publishes what is due by then.

    Parameters
    ----------
    broker : mqtt://host:port

    Raises
    ------
    ValueError
        if a meter's profile is none that can be simulated.
    OSError
        if the broker cannot be reached.
    """
    for meter in meters:
        if meter.profile not in CONVENTIONS:
            known = ", ".join(CONVENTIONS)
            raise ValueError(f"{meter.mrid}: no simulated {meter.profile!r}; there are {known}")
    url = urlsplit(broker)
    publisher = Publisher(meters, clock)
    await asyncio.to_thread(publisher.connect, url.hostname or "127.0.0.1", url.port or 1883)
    return publisher


class Publisher:
    """All MQTT meters of a fleet, on one connection to the broker, as a gateway has it."""

    port = 0

    def __init__(self, meters: Sequence[Meter], clock: Clock) -> None:
        self.published = 0
        self._meters, self._clock = meters, clock
        # What is due at the very moment at which the fleet starts is still to be sent.
        self._upto = clock.seconds - 1
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages = _IN_FLIGHT

    def connect(self, host: str, port: int) -> None:
        """Connect, and stay connected in the background."""
        self._client.connect(host, port)
        self._client.loop_start()

    async def catch_up(self) -> int:
        """Publish everything that became due, in the order of time, and wait for the broker.

        Returns
        -------
        messages that the broker has acknowledged since the start

        Raises
        ------
        BrokerLost
            if it does not acknowledge within half a minute.
        """
        after, self._upto = self._upto, self._clock.seconds
        await asyncio.to_thread(self._publish, due(self._meters, after, self._upto))
        return self.published

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, messages: Iterator[Sent]) -> None:
        waiting: list[MQTTMessageInfo] = []
        for topic, payload in messages:
            waiting.append(self._client.publish(topic, payload, qos=1))
            if len(waiting) == _IN_FLIGHT:
                self._settle(waiting)
        self._settle(waiting)

    def _settle(self, waiting: list[MQTTMessageInfo]) -> None:
        for sent in waiting:
            sent.wait_for_publish(_PATIENCE_SECONDS)
            if not sent.is_published():
                raise BrokerLost(f"the broker acknowledged nothing for {_PATIENCE_SECONDS:.0f} s")
            self.published += 1
        waiting.clear()


def due(meters: Sequence[Meter], after: int, upto: int) -> Iterator[Sent]:
    """Give what meters send after a moment and up to another, in the order of time.

    Parameters
    ----------
    after, upto : [Unix s], the first exclusive, the second inclusive
    """
    calendar = sorted(
        (moment, position)
        for position, meter in enumerate(meters)
        for moment in _moments(meter, after, upto)
    )
    for moment, position in calendar:
        yield from _sent(meters[position], moment)


def _moments(meter: Meter, after: int, upto: int) -> Iterator[int]:
    """Give the moments on a meter's grid, both ends of its time included."""
    step = meter.interval_seconds
    first = max(after + 1, meter.start)
    first += (meter.start - first) % step
    return iter(range(first, min(upto, meter.end) + 1, step))


def _sent(meter: Meter, moment: int) -> Iterator[Sent]:
    """Give what a meter sends at a moment: all of it, none of it, or twice."""
    if meter.fault("gap", moment) or meter.fault("dead_line", moment):
        return
    convention = CONVENTIONS[meter.profile]
    yield from convention(meter, moment, 0)
    twice = meter.fault("duplicate", moment)
    if twice is not None:
        different = twice.text("value", "same") == "different"
        yield from convention(meter, moment, _half_an_interval(meter, moment) if different else 0)


def _half_an_interval(meter: Meter, moment: int) -> int:
    """Give half of what flowed in the last interval."""
    moments = np.array([moment - meter.interval_seconds, moment])
    before, now = meter.true_count(meter.reading_types[0], moments)
    return int(now - before) // 2


def _wmbusmeters(meter: Meter, moment: int, less: int) -> Iterator[Sent]:
    """Give a water meter's telegram as wmbusmeters prints it: cubic metres, UTC."""
    name = _topic(meter).rpartition("/")[2]
    litres = meter.register_at(WATER, moment) - less
    telegram = {
        "_": "telegram",
        "media": "cold water",
        "meter": meter.model,
        "name": name,
        "id": f"{meter.number:08d}",
        "total_m3": litres / 1000,
        "status": "OK",
        "timestamp": f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    yield _topic(meter), json.dumps(telegram)


def _smartmeter(meter: Meter, moment: int, less: int) -> Iterator[Sent]:
    """Give a gateway's quantities, one a topic: Wh and W as floats, Unix seconds."""
    quantities: Mapping[str, tuple[str, int]] = {
        "ACTIVE_ENERGY_P": ("1.8.0", meter.register_at(ACTIVE, moment) - less),
        "ACTIVE_POWER_P": ("1.7.0", meter.present(moment)["active_power_import"]),
    }
    for name, (obis, value) in quantities.items():
        payload = {"value": float(value), "timestamp": moment, "obis": obis}
        yield f"{_topic(meter)}/{name}", json.dumps(payload)


def _chirpstack(meter: Meter, moment: int, less: int) -> Iterator[Sent]:
    """Give a LoRaWAN water meter's uplink as ChirpStack v4 publishes it: protobuf's JSON.

    The meter's decoder gives one total, in the field that the mapping ``water-total`` names; the
    network had it two seconds later.
    """
    parts = _topic(meter).split("/")
    received = datetime.fromtimestamp(moment + 2, UTC)
    event = {
        "deduplicationId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{meter.mrid}/{moment}")),
        "time": f"{received:%Y-%m-%dT%H:%M:%S}.250000+00:00",
        "deviceInfo": {
            "tenantId": "simulated", "tenantName": "simulated", "applicationId": parts[1],
            "applicationName": "meters", "deviceProfileName": meter.model,
            "deviceName": meter.mrid, "devEui": parts[3], "tags": {},
        },
        "devAddr": f"{meter.number:08x}", "adr": True, "dr": 3, "fCnt": moment // 3600 % 65536,
        "fPort": 1, "confirmed": False, "data": "AA==",
        "object": {"total_m3": (meter.register_at(WATER, moment) - less) / 1000},
        "rxInfo": [], "txInfo": {},
    }  # fmt: skip
    yield _topic(meter), json.dumps(event)


def _topic(meter: Meter) -> str:
    return str(meter.address["topic"])


CONVENTIONS: Final[Mapping[str, Callable[[Meter, int, int], Iterator[Sent]]]] = {
    "wmbusmeters": _wmbusmeters,
    "smartmeter": _smartmeter,
    "chirpstack": _chirpstack,
}
"""Payload conventions that can be simulated, by profile."""
