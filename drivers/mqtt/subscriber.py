"""A subscription that loses nothing: messages are acknowledged when the caller says they are safe.

::

    with Subscriber(broker, client_id="head-end-1", topics=topics, clock=clock) as inbound:
        for batch in inbound.batches():
            land(batch.messages)        # durable when this returns
            batch.acknowledge()

The broker keeps the session while we are away. What was not acknowledged comes again, so what lands
twice must be the same as what lands once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Self

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from drivers import errors
from drivers.mqtt import broker as brokers
from drivers.mqtt import tls
from drivers.mqtt.broker import Broker
from drivers.mqtt.inbox import Inbox, Received
from drivers.mqtt.payload import Message

Version = Literal["5", "3.1.1"]

_KEEPALIVE_SECONDS: Final = 30
_SESSION_SECONDS: Final = 14 * 86_400
_RECONNECT_SECONDS: Final = (1, 30)
_LARGEST_WINDOW: Final = 65_535
_STEP_SECONDS: Final = 3600.0
_MISREAD_SECONDS: Final = 3.0
_ALERT_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that belong together only by when they came."""

    messages: tuple[Message, ...]
    _acknowledge: Callable[[], None] = field(repr=False)

    def __len__(self) -> int:
        return len(self.messages)

    def acknowledge(self) -> None:
        """Tell the broker that these messages are durable here; it forgets them.

        If the connection they came by is gone the broker sends them again instead.
        """
        self._acknowledge()


