"""Finds the end device behind each published message, and lands what the message says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from drivers.mqtt import mapping, payloads
from drivers.mqtt.mapping import BadMapping, FieldMap
from drivers.mqtt.payload import Delivery, Message, Rejected
from drivers.mqtt.setting import Known, Setting
from headend import edges, landing, quarantine, sampling
from headend.edges import Edges
from headend.landing import Answer
from headend.quarantine import Aside, Outcome, Row
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.reading import RegisterReading
from schemas.settings import Settings

_SQL = statements.load("headend", "listener.sql")

KIND: Final = "mqtt"
"""The source of what lands, and the kind of what is put aside."""


_MOST_TOPICS: Final = 100_000


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
    mapping: str | None

    def setting(self, mappings: Mappings) -> Setting:
        """Tell how its messages are to be read.

        Raises
        ------
        drivers.mqtt.mapping.BadMapping
        """
        mapping = mappings.named(self.mapping) if self.mapping else None
        return Setting(ZoneInfo(self.time_zone), mapping)


class Mappings:
    """Mappings by name, each read once; those of a folder of one's own come first."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._read: dict[str, FieldMap] = {}

    def named(self, name: str) -> FieldMap:
        """Find a mapping.

        Raises
        ------
        drivers.mqtt.mapping.BadMapping
        """
        if name not in self._read:
            self._read[name] = mapping.named(name, self._folder)
        return self._read[name]


class Directory:
    """Publishers by each name that a topic or a payload may call them."""

    def __init__(self, publishers: Iterable[_Publisher], folder: Path | None = None) -> None:
        every = list(publishers)
        self._mappings = Mappings(folder)
        self._settings: dict[int, Setting | Rejected] = {}
        self._topics: dict[str, _Publisher] = {}
        # Meters' numbers are written in hexadecimal, in either case.
        self._serials = {one.serial.casefold(): one for one in every if one.serial}
        # The registry's topic is written last: it is what somebody chose.
        self._names = {one.serial: one for one in every if one.serial}
        self._names |= {one.mrid: one for one in every}
        self._names |= {one.topic: one for one in every if one.topic}

    @classmethod
    def load(cls, connection: Connection) -> Directory:
        """Load the end devices of the registry that publish."""
        found = [_Publisher(*row) for row in connection.execute(_SQL["listening_devices"])]
        return cls(found, Settings().mappings)

    def of_topic(self, topic: str) -> _Publisher | None:
        """Find who publishes under a topic: by the whole of it, or by one of its levels."""
        known = self._names.get(topic) or self._topics.get(topic)
        if known is None:
            known = next(filter(None, map(self._names.get, topic.split("/"))), None)
            if known is not None and len(self._topics) < _MOST_TOPICS:
                self._topics[topic] = known
        return known

    def of(self, delivery: Delivery, topic: str) -> _Publisher | Rejected:
        """Find whose readings a delivery has, or why it cannot be told."""
        last = delivery.identity.rpartition("/")[2]
        found = self._names.get(topic) or self._names.get(delivery.identity)
        found = found or self._names.get(last)
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

    def setting(self, publisher: _Publisher) -> Setting | Rejected:
        """Tell how a publisher's messages are to be read, or why they cannot be."""
        if publisher.id not in self._settings:
            try:
                self._settings[publisher.id] = publisher.setting(self._mappings)
            except BadMapping as error:
                self._settings[publisher.id] = Rejected(f"{publisher.mrid}: {error}")
        return self._settings[publisher.id]

    def _of_serial(self, serial: str) -> _Publisher | None:
        return self._serials.get(serial.casefold()) or self._names.get(serial)


def land(
    connection: Connection,
    messages: Sequence[Message],
    directory: Directory,
    *,
    now: datetime,
    known: Edges | None = None,
) -> Heard:
    """Land what messages say; what cannot be read or placed goes to the quarantine.

    The caller owns the transaction; messages that come again change nothing.

    Parameters
    ----------
    known : Sparkplug's edge nodes as they were before; changed by what the messages say
    """
    known = known or Edges()
    readings: dict[int, list[RegisterReading]] = defaultdict(list)
    asides: list[Aside] = []
    for message in messages:
        aliases = known.hear(message)
        read = _read(message, directory, aliases)
        if isinstance(read, Rejected):
            asides.append(_aside(message, read, aliases))
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
    read = {
        row.id: _read(
            Message(row.subject, row.payload, row.received_at),
            directory,
            edges.aliases(row.context),
        )
        for row in rows
    }
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


def _aside(message: Message, rejected: Rejected, aliases: Mapping[int, Known]) -> Aside:
    return Aside(
        KIND, message.topic, message.payload, rejected.reason, message.received_at, kind=KIND,
        context=edges.context(message, aliases),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Read:
    publisher: _Publisher
    readings: Sequence[RegisterReading]


def _read(
    message: Message, directory: Directory, aliases: Mapping[int, Known]
) -> _Read | Rejected | None:
    """Decode a message and find whose it is; None where it has nothing for anybody."""
    known = directory.of_topic(message.topic)
    delivery = _decoded(message, directory, known, aliases)
    if isinstance(delivery, Rejected):
        return delivery
    if not delivery.readings and not delivery.unmapped:
        return None
    publisher = directory.of(delivery, message.topic)
    if isinstance(publisher, Rejected):
        return publisher
    if publisher is not known:
        # Only the payload told whose it is, and so how it is to be read.
        delivery = _decoded(message, directory, publisher, aliases)
        if isinstance(delivery, Rejected):
            return delivery
    return _checked(message, delivery, publisher)


def _checked(
    message: Message, delivery: Delivery, publisher: _Publisher
) -> _Read | Rejected | None:
    """Compare what the registry says of the publisher with what came."""
    convention = payloads.of_topic(message.topic)
    if convention is None or convention.name != publisher.profile:
        return Rejected(
            f"{publisher.mrid} has the profile {publisher.profile!r} in the registry, and this"
            f" topic is of {convention.name if convention else 'none'!r}; correct one of them"
        )
    if delivery.unmapped:
        return Rejected(
            f"{publisher.mrid} needs mapping=NAME in its address: which fields are which readings;"
            f" there are {', '.join(mapping.names())}, or a file of your own (docs/formats.md)"
        )
    if not delivery.readings:
        return None
    return _Read(publisher, sampling.place(delivery.readings, publisher.interval_seconds))


def _decoded(
    message: Message,
    directory: Directory,
    publisher: _Publisher | None,
    aliases: Mapping[int, Known],
) -> Delivery | Rejected:
    setting = directory.setting(publisher) if publisher else Setting()
    if isinstance(setting, Rejected):
        return setting
    return payloads.decode(message, replace(setting, aliases=aliases) if aliases else setting)
