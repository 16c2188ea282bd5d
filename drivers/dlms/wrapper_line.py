"""APDUs in the wrapper: over TCP, where all arrives once, and over UDP, where nothing is sure."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from drivers import errors
from drivers.dlms import wrapper
from drivers.dlms.line_settings import LineSettings
from drivers.stream import Stream

_AARQ, _AARE, _RLRQ, _RLRE = 0x60, 0x61, 0x62, 0x63
_EXCEPTION, _SERVICE_ERROR = 0xD8, 0x0E
_COUNTER_ERROR: Final = 6
_PART: Final = b"\xe0"
_INVOKE_ID: Final = 0x0F
# GET, SET and ACTION with their answers, whose third octet has the invoke id, when it is plain.
_ANSWERS: Final = {0xC0: 0xC4, 0xC1: 0xC5, 0xC3: 0xC7}
# Only the last few answers can still be on their way; their invoke ids are all different.
_REMEMBERED: Final = 8
_MOST_PASSED_OVER: Final = 64


class Wrapped:
    """A TCP connection that carries APDUs in the wrapper."""

    ends_associations: Final = False

    def __init__(
        self,
        line: Stream[wrapper.Frame],
        client: int,
        server: int,
        settings: LineSettings,
        seconds: float,
    ) -> None:
        self._line = line
        self._client, self._server = client, server
        self._route = settings.route
        self._retries = settings.retries
        self._seconds = seconds

    async def exchange(self, apdu: bytes) -> bytes:
        """Send an APDU and give the next that comes."""
        self._send(apdu)
        return await self.receive()

    async def burst(self, apdus: Sequence[bytes]) -> bytes | None:
        """Send APDUs and give the next that comes, None if none does."""
        for apdu in apdus:
            self._send(apdu)
        frame = await self._line.wait(self._seconds)
        return None if frame is None else self._taken(frame)

    async def receive(self) -> bytes:
        """Give the next APDU."""
        return self._taken(await self._line.receive())

    async def leave(self) -> None:
        """Do nothing: the association's release says goodbye."""

    def abandon(self, release: bytes) -> None:
        """Send the release."""
        self._send(release)

    def close(self) -> None:
        """Close the connection after what was sent has left."""
        self._line.close()

    def _send(self, apdu: bytes) -> None:
        self._line.send(self._framed(apdu))

    def _framed(self, apdu: bytes) -> bytes:
        frame = wrapper.Frame(self._client, self._server, self._route.out(apdu))
        return wrapper.encode(frame)

    def _taken(self, frame: wrapper.Frame) -> bytes:
        if frame.source != self._server or frame.destination != self._client:
            raise errors.OutOfStep(
                f"an answer from {frame.source} to client {frame.destination} came where "
                f"{self._server} was to answer client {self._client}"
            )
        return self._route.back(frame.apdu)


class Datagrams(Wrapped):
    """Datagrams that carry one APDU each in the wrapper.

    What is not answered is sent again as it was, with the same invoke id and the same invocation
    counter: a meter that has it already does nothing twice. An answer that comes late, or again,
    is passed over.
    """

    def __init__(
        self,
        line: Stream[wrapper.Frame],
        client: int,
        server: int,
        settings: LineSettings,
        seconds: float,
    ) -> None:
        super().__init__(line, client, server, settings, seconds)
        self._heard: deque[bytes] = deque(maxlen=_REMEMBERED)
        # Requests that were sent again: each may yet be answered, or refused as already answered.
        self._repeated = 0
        self._refused = False
        self._asked = b""

    async def exchange(self, apdu: bytes) -> bytes:
        """Send an APDU until it is answered, as often as the settings allow.

        Raises
        ------
        TimedOut
            if it is never answered.
        Broken
            if the meter has answered it, and says so, but the answer was lost.
        """
        self._refused, self._asked = False, apdu
        for attempt in range(self._retries + 1):
            self._repeated = min(self._repeated + bool(attempt), _MOST_PASSED_OVER)
            self._send(apdu)
            answer = await self._answer(self._seconds / (self._retries + 1))
            if answer is not None:
                return answer
        if self._refused:
            raise errors.Broken(
                f"the answer from {self._line.where} was lost, and the meter, which refuses a "
                "request that it has had, does not repeat it"
            )
        raise errors.TimedOut(
            f"no answer from {self._line.where} in {self._seconds:g} s, asked "
            f"{self._retries + 1} times"
        )

    async def burst(self, apdus: Sequence[bytes]) -> bytes | None:
        """Send APDUs, and give the next that comes and was not heard before."""
        for apdu in apdus:
            self._asked = apdu
            self._send(apdu)
        return await self._answer(self._seconds / (self._retries + 1))

    async def receive(self) -> bytes:
        """Give the next APDU that was not heard before.

        Raises
        ------
        TimedOut
            if none comes.
        """
        answer = await self._answer(self._seconds)
        if answer is None:
            raise errors.TimedOut(f"no answer from {self._line.where} in {self._seconds:g} s")
        return answer

    async def _answer(self, seconds: float) -> bytes | None:
        """Wait for the answer to what was asked last, None if it does not come in time."""
        deadline = time.monotonic() + seconds
        for _ in range(_MOST_PASSED_OVER):
            left = deadline - time.monotonic()
            frame = await self._line.wait(left) if left > 0 else None
            if frame is None:
                return None
            try:
                answer = self._taken(frame)
            except errors.OutOfStep:
                continue
            if not self._is_stale(answer):
                self._heard.append(answer)
                return answer
        return None

    def _is_stale(self, answer: bytes) -> bool:
        """Tell whether an APDU answers an earlier request, or the same one for the second time."""
        # Of parts, whoever joins them knows which came before; others are the same by right.
        if answer in self._heard and answer[:1] != _PART:
            return True
        if answer[:1] == bytes((_EXCEPTION,)):
            if self._repeated and answer[2:3] == bytes((_COUNTER_ERROR,)):
                self._repeated -= 1
                self._refused = True
                return True
            return False
        return not _may_answer(self._asked, answer)


def _may_answer(request: bytes, answer: bytes) -> bool:
    """Tell whether an APDU can be the answer to a request, by its tag and its invoke id."""
    asked, said = request[:1], answer[:1]
    if not asked or not said or said[0] == _SERVICE_ERROR:
        return True
    for question, reply in ((_AARQ, _AARE), (_RLRQ, _RLRE)):
        if (asked[0] == question) != (said[0] == reply):
            return False
    plain = {reply: question for question, reply in _ANSWERS.items()}
    if said[0] not in plain:
        return True
    same = request[2:3] and answer[2:3] and (request[2] ^ answer[2]) & _INVOKE_ID == 0
    return plain[said[0]] == asked[0] and bool(same)