class Subscriber:
    """A persistent session with a broker, for threads (``with``) and asyncio (``async with``).

    Parameters
    ----------
    client_id : the session's name at the broker; one process at a time may use it
    topics : filters to subscribe to, QoS 1
    unwanted : filters that the session may have from before, and is to lose
    clock : gives the time that messages are received at, aware
    version : MQTT 5, and 3.1.1 where the broker does not know 5; or 3.1.1 at once
    limit : most messages that are in memory and not yet taken; with MQTT 5 also the most that
        the broker sends ahead of their acknowledgements
    timeout : longest wait for the connection [s]

    Raises
    ------
    Refused, Unreachable, TimedOut
        on entering, if the broker cannot be reached. Later losses are repaired in the background.
    AccessDenied
        on entering or taking, if the broker does not let us in or subscribe.
    UnknownIssuer, WrongName, Expired, Untrusted
        on entering, if the broker does not prove who it is.
    drivers.mqtt.tls.BadFile
        on making one, if a file of certificates or keys cannot be used.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        topics: Sequence[str],
        clock: Callable[[], datetime],
        unwanted: Sequence[str] = (),
        version: Version = "5",
        limit: int = 2000,
        timeout: float = 10.0,
    ) -> None:
        self._broker, self._client_id, self._topics = broker, client_id, tuple(topics)
        self._unwanted = list(unwanted)
        self._context = tls.context(broker.tls) if broker.tls else None
        self._clock, self._version, self._timeout = clock, version, timeout
        self._inbox = Inbox(min(limit, _LARGEST_WINDOW))
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._connection = 0
        self._settled = threading.Event()
        self._refused = ""
        self._subscribed = False
        self._trouble = ""
        self._hung_up = False

    @property
    def trouble(self) -> str:
        """Why the broker cannot reach us now; empty while it can."""
        return "" if self.connected else self._trouble or "the connection is lost"

    @property
    def connected(self) -> bool:
        """Whether the broker can reach us now."""
        return self._client is not None and self._client.is_connected()

    def __len__(self) -> int:
        return len(self._inbox)

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._close)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send a message once, if the broker can be reached now (QoS 0)."""
        if self._client is not None:
            self._client.publish(topic, payload, qos=0)

    def take(self, *, size: int = 500, wait: float = 1.0, linger: float = 0.05) -> Batch | None:
        """Take what has come.

        Parameters
        ----------
        size : most messages
        wait : longest wait for the first one [s]
        linger : longest wait for the rest once there is one [s]

        Returns
        -------
        a batch; None if nothing came in time
        """
        self._inbox.wait(1, wait)
        if len(self._inbox):
            self._inbox.wait(size, linger)
        return self._batch(self._inbox.take(size))

    async def take_async(
        self, *, size: int = 500, wait: float = 1.0, linger: float = 0.05
    ) -> Batch | None:
        """Take as ``take`` does, and let other tasks run while waiting."""
        await self._inbox.wait_async(1, wait)
        if len(self._inbox):
            await self._inbox.wait_async(size, linger)
        return self._batch(self._inbox.take(size))

    def batches(self, *, size: int = 500, linger: float = 0.05) -> Iterator[Batch]:
        """Give batches as they come, until the subscriber is closed."""
        while not self._inbox.closed:
            batch = self.take(size=size, wait=_STEP_SECONDS, linger=linger)
            if batch is not None:
                yield batch

    async def batches_async(self, *, size: int = 500, linger: float = 0.05) -> AsyncIterator[Batch]:
        """Give batches as they come, until the subscriber is closed."""
        while not self._inbox.closed:
            batch = await self.take_async(size=size, wait=_STEP_SECONDS, linger=linger)
            if batch is not None:
                yield batch

    def _batch(self, received: Sequence[Received]) -> Batch | None:
        if not received:
            return None
        messages = tuple(one.message for one in received)
        return Batch(messages, lambda: self._acknowledge(received))

    def _acknowledge(self, received: Sequence[Received]) -> None:
        """Acknowledge in the order of arrival (MQTT 3.1.1, §4.6)."""
        with self._lock:
            for one in received:
                # A packet id means another message on another connection; QoS 0 has none, and a
                # broker hangs up on who acknowledges packet 0.
                current = one.packet_id and one.connection == self._connection
                if self._client is not None and current:
                    self._client.ack(one.packet_id, 1)

    def _open(self) -> None:
        # A broker that does not know MQTT 5 may say so, or wait for the rest of what it misreads.
        if self._version == "5" and self._connect("5", min(self._timeout, _MISREAD_SECONDS)):
            return
        if self._version == "3.1.1" or self._refused in ("", brokers.UNSUPPORTED):
            self._stop()
            if self._connect("3.1.1", self._timeout):
                return
        self._stop()
        if self._refused:
            raise brokers.refusal(self._broker, self._refused)
        self._inbox.take(1)  # raises what the broker said to the subscription
        if self._context is not None:
            host, port = self._broker.host, self._broker.port
            tls.alert(host, port, self._context, str(self._broker), seconds=_ALERT_SECONDS)
        if self._hung_up:
            raise errors.HungUp(f"{self._broker} closed the connection before it answered")
        raise errors.TimedOut(f"{self._broker}: no answer in {self._timeout:g} s")

    def _connect(self, version: Version, seconds: float) -> bool:
        """Try one version; tell whether the subscription stands."""
        self._refused, self._hung_up = "", False
        self._settled.clear()
        client = self._client = self._made(version)
        try:
            self._dial(client, version)
        except OSError as error:
            raise self._named(error) from error
        client.loop_start()
        self._settled.wait(seconds)
        return self._subscribed

    def _named(self, error: OSError) -> errors.DriverError:
        """Name the reason why no connection could be made."""
        if isinstance(error, ConnectionRefusedError):
            return errors.Refused(f"{self._broker} refused the connection")
        named = tls.failure(error, str(self._broker)) if self._context is not None else None
        return named or errors.Unreachable(f"{self._broker}: {error}")

    def _made(self, version: Version) -> Client:
        five = version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
        )
        client.connect_timeout = self._timeout
        client.reconnect_delay_set(*_RECONNECT_SECONDS)
        if self._context is not None:
            client.tls_set_context(self._context)
        if self._broker.user is not None:
            client.username_pw_set(self._broker.user, self._broker.password)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _dial(self, client: Client, version: Version) -> None:
        host, port = self._broker.host, self._broker.port
        if version == "3.1.1":
            client.connect(host, port, _KEEPALIVE_SECONDS)
            return
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = _SESSION_SECONDS
        properties.ReceiveMaximum = self._inbox.limit
        client.connect(host, port, _KEEPALIVE_SECONDS, clean_start=False, properties=properties)

    def _close(self) -> None:
        self._inbox.close()
        self._stop()

    def _stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    # What follows runs in the library's thread.

    def _on_connect(
        self, client: Client, _: object, flags: ConnectFlags, reason: ReasonCode, *__: object
    ) -> None:
        if reason.is_failure:
            self._refused = reason.getName()
            if self._subscribed:
                self._fail_for_good(brokers.refusal(self._broker, self._refused))
            self._settled.set()
            return
        if flags.session_present and self._unwanted:
            client.unsubscribe(self._unwanted)
        client.subscribe([(topic, 1) for topic in self._topics])
        if flags.session_present:
            # What waited for us comes at once, and may hold up the answer to the subscription.
            self._subscribed = True
            self._settled.set()

    def _on_connect_fail(self, *_: object) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            self._trouble = str(self._named(error))

    def _on_subscribe(
        self, _: Client, __: object, ___: int, reasons: list[ReasonCode], *____: object
    ) -> None:
        denied = [
            topic for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure
        ]
        if denied:
            self._inbox.fail(
                errors.AccessDenied(f"{self._broker} refused to subscribe to {', '.join(denied)}")
            )
        else:
            self._subscribed = True
        self._settled.set()

    def _on_message(self, _: Client, __: object, arrived: MQTTMessage) -> None:
        message = Message(_topic(arrived), bytes(arrived.payload), self._clock())
        packet_id = arrived.mid if arrived.qos else 0
        self._inbox.put(Received(message, packet_id, self._connection))

    def _on_disconnect(
        self, client: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, *____: object
    ) -> None:
        with self._lock:
            self._connection += 1
        self._inbox.forget()
        # The library's word for a connection that just ended.
        self._trouble = reason.getName().replace("Unspecified error", "the connection is lost")
        if client is self._client and not self._subscribed:
            self._hung_up = True
            self._settled.set()
        if reason.getName() == "Session taken over":
            self._fail_for_good(
                errors.AccessDenied(
                    f"{self._broker}: another process took over client id {self._client_id!r}"
                )
            )

    def _fail_for_good(self, failure: errors.DriverError) -> None:
        """Hand a failure to the caller if trying again cannot help."""
        if isinstance(failure, errors.LinkError):
            return
        self._inbox.fail(failure)
        if self._client is not None:
            self._client.disconnect()


def _topic(arrived: MQTTMessage) -> str:
    """Give the topic; empty, and so matched by no convention, where it is not UTF-8."""
    try:
        return arrived.topic
    except UnicodeDecodeError:
        return ""
