"""Who publishes: the registry's end devices, by each name that topics and payloads call them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from drivers.mqtt import mapping
from drivers.mqtt.mapping import BadMapping, FieldMap
from drivers.mqtt.payload import Delivery, Rejected
from drivers.mqtt.setting import Setting
from schemas import statements
from schemas.database import Connection
from schemas.settings import Settings

_SQL = statements.load("headend", "listener.sql")
_MOST_TOPICS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Publisher:
    """An end device that publishes, as the registry has it; ``mapping`` is a name."""

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

    def __init__(self, publishers: Iterable[Publisher], folder: Path | None = None) -> None:
        every = list(publishers)
        self._mappings = Mappings(folder)
        self._settings: dict[int, Setting | Rejected] = {}
        self._topics: dict[str, Publisher] = {}
        # Meters' numbers are written in hexadecimal, in either case.
        self._serials = {one.serial.casefold(): one for one in every if one.serial}
        # The registry's topic is written last: it is what somebody chose.
        self._names = {one.serial: one for one in every if one.serial}
        self._names |= {one.mrid: one for one in every}
        self._names |= {one.topic: one for one in every if one.topic}

    @classmethod
    def load(cls, connection: Connection) -> Directory:
        """Load the end devices of the registry that publish."""
        found = [Publisher(*row) for row in connection.execute(_SQL["listening_devices"])]
        return cls(found, Settings().mappings)

    def of_topic(self, topic: str) -> Publisher | None:
        """Find who publishes under a topic: by the whole of it, or by one of its levels."""
        known = self._names.get(topic) or self._topics.get(topic)
        if known is None:
            known = next(filter(None, map(self._names.get, topic.split("/"))), None)
            if known is not None and len(self._topics) < _MOST_TOPICS:
                self._topics[topic] = known
        return known

    def of(self, delivery: Delivery, topic: str) -> Publisher | Rejected:
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

    def setting(self, publisher: Publisher) -> Setting | Rejected:
        """Tell how a publisher's messages are to be read, or why they cannot be."""
        if publisher.id not in self._settings:
            try:
                self._settings[publisher.id] = publisher.setting(self._mappings)
            except BadMapping as error:
                self._settings[publisher.id] = Rejected(f"{publisher.mrid}: {error}")
        return self._settings[publisher.id]

    def _of_serial(self, serial: str) -> Publisher | None:
        return self._serials.get(serial.casefold()) or self._names.get(serial)
