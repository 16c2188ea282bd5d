"""Finds the end device behind each published message, and lands what the message says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from drivers.mqtt import payloads
from drivers.mqtt.payload import Delivery, Message, Rejected
from headend import landing, quarantine, sampling
from headend.landing import Answer
from headend.quarantine import Aside, Outcome, Row
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.reading import RegisterReading

_SQL = statements.load("headend", "listener.sql")

KIND: Final = "mqtt"
"""The source of what lands, and the kind of what is put aside."""


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
    """Publishers by each name that a topic or a payload may call them."""

    def __init__(self, publishers: Iterable[_Publisher]) -> None:
        every = list(publishers)
        # Meters' numbers are written in hexadecimal, in either case.
        self._serials = {one.serial.casefold(): one for one in every if one.serial}
        # The registry's topic is written last: it is what somebody chose.
        self._names = {one.serial: one for one in every if one.serial}
        self._names |= {one.mrid: one for one in every}
        self._names |= {one.topic: one for one in every if one.topic}

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
        told = self._of_serial(delivery.serial)
        found = found or told
        if found is None:
            return Rejected(
                f"no end device has the topic, mRID or serial {delivery.identity!r}; import it"
                " into the registry"
            )
        if (
            found.serial
            and delivery.serial
            and found.serial.casefold() != delivery.serial.casefold()
        ):
            return Rejected(
                f"the message is of meter {delivery.serial!r}, and {found.mrid} has serial"
                f" {found.serial!r} in the registry; was it exchanged?"
            )
        if told is not None and told is not found:
            return Rejected(
                f"the topic is that of {found.mrid}, and the message is of {told.mrid} (serial"
                f" {delivery.serial!r}); correct the gateway, or the registry"
            )
        return found

    def _of_serial(self, serial: str) -> _Publisher | None:
        return self._serials.get(serial.casefold()) or self._names.get(serial)


def land(
    connection: Connection, messages: Sequence[Message], directory: Directory, *, now: datetime
) -> Heard:
    """Land what messages say; what cannot be read or placed goes to the quarantine.

    The caller owns the transaction; messages that come again change nothing.
    """
    readings: dict[int, list[RegisterReading]] = defaultdict(list)
    asides: list[Aside] = []
    for message in messages:
        read = _read(message, directory)
        if isinstance(read, Rejected):
            asides.append(_aside(message, read))
        elif read is not None:
            readings[read.publisher.id] += read.readings
    answers = [Answer(device, registers=found) for device, found in sorted(readings.items())]
    landed = landing.land(connection, answers, source=KIND, now=now)
    quarantine.put(connection, asides)
    connection.execute(_SQL["heard"], {"ids": sorted(readings), "now": now})
    return Heard(sum(one.registers for one in landed.values()), len(asides))


def replay(connection: Connection, rows: Sequence[Row], now: datetime) -> dict[int, Outcome]:
    """Try messages from the quarantine again, with the registry and the decoders of today.

    What is new lands as if it had just been received; each row's own share of it is told.
    """
    directory = Directory.load(connection)
    messages = {row.id: Message(row.subject, row.payload, row.received_at) for row in rows}
    read = {number: _read(message, directory) for number, message in messages.items()}
    found = {number: one for number, one in read.items() if isinstance(one, _Read)}
    fresh = _fresh(connection, found)
    answers = [Answer(one.publisher.id, registers=one.readings) for one in found.values()]
    landing.land(connection, answers, source=KIND, now=now)
    return {number: _outcome(one, fresh.get(number, 0)) for number, one in read.items()}


def _outcome(read: _Read | Rejected | None, fresh: int) -> Outcome:
    if isinstance(read, Rejected):
        return Outcome(None, read.reason)
    if read is None:
        return Outcome("known", resolution="nothing in it has a reading type")
    what = f"{len(read.readings)} readings of {read.publisher.mrid}, {fresh} of them new"
    return Outcome("landed" if fresh else "known", resolution=what)


def _fresh(connection: Connection, found: Mapping[int, _Read]) -> dict[int, int]:
    """Count how many readings of each message are not in the raw store, nor in one before it."""
    keys = {
        number: [_key(one.publisher.id, r) for r in one.readings] for number, one in found.items()
    }
    every = [key for some in keys.values() for key in some]
    columns = zip(*every, strict=True) if every else [()] * 5
    names = ("devices", "types", "read_at", "values", "qualities")
    wanted = {name: list(column) for name, column in zip(names, columns, strict=True)}
    known = {tuple(row) for row in connection.execute(_SQL["known_registers"], wanted)}
    fresh: dict[int, int] = {}
    for number, some in keys.items():
        new = set(some) - known
        fresh[number] = len(new)
        known |= new
    return fresh


def _key(device: int, one: RegisterReading) -> tuple[int, int, datetime, int, int]:
    return (device, reading_type.named(one.reading_type).id, one.read_at, one.value, one.quality)


def _aside(message: Message, rejected: Rejected) -> Aside:
    return Aside(
        KIND, message.topic, message.payload, rejected.reason, message.received_at, kind=KIND
    )


@dataclass(frozen=True, slots=True)
class _Read:
    publisher: _Publisher
    readings: Sequence[RegisterReading]


def _read(message: Message, directory: Directory) -> _Read | Rejected | None:
    """Decode a message and find whose it is; None where it has nothing for anybody."""
    known = directory.of_topic(message.topic)
    delivery = _decoded(message, known)
    if isinstance(delivery, Rejected):
        return delivery
    if not delivery.readings:
        return None
    publisher = directory.of(delivery, message.topic)
    if isinstance(publisher, Rejected):
        return publisher
    if publisher is not known:
        # Only the payload told whose it is, and so how it is to be read.
        delivery = _decoded(message, publisher)
        if isinstance(delivery, Rejected):
            return delivery
    return _Read(publisher, sampling.place(delivery.readings, publisher.interval_seconds))


def _decoded(message: Message, publisher: _Publisher | None) -> Delivery | Rejected:
    zone = ZoneInfo(publisher.time_zone if publisher else "UTC")
    return payloads.decode(message, zone=zone)
