"""Notifications out of what comes over TCP or UDP: the first octet shows how they are framed.

Meters and gateways push over the wrapper, and over HDLC or M-Bus frames that a serial gateway hands
on as they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from drivers.dlms import hdlc, mbus, wrapper
from drivers.dlms.block_transfer import Joiner
from drivers.errors import RemoteProtocolError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Sent(NamedTuple):
    """One APDU, and the wrapper ports of its sender and its receiver, 0 where it has none."""

    apdu: bytes
    source: int = 0
    destination: int = 0

    @property
    def answerable(self) -> bool:
        """Whether its framing can carry an answer back."""
        return self.source > 0


class _Framing(Protocol[T_co]):
    """Cuts a stream into APDUs, by one framing."""

    @property
    def waiting(self) -> int:
        """Bytes that came and are in no APDU yet."""

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""

    def next(self) -> T_co | None:
        """Give the next whole APDU, None while it has not come whole."""


class PushStream:
    """Cuts what one peer sends over TCP into APDUs; holds one unfinished APDU at most.

    Parameters
    ----------
    joiner : joins APDUs that come in parts, by general block transfer
    """

    __slots__ = ("_framing", "_joiner")

    def __init__(self, joiner: Joiner | None = None) -> None:
        self._framing: _Framing[Sent] | None = None
        self._joiner = joiner or Joiner()

    @property
    def waiting(self) -> int:
        """Bytes that came and are in no APDU yet."""
        return self._framing.waiting if self._framing else 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        if data:
            self._framing = self._framing or _FRAMINGS.get(data[0], _Unknown)()
            self._framing.feed(data)

    def next(self) -> Sent | None:
        """Give the next whole APDU, None while it has not come whole.

        Raises
        ------
        RemoteProtocolError
            if the bytes are framed in no way that meters push by, or a frame is damaged.
        """
        while self._framing and (sent := self._framing.next()) is not None:
            whole = self._joiner.feed(sent.apdu)
            if whole is sent.apdu:
                return sent
            if whole is not None:
                return sent._replace(apdu=whole)
        return None


class Joiners:
    """Joins what peers send by UDP in parts, each datagram with one; the last peers are kept."""

    def __init__(self) -> None:
        self._of: OrderedDict[object, Joiner] = OrderedDict()

    def of(self, peer: object) -> Joiner:
        """Give a peer's joiner."""
        joiner = self._of.pop(peer, None) or Joiner()
        self._of[peer] = joiner
        if len(self._of) > _MOST_PEERS:
            self._of.popitem(last=False)
        return joiner


# Each may hold a quarter of a megabyte in parts.
_MOST_PEERS: Final = 64


def datagram(data: bytes, joiner: Joiner | None = None) -> list[Sent]:
    """Give the APDUs of one UDP datagram.

    Parameters
    ----------
    joiner : of the peer, whose APDUs may come in parts, a datagram each; then there may be none yet

    Raises
    ------
    RemoteProtocolError
        if it holds no whole frames, or anything beside them.
    """
    stream = PushStream(joiner)
    stream.feed(data)
    whole = list(iter(stream.next, None))
    # HDLC keeps the flag that ends a frame: it may begin the next one.
    if not (whole or (data and joiner)) or stream.waiting > 1:
        raise RemoteProtocolError(f"a datagram of {len(data)} bytes is no whole frame")
    return whole


class _Wrapped:
    """The wrapper (IEC 62056-4-7)."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = wrapper.Frames()

    @property
    def waiting(self) -> int:
        return self._frames.waiting

    def feed(self, data: bytes) -> None:
        self._frames.feed(data)

    def next(self) -> Sent | None:
        frame = self._frames.next()
        return None if frame is None else Sent(frame.apdu, frame.source, frame.destination)


class _Joined(Generic[T]):
    """Frames whose contents are joined to APDUs: HDLC (type 3, IEC 62056-46), M-Bus (62056-7-3)."""

    __slots__ = ("_frames", "_join")

    def __init__(self, frames: _Framing[T], join: Callable[[T], bytes | None]) -> None:
        self._frames, self._join = frames, join

    @property
    def waiting(self) -> int:
        return self._frames.waiting

    def feed(self, data: bytes) -> None:
        self._frames.feed(data)

    def next(self) -> Sent | None:
        while (frame := self._frames.next()) is not None:
            if (apdu := self._join(frame)) is not None:
                return Sent(apdu)
        return None


def _hdlc() -> _Joined[hdlc.Frame]:
    return _Joined(hdlc.Frames(), hdlc.Apdus().join)


def _mbus() -> _Joined[mbus.Frame]:
    return _Joined(mbus.Frames(), mbus.Apdus().join)


class _Unknown:
    """What no framing begins with; it is refused, not kept."""

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first = 0

    @property
    def waiting(self) -> int:
        return 0

    def feed(self, data: bytes) -> None:
        self._first = self._first or data[0]

    def next(self) -> Sent | None:
        raise RemoteProtocolError(
            f"0x{self._first:02x} begins no frame that meters push by: "
            "neither wrapper, HDLC nor M-Bus"
        )


_FRAMINGS: Final[dict[int, Callable[[], _Framing[Sent]]]] = {
    0x00: _Wrapped,
    0x7E: _hdlc,
    0x68: _mbus,
}
