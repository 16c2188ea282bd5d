"""HDLC of the simulated DLMS meters, over TCP and serial lines (IEC 62056-46, clause 6.4).

A frame is flag, format (type 3 and its length), destination, source, control, header check,
information, check, flag. A meter answers when it is polled: with what it has to send from the
frame on that the client asks for, or with RR. It agrees to the sizes in its options
``information`` and ``window`` at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from simulators.dlms_desk import Desk
from simulators.meter import Meter

_FLAG: Final = b"\x7e"
_LLC: Final = (b"\xe6\xe6\x00", b"\xe6\xe7\x00")
_FINAL: Final = 0x10
_SNRM, _DISC, _UA, _DM, _FRMR = 0x83, 0x43, 0x63, 0x0F, 0x87
_TOO_LONG: Final = 4
_USUAL: Final = {5: 128, 6: 128, 7: 1, 8: 1}
_LONGEST_APDU: Final = 0xFFFF


@dataclass(frozen=True)
class _Frame:
    destination: bytes
    source: bytes
    control: int
    segmented: bool
    information: bytes


def address_of(meter: Meter) -> bytes:
    """Give the octets of a meter's HDLC address: logical device above, physical below."""
    upper, lower = int(meter.address.get("server", 1)), meter.address.get("physical")
    numbers = (upper,) if lower is None else (upper, int(lower))
    size = 1 if lower is None else 2 if max(numbers) < 0x80 else 4
    size = int(meter.address.get("address_size", size))
    if size == 1:
        return _octets(upper, 1, last=True)
    half = size // 2
    return _octets(upper, half, last=False) + _octets(int(lower or 0), half, last=True)


