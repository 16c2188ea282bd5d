"""Takes what meters publish over MQTT and lands it; acknowledged only when it is committed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
import structlog

from drivers.errors import DriverError
from drivers.mqtt import broker as brokers
from drivers.mqtt import payloads
from drivers.mqtt.broker import Broker
from drivers.mqtt.formats import sparkplug_wire
from drivers.mqtt.subscriber import Batch, Subscriber
from headend import edges, publishers, quarantine
from headend.directory import Directory
from headend.edges import Edges
from schemas import database
from schemas.database import Connection

_log = structlog.get_logger(__name__)
_WAIT_SECONDS = 0.5
# Half of what the broker may send ahead: while these land, the next come in.
_AT_ONCE = 1000
_LONGEST_PAUSE = 30.0
# The registry is looked at this often; sooner, but not for every stray message, for a new name.
_DIRECTORY_SECONDS = 60.0
_STRANGER_SECONDS = 1.0
_FIRST_PRUNE_SECONDS = 3600.0
_DAY_SECONDS = 86_400.0
TOPICS = tuple(topic for one in payloads.FORMATS.values() for topic in one.topics)


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been heard: messages, new register readings, and messages put aside."""

    messages: int = 0
    registers: int = 0
    quarantined: int = 0


class Listener:
    """Listens to a broker until it is stopped.

    Parameters
    ----------
    broker : where it is, or mqtt://host:port
    client_id : names the session that the broker keeps while we are away; one listener at a time
    topics : filters; those of every payload convention by default
    clock : gives the time of receipt, aware, UTC
    """

    def __init__(
        self,
        url: str,
        broker: Broker | str,
        *,
        client_id: str = "miqyas",
        topics: Sequence[str] = TOPICS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._broker = broker if isinstance(broker, Broker) else brokers.parse(broker)
        self._client_id = client_id
        self._topics = topics
        self._clock = clock
        self._stopping = threading.Event()
        self._subscribed = threading.Event()
        self._changed = threading.Condition()
        self._counts = Counts()
        self._directory = Directory(())
        self._loaded = -math.inf
        self._troubles: set[str] = set()
        self._edges = Edges()
        # A listener that only starts over and over does not delete.
        self._prune_at = time.monotonic() + _FIRST_PRUNE_SECONDS
        self._asked_at: dict[str, float] = {}
        self._inbound: Subscriber | None = None
        self._failure: BaseException | None = None

    @property
    def counts(self) -> Counts:
        """What has been heard and committed up to now."""
        return self._counts

    @property
    def waiting(self) -> int:
        """How many messages are in memory and not yet taken; the broker holds back the others."""
        return len(self._inbound) if self._inbound is not None else 0

    def stop(self) -> None:
        """Ask the listener to stop; what it has not committed comes again next time."""
        self._stopping.set()

    def run(self) -> None:
        """Listen until stopped.

        Raises
        ------
        drivers.errors.DriverError
            if the broker cannot be reached at the start, or does not let us in.
        """
        try:
            self._run()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._subscribed.set()

    def wait_for(self, messages: int, *, seconds: float) -> bool:
        """Wait until so many messages are committed; tell whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: self._counts.messages >= messages, seconds)

    def wait_until_subscribed(self) -> None:
        """Wait until the broker keeps messages for us.

        Raises
        ------
        drivers.errors.DriverError
            what ``run`` raised, if it could not subscribe.
        """
        self._subscribed.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        subscriber = Subscriber(
            self._broker,
            client_id=self._client_id,
            topics=self._topics,
            # A session keeps what an earlier listener subscribed to.
            unwanted=sorted(set(TOPICS) - set(self._topics)),
            clock=self._clock,
        )
        with subscriber as inbound:
            self._inbound = inbound
            _log.info("listener.started", broker=str(self._broker))
            self._subscribed.set()
            while not self._stopping.is_set():
                batch = inbound.take(size=_AT_ONCE, wait=_WAIT_SECONDS)
                self._watch(inbound)
                self._prune()
                if batch is not None and self._land(batch):
                    batch.acknowledge()
        _log.info("listener.stopped", messages=self._counts.messages)

    def _watch(self, inbound: Subscriber) -> None:
        """Say once when the broker is lost, with each new reason, and once when it is back."""
        trouble = inbound.trouble
        if trouble and trouble not in self._troubles:
            self._troubles.add(trouble)
            _log.warning("listener.broker.lost", broker=str(self._broker), reason=trouble)
        elif self._troubles and not trouble:
            self._troubles.clear()
            _log.info("listener.broker.back", broker=str(self._broker))

    def _prune(self) -> None:
        """Delete what is old in the quarantine, once a day; if the database is away, next time."""
        if time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + _DAY_SECONDS
        try:
            with database.connect(self._url) as connection:
                gone = quarantine.prune(connection, now=self._clock())
        except psycopg.OperationalError as error:
            _log.warning("listener.database.away", reason=str(error).strip())
        else:
            _log.info("listener.quarantine.pruned", rows=gone)

    def _land(self, batch: Batch) -> bool:
        """Commit a batch, however long the database is away; False if stopped before that."""
        pause, land = 0.5, publishers.land
        while not self._stopping.is_set():
            try:
                self._commit(batch, land)
            except psycopg.OperationalError as error:
                _log.warning("listener.database.away", reason=str(error).strip())
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            except psycopg.DatabaseError as error:
                if land is publishers.land_singly:
                    raise
                _log.error("listener.batch.refused", reason=str(error).strip())
                self._loaded = -math.inf
                land = publishers.land_singly
            else:
                return True
        return False

    def _commit(self, batch: Batch, land: Callable[..., publishers.Heard]) -> None:
        # Told again if this does not commit.
        known = self._edges.copy()
        with database.connect(self._url) as connection:
            directory = self._known(connection, batch)
            heard = land(connection, batch.messages, directory, now=self._clock(), known=known)
        self._edges = known
        self._ask(known)
        self._count(len(batch), heard)

    def _ask(self, known: Edges) -> None:
        """Ask Sparkplug's edge nodes for the birth certificates that are missing."""
        now = time.monotonic()
        for topic in edges.unasked(known.asked, self._asked_at, now):
            _log.info("listener.rebirth.asked", topic=topic)
            if self._inbound is not None:
                milliseconds = int(self._clock().timestamp() * 1000)
                self._inbound.publish(topic, sparkplug_wire.rebirth(milliseconds))

    def _known(self, connection: Connection, batch: Batch) -> Directory:
        """Load the directory again when it is old, or does not know a topic."""
        age = time.monotonic() - self._loaded
        strange = any(not self._directory.of_topic(one.topic) for one in batch.messages)
        if age > _DIRECTORY_SECONDS or (strange and age > _STRANGER_SECONDS):
            self._directory = Directory.load(connection)
            self._loaded = time.monotonic()
        return self._directory

    def _count(self, messages: int, heard: publishers.Heard) -> None:
        with self._changed:
            before = self._counts
            self._counts = replace(
                before,
                messages=before.messages + messages,
                registers=before.registers + heard.registers,
                quarantined=before.quarantined + heard.quarantined,
            )
            self._changed.notify_all()


@contextmanager
def running(
    url: str,
    broker: Broker | str,
    *,
    client_id: str = "miqyas",
    topics: Sequence[str] = TOPICS,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Listener]:
    """Listen in a thread for the length of a block; subscribed when the block begins.

    Raises
    ------
    drivers.errors.DriverError
        if the broker cannot be reached or does not let us in.
    """
    listener = Listener(url, broker, client_id=client_id, topics=topics, clock=clock)

    def listen() -> None:
        try:
            listener.run()
        except DriverError as error:
            # The world's doing: the reason says it all.
            _log.error("listener.failed", reason=str(error))
        except Exception:  # noqa: BLE001  it is kept, and raised to whoever waits
            _log.exception("listener.failed")

    thread = threading.Thread(target=listen, name="miqyas-listener")
    thread.start()
    try:
        listener.wait_until_subscribed()
        yield listener
    finally:
        listener.stop()
        thread.join()
