"""Takes what meters push over DLMS and lands it; confirmed only when it is committed."""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import psycopg
import structlog

from drivers.dlms.push_inbox import Inbox, Received
from drivers.dlms.push_lines import Limits
from drivers.dlms.push_receiver import Address, Receiver
from headend import keys, push_replies, push_salvage, pushes, replayers, unknown_devices
from headend.counters import Source
from headend.push_reading import Read
from headend.pushes import Batch, Desk, Heard
from schemas import database
from schemas.database import Connection

T = TypeVar("T")

_log = structlog.get_logger(__name__)
_WAIT_SECONDS: Final = 0.5
_LINGER_SECONDS: Final = 0.5
_MOST_AT_ONCE: Final = 10_000
_LONGEST_PAUSE: Final = 30.0
_REPLAY_SECONDS: Final = 10.0
_TELL_SECONDS: Final = 60.0
# Peers that send no frames are told of so many times a minute, and counted beyond that.
_MOST_WARNINGS: Final = 10
_NOTHING: Final = Batch([], Read())


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been heard and committed.

    Attributes
    ----------
    pushes : all that came whole
    registers, intervals, events : how many were new
    refused : pushes by why they were refused (``headend.push_opening.Kind``)
    unplaced : pushes of which a part could not be taken
    """

    pushes: int = 0
    registers: int = 0
    intervals: int = 0
    events: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unplaced: int = 0

    def plus(self, heard: Heard) -> Counts:
        """Add a batch."""
        return Counts(
            self.pushes + len(heard.pushes),
            self.registers + heard.registers,
            self.intervals + heard.intervals,
            self.events + heard.events,
            self.refused + heard.refused,
            self.unplaced + heard.unplaced,
        )


class PushListener:
    """Listens at addresses for the length of a ``with`` block; ``run`` lands what comes.

    Parameters
    ----------
    clock : gives the time of receipt, aware, UTC
    linger : longest wait for a batch to become larger [s]

    Raises
    ------
    drivers.errors.LinkError
        on entering, if an address cannot be listened at.
    headend.vault.VaultError
        if the master key cannot be used.
    """

    def __init__(
        self,
        url: str,
        addresses: Sequence[Address],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        limits: Limits | None = None,
        inbox: Inbox | None = None,
        linger: float = _LINGER_SECONDS,
    ) -> None:
        self._url, self._clock, self._linger = url, clock, linger
        self._desk = Desk(keys.open_vault())
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._counts = Counts()
        self._ready: queue.Queue[Batch | None] = queue.Queue(maxsize=1)
        self._failure: BaseException | None = None
        self._warnings = 0
        self._replayed = self._told = time.monotonic()
        self.receiver = Receiver(
            addresses,
            clock=lambda: round(clock().timestamp() * 1_000_000),
            limits=limits,
            inbox=inbox,
            refused=self._refused,
        )

    @property
    def counts(self) -> Counts:
        """What has been heard and committed up to now."""
        return self._counts

    def stop(self) -> None:
        """Ask the listener to stop once it has landed what has come."""
        self._stopping.set()
        self.receiver.inbox.close()

    def wait_for(self, count: int, *, seconds: float) -> bool:
        """Wait until so many pushes are committed; tell whether they are.

        Raises what ended ``run``, if anything did: a deaf listener must not look alive.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._counts.pushes >= count or self._failure, seconds)
        if self._failure is not None:
            raise self._failure
        return self._counts.pushes >= count

    def run(self) -> None:
        """Land what comes until stopped: one batch is read while the one before it lands."""
        lander = threading.Thread(target=self._land_all, name="miqyas-push-lander")
        try:
            with database.kept_open(self._url):
                lander.start()
                try:
                    self._read_all()
                finally:
                    self._hand_over(None)
                    lander.join()
        except BaseException as error:
            self._fail(error)
            raise

    def _read_all(self) -> None:
        inbox = self.receiver.inbox
        while self._failure is None and (not self._stopping.is_set() or len(inbox)):
            received = inbox.take(_MOST_AT_ONCE, wait=_WAIT_SECONDS, linger=self._linger)
            if received:
                self._read(received)

    def _read(self, received: Sequence[Received]) -> None:
        batch = self._persist(lambda c: pushes.prepared(c, received, self._desk))
        if batch is None:
            _log.error("push.lost", pushes=len(received))
        else:
            self._hand_over(batch)

    def _hand_over(self, batch: Batch | None) -> None:
        """Wait until the batch before is taken; whoever failed takes none any more."""
        handed = False
        while not handed and self._failure is None:
            with suppress(queue.Full):
                self._ready.put(batch, timeout=_WAIT_SECONDS)
                handed = True

    def _land_all(self) -> None:
        try:
            with Source(self._url) as counters:
                while (batch := self._next()) is not None:
                    if batch.pushes:
                        self._land(batch, counters)
                    self._now_and_then()
        except BaseException as error:  # noqa: BLE001  it is kept, and raised to whoever waits
            _log.exception("push.failed")
            self._fail(error)

    def _next(self) -> Batch | None:
        """Give the next batch, an empty one if none comes for a while, None at the end."""
        try:
            return self._ready.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            return _NOTHING

    def _land(self, batch: Batch, counters: Source) -> None:
        """Commit a batch, however long the database is away, and confirm it."""
        vault = self._desk.vault
        heard = self._persist(lambda c: push_salvage.landed(c, batch, vault, self._clock()))
        if heard is None:
            _log.error("push.lost", pushes=len(batch.pushes))
            return
        with self._changed:
            self._counts = self._counts.plus(heard)
            self._changed.notify_all()
        try:
            push_replies.confirm(heard.pushes, counters)
        except psycopg.OperationalError as error:
            # They are sent again, refused as heard before, and confirmed then.
            _log.warning("push.unconfirmed", reason=str(error).strip())

    def _persist(self, work: Callable[[Connection], T]) -> T | None:
        """Do something in a transaction until it is done; None if we are to stop before that."""
        pause = _WAIT_SECONDS
        while True:
            try:
                with database.connect(self._url) as connection:
                    return work(connection)
            except psycopg.OperationalError as error:
                _log.warning("push.database.away", reason=str(error).strip())
                if self._stopping.wait(pause):
                    return None
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()

    def _now_and_then(self) -> None:
        """Try again what was kept of meters that were registered since; tell how things go."""
        now = time.monotonic()
        if now - self._replayed > _REPLAY_SECONDS:
            self._replayed = now
            replay_registered(self._url, now=self._clock)
        if now - self._told > _TELL_SECONDS:
            self._told, self._warnings = now, 0
            self.tell("push.heard")

    def tell(self, event: str) -> None:
        """Log the counts."""
        counts, traffic = self._counts, self.receiver.traffic
        _log.info(
            event, pushes=counts.pushes, registers=counts.registers, intervals=counts.intervals,
            events=counts.events, refused=dict(counts.refused), connections=traffic.open,
            broken=traffic.broken, timed_out=traffic.timed_out, turned_away=traffic.turned_away,
            waiting=len(self.receiver.inbox), dropped=self.receiver.dropped(),
        )  # fmt: skip

    def _refused(self, host: str, reason: str) -> None:
        self._warnings += 1
        if self._warnings <= _MOST_WARNINGS:
            _log.warning("push.broken", host=host, reason=reason)