def _octets(number: int, size: int, *, last: bool) -> bytes:
    digits = [number % 128 * 2, number // 128 % 128 * 2][:size][::-1]
    digits[-1] += last
    return bytes(digits)


class Line:
    """What the meters on one HDLC line say; each hears all frames and answers its own.

    Parameters
    ----------
    stations : by address
    spoil : changes the frames that pass, as a bad line does
    """

    def __init__(
        self, stations: Mapping[bytes, Station], spoil: Callable[[bytes], bytes] = bytes
    ) -> None:
        self._stations = stations
        self._spoil = spoil
        self._waiting = b""

    @property
    def is_busy(self) -> bool:
        """Tell whether a client is connected."""
        return any(station.is_connected for station in self._stations.values())

    def receive(self, data: bytes) -> bytes:
        """Take bytes as they come; give the answers to whole frames that are right."""
        self._waiting += data
        answers = b""
        for octets in self._frames():
            frame = _parsed(self._spoil(octets))
            if frame is not None and frame.destination in self._stations:
                station = self._stations[frame.destination]
                answers += b"".join(self._spoil(one) for one in station.answers(frame))
        return answers

    def _frames(self) -> Iterator[bytes]:
        while True:
            start = self._waiting.find(_FLAG)
            self._waiting = self._waiting[start:] if start >= 0 else b""
            if self._waiting[1:2] == _FLAG:
                self._waiting = self._waiting[1:]
                continue
            if len(self._waiting) < 3:
                return
            end = 1 + (int.from_bytes(self._waiting[1:3], "big") & 0x7FF)
            if self._waiting[1] >> 4 != 0xA or end < 8:
                self._waiting = self._waiting[1:]
                continue
            if len(self._waiting) <= end:
                return
            octets, self._waiting = self._waiting[: end + 1], self._waiting[end:]
            yield octets


class Station:
    """One address on the line: its connection with one client at a time."""

    def __init__(self, meter: Meter, desk: Desk) -> None:
        self.is_connected = False
        self._meter = meter
        self._desk = desk
        self._address = address_of(meter)
        self._client = b""
        self._sizes = dict(_USUAL)
        self._reset()

    def _reset(self) -> None:
        self._expected = self._acknowledged = 0
        self._unsent: list[tuple[bytes, bool]] = []
        self._request = b""

    def answers(self, frame: _Frame) -> Iterator[bytes]:
        """Answer a frame."""
        kind = frame.control & ~_FINAL
        if kind == _SNRM:
            yield from self._connect(frame)
        elif not self.is_connected or frame.source != self._client:
            yield self._frame(frame.source, _DM | _FINAL)
        elif kind == _DISC:
            self.is_connected = False
            self._desk.hang_up()
            yield self._frame(frame.source, _UA | _FINAL)
        elif frame.control & 1 == 0:
            yield from self._hear(frame)
        elif frame.control & 3 == 1:
            self._take_acknowledgement(frame.control >> 5)
            if frame.control & _FINAL:
                yield from self._speak()

    def _connect(self, frame: _Frame) -> Iterator[bytes]:
        if self.is_connected and frame.source != self._client:
            yield self._frame(frame.source, _DM | _FINAL)
            return
        self._reset()
        self._desk.hang_up()
        self.is_connected, self._client = True, frame.source
        asked = {**_USUAL, **_parameters(frame.information)}
        longest = int(self._meter.options.get("information", 128))
        window = int(self._meter.options.get("window", 1))
        # What the client sends is what we receive.
        self._sizes = {
            5: min(asked[6], longest),
            6: min(asked[5], longest),
            7: min(asked[8], window),
            8: min(asked[7], window),
        }
        yield self._frame(frame.source, _UA | _FINAL, _written(self._sizes))

    def _hear(self, frame: _Frame) -> Iterator[bytes]:
        """Take an information frame; one out of turn is passed over, and asked for by RR."""
        if len(frame.information) > self._sizes[6]:
            told = bytes((frame.control, self._expected << 5, _TOO_LONG))
            yield self._frame(self._client, _FRMR | _FINAL, told)
            return
        self._take_acknowledgement(frame.control >> 5)
        if frame.control >> 1 & 7 == self._expected:
            self._expected = (self._expected + 1) % 8
            self._request = (self._request + frame.information)[: _LONGEST_APDU + 4]
            if not frame.segmented:
                self._answer()
        if frame.control & _FINAL:
            yield from self._speak()

    def _answer(self) -> None:
        """Put the answers to a whole request in line to be sent."""
        request, self._request = self._request, b""
        if request[:3] != _LLC[0]:
            return
        client, server = self._client[0] >> 1, int(self._meter.address.get("server", 1))
        for apdu in self._desk.answers(client, server, request[3:]):
            whole, size = _LLC[1] + apdu, self._sizes[5]
            for at in range(0, len(whole), size):
                self._unsent.append((whole[at : at + size], at + size < len(whole)))

    def _take_acknowledgement(self, expected: int) -> None:
        count = (expected - self._acknowledged) % 8
        if count <= min(len(self._unsent), self._sizes[7]):
            del self._unsent[:count]
            self._acknowledged = expected

    def _speak(self) -> Iterator[bytes]:
        """Send what has not arrived, as far as the window goes."""
        window = self._unsent[: self._sizes[7]]
        if not window:
            yield self._frame(self._client, self._expected << 5 | _FINAL | 1)
        for at, (information, segmented) in enumerate(window):
            number = (self._acknowledged + at) % 8
            last = _FINAL if at == len(window) - 1 else 0
            control = self._expected << 5 | last | number << 1
            yield self._frame(self._client, control, information, segmented=segmented)

    def _frame(
        self, client: bytes, control: int, information: bytes = b"", *, segmented: bool = False
    ) -> bytes:
        head = client + self._address + bytes((control,))
        length = len(head) + 4 + (len(information) + 2 if information else 0)
        body = (0xA000 + (0x800 if segmented else 0) + length).to_bytes(2, "big") + head
        if information:
            body += _check(body) + information
        return _FLAG + body + _check(body) + _FLAG


def _parsed(octets: bytes) -> _Frame | None:
    """Read a frame with its flags, None if a check does not fit."""
    body = octets[1:-1]
    if octets[-1:] != _FLAG or len(body) < 7 or _check(body[:-2]) != body[-2:]:
        return None
    ends = [at for at in range(2, min(len(body) - 2, 11)) if body[at] & 1][:2]
    if len(ends) < 2:
        return None
    control = ends[1] + 1
    head, rest = body[: control + 1], body[control + 1 : -2]
    if rest and _check(head) != rest[:2]:
        return None
    return _Frame(
        body[2 : ends[0] + 1],
        body[ends[0] + 1 : control],
        body[control],
        bool(body[0] & 8),
        rest[2:],
    )


def _parameters(information: bytes) -> dict[int, int]:
    """Read what a client proposes; behind the group's head stand names, lengths and values."""
    found, at = {}, 3
    while at + 1 < len(information):
        size = information[at + 1]
        value = int.from_bytes(information[at + 2 : at + 2 + size], "big")
        if value:
            found[information[at]] = value
        at += 2 + size
    return found


def _written(sizes: Mapping[int, int]) -> bytes:
    group = b"".join(
        bytes((name, width)) + sizes[name].to_bytes(width, "big")
        for name, width in ((5, 2), (6, 2), (7, 4), (8, 4))
    )
    return b"\x81\x80" + bytes((len(group),)) + group


def _check(octets: bytes) -> bytes:
    """Compute a check sequence of 16 bits (ISO/IEC 13239, annex A), bit by bit."""
    rest = 0xFFFF
    for octet in octets:
        rest ^= octet
        for _ in range(8):
            rest = rest >> 1 ^ 0x8408 if rest & 1 else rest >> 1
    return (rest ^ 0xFFFF).to_bytes(2, "little")
