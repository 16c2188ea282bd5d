"""Finds the end device behind each published message, and lands what the message says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from drivers.mqtt import payloads
from drivers.mqtt.payload import Delivery, Message, Rejected
from headend import landing, sampling
from headend.landing import Answer
from schemas import statements
from schemas.database import Connection
from schemas.reading import RegisterReading

_SQL = statements.load("headend", "listener.sql")
_SOURCE = "mqtt"


@dataclass(frozen=True, slots=True)
class Heard:
    """What a batch of messages came to: new register readings, and messages put aside."""

    registers: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class _Publisher:
    id: int
    mrid: str
    profile: str
    interval_seconds: int
    topic: str | None
    serial: str | None
    time_zone: str


class Directory:
    """Publishers by each name that a topic may call them."""

    def __init__(self, publishers: Iterable[_Publisher]) -> None:
        self._names: dict[str, _Publisher] = {}
        for publisher in publishers:
            for name in (publisher.serial, publisher.mrid, publisher.topic):
                if name:
                    # The registry's topic is written last: it is what somebody chose.
                    self._names[name] = publisher

    @classmethod
    def load(cls, connection: Connection) -> Directory:
        """Load the end devices of the registry that publish."""
        return cls(_Publisher(*row) for row in connection.execute(_SQL["listening_devices"]))

    def of_topic(self, topic: str) -> _Publisher | None:
        """Find who publishes under a topic: by the whole of it, or by one of its levels."""
        names = (topic, *topic.split("/"))
        return next((self._names[name] for name in names if name in self._names), None)

    def of(self, delivery: Delivery, topic: str) -> _Publisher | Rejected:
        """Find whose readings a delivery has, or why it cannot be told."""
        found = self._names.get(topic) or self._names.get(delivery.identity)
        found = found or self._names.get(delivery.serial)
        if found is None:
            return Rejected(
                f"no end device has the topic, mRID or serial {delivery.identity!r}; import it"
                " into the registry"
            )
        if found.serial and delivery.serial and found.serial != delivery.serial:
            return Rejected(
                f"the message is of meter {delivery.serial!r}, and {found.mrid} has serial"
                f" {found.serial!r} in the registry; was it exchanged?"
            )
        return found


def land(
    connection: Connection, messages: Sequence[Message], directory: Directory, *, now: datetime
) -> Heard:
    """Land what messages say; what cannot be read or placed goes to the quarantine.

    The caller owns the transaction; messages that come again change nothing.
    """
    readings: dict[int, list[RegisterReading]] = defaultdict(list)
    quarantined = 0
    for message in messages:
        read = _read(message, directory)
        if isinstance(read, Rejected):
            quarantined += 1
            landing.quarantine(
                connection, source=_SOURCE, subject=message.topic.replace("\0", "\ufffd"),
                payload=message.payload, reason=read.reason, now=now,
            )  # fmt: skip
        else:
            publisher, found = read
            readings[publisher.id] += sampling.place(found, publisher.interval_seconds)
    answers = [Answer(device, registers=found) for device, found in sorted(readings.items())]
    landed = landing.land(connection, answers, source=_SOURCE, now=now)
    connection.execute(_SQL["heard"], {"ids": sorted(readings), "now": now})
    return Heard(sum(one.registers for one in landed.values()), quarantined)


def _read(
    message: Message, directory: Directory
) -> tuple[_Publisher, tuple[RegisterReading, ...]] | Rejected:
    known = directory.of_topic(message.topic)
    zone = ZoneInfo(known.time_zone if known else "UTC")
    delivery = payloads.decode(message, zone=zone)
    if isinstance(delivery, Rejected):
        return delivery
    publisher = directory.of(delivery, message.topic)
    return publisher if isinstance(publisher, Rejected) else (publisher, delivery.readings)
