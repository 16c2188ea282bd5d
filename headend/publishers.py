"""Finds the end device behind each published message, and lands what the message says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import psycopg

from drivers.mqtt import mapping, payloads
from drivers.mqtt.payload import Delivery, Message, Rejected
from drivers.mqtt.setting import Known, Setting
from headend import edges, landing, quarantine, sampling
from headend.directory import Directory, Publisher
from headend.edges import Edges
from headend.landing_rows import Answer
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


def land_singly(
    connection: Connection,
    messages: Sequence[Message],
    directory: Directory,
    *,
    now: datetime,
    known: Edges | None = None,
) -> Heard:
    """Land as ``land`` does, and put aside each message that the database refuses.

    For a batch that it refused as a whole: one message must not keep the others from landing.
    """
    known = known or Edges()
    done = Heard(0, 0)
    for message in messages:
        try:
            with connection.transaction():
                heard = land(connection, [message], directory, now=now, known=known)
        except psycopg.OperationalError:
            raise
        except psycopg.DatabaseError as error:
            quarantine.put(connection, [_aside(message, _refusal(error), {})])
            heard = Heard(0, 1)
        done = Heard(done.registers + heard.registers, done.quarantined + heard.quarantined)
    return done


def replay(connection: Connection, rows: Sequence[Row], now: datetime) -> dict[int, Outcome]:
    """Try messages from the quarantine again, with the registry and the decoders of today.

    What is new lands as if it had just been received; each row's own share of it is told. A row
    that the database refuses stays, and keeps no other from landing.
    """
    try:
        with connection.transaction():
            return _replay(connection, rows, now)
    except psycopg.OperationalError:
        raise
    except psycopg.DatabaseError as error:
        if len(rows) == 1:
            return {rows[0].id: Outcome(None, _refusal(error).reason)}
        return {row.id: replay(connection, [row], now)[row.id] for row in rows}


def _refusal(error: psycopg.DatabaseError) -> Rejected:
    return Rejected(f"the database refuses it: {str(error).splitlines()[0][:300]}")


def _replay(connection: Connection, rows: Sequence[Row], now: datetime) -> dict[int, Outcome]:
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
    publisher: Publisher
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


def _checked(message: Message, delivery: Delivery, publisher: Publisher) -> _Read | Rejected | None:
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
    publisher: Publisher | None,
    aliases: Mapping[int, Known],
) -> Delivery | Rejected:
    setting = directory.setting(publisher) if publisher else Setting()
    if isinstance(setting, Rejected):
        return setting
    return payloads.decode(message, replace(setting, aliases=aliases) if aliases else setting)
