"""Serial lines that do not exist: pseudo-terminals with simulated meters at their other ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final

_READ: Final = 65_536
_SPEEDS: Final = {
    300: termios.B300,
    600: termios.B600,
    1200: termios.B1200,
    2400: termios.B2400,
    4800: termios.B4800,
    9600: termios.B9600,
    19200: termios.B19200,
    115200: termios.B115200,
}


class SerialLine:
    """A serial port under a path, and what answers there.

    A client that has set another speed than the meter's hears and says nothing that makes sense.

    Parameters
    ----------
    path : where the port appears; it is removed at the end
    receive : takes bytes, gives answers
    baud : at which the meters talk at a moment
    """

    def __init__(
        self, path: Path, receive: Callable[[bytes], bytes], baud: Callable[[], int]
    ) -> None:
        self._path = path
        self._receive, self._baud = receive, baud
        self._master, self._slave = os.openpty()
        self._loop = asyncio.get_running_loop()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(self._slave))
        self._loop.add_reader(self._master, self._read)

    def close(self) -> None:
        """Take the port away."""
        self._loop.remove_reader(self._master)
        self._path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)

    def _read(self) -> None:
        data = os.read(self._master, _READ)
        in_step = termios.tcgetattr(self._master)[5] == _SPEEDS.get(self._baud())
        answer = self._receive(data if in_step else bytes(len(data)))
        if not in_step:
            answer = bytes(len(answer))
        # Nobody waits on a serial line: what the other end has no room for is lost.
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, answer)
