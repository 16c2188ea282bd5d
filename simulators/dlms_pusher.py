"""Sends what simulated DLMS meters push, each from its own address, over TCP or UDP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from simulators import dlms_push
from simulators.clock import Clock
from simulators.dlms_model import DlmsModel
from simulators.meter import Meter

_PATIENCE_SECONDS: Final = 10.0
_FIRST_COUNTER: Final = 0x4000_0000


class Pusher:
    """All DLMS meters of a fleet that push.

    Parameters
    ----------
    target : where the listener is: ``tcp://host:port`` or ``udp://host:port``

    Raises
    ------
    ValueError
        if the target is no such address.
    """

    port = 0

    def __init__(self, meters: Sequence[Meter], clock: Clock, target: str) -> None:
        url = urlsplit(target)
        if url.scheme not in ("tcp", "udp") or not url.hostname or not url.port:
            raise ValueError(f"{target!r} is no address such as tcp://127.0.0.1:4059")
        self.published = 0
        self._clock = clock
        self._upto = clock.seconds - 1
        # Sessions count in models of their own; no counter is used by both.
        self._models = [DlmsModel(meter, own_counter=_FIRST_COUNTER) for meter in meters]
        self._kind = socket.SOCK_STREAM if url.scheme == "tcp" else socket.SOCK_DGRAM
        self._target = (url.hostname, url.port)

    async def catch_up(self) -> int:
        """Push everything that became due, in the order of time; give the total since the start.

        Raises
        ------
        OSError
            if nobody listens at the target.
        """
        after, self._upto = self._upto, self._clock.seconds
        await asyncio.to_thread(self._send, dlms_push.due(self._models, after, self._upto))
        return self.published

    async def close(self) -> None:
        """Do nothing: no connection is kept."""

    def _send(self, frames: Iterable[tuple[Meter, bytes]]) -> None:
        for meter, frame in frames:
            with socket.socket(socket.AF_INET, self._kind) as line:
                line.settimeout(_PATIENCE_SECONDS)
                line.bind((meter.host, 0))
                line.connect(self._target)
                line.sendall(frame)
            self.published += 1