def replay_registered(url: str, *, now: Callable[[], datetime]) -> int:
    """Try again what was kept of unknown devices that the registry has by now; count what landed.

    A device is noted as registered in the transaction before: if we are stopped between the two,
    ``miqyas quarantine replay`` finds its pushes.
    """
    with database.connect(url) as connection:
        known = unknown_devices.registered(connection, now=now())
    landed = 0
    for kind, identity in known:
        done = replayers.replay(
            url, now=now, kinds=[pushes.KIND], subject=unknown_devices.subject(kind, identity)
        )
        landed += done.fates["landed"]
        _log.info("push.registered", kind=kind, identity=identity, replayed=done.tried,
                  landed=done.fates["landed"])  # fmt: skip
    return landed


@contextmanager
def running(
    url: str,
    addresses: Sequence[Address],
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    limits: Limits | None = None,
    inbox: Inbox | None = None,
    linger: float = _LINGER_SECONDS,
) -> Iterator[PushListener]:
    """Listen in threads for the length of a block.

    Raises
    ------
    drivers.errors.LinkError
        if an address cannot be listened at.
    """
    listener = PushListener(url, addresses, clock=clock, limits=limits, inbox=inbox, linger=linger)

    def listen() -> None:
        try:
            listener.run()
        except Exception:  # noqa: BLE001  it is kept, and raised to whoever waits
            _log.exception("push.failed")

    thread = threading.Thread(target=listen, name="miqyas-push-listener")
    try:
        with listener.receiver as receiver:
            _log.info("push.started", addresses=[str(one) for one in receiver.addresses],
                      udp_buffers=receiver.buffers)  # fmt: skip
            thread.start()
            yield listener
    finally:
        # Nothing comes in any more; what has come still lands.
        if thread.ident is not None:
            listener.stop()
            thread.join()
            listener.tell("push.stopped")
