"""A serial port as a transport of asyncio: opened, set, written and read without blocking."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import serial

from drivers.errors import LocalProtocolError, Refused, Unreachable

Parity = Literal["N", "E", "O"]

_BUSY: Final = frozenset({errno.EAGAIN, errno.EBUSY})
_READ: Final = 4096


@dataclass(frozen=True, slots=True)
class Characters:
    """How characters travel on a serial line.

    Attributes
    ----------
    baud : [bit/s]
    bits : data bits of a character, 7 or 8
    parity : none, even or odd
    stop : stop bits, 1 or 2
    """

    baud: int = 9600
    bits: int = 8
    parity: Parity = "N"
    stop: int = 1

    def seconds(self, count: int) -> float:
        """Give how long characters take on the line [s]."""
        return count * (1 + self.bits + (self.parity != "N") + self.stop) / self.baud


def open_port(path: str, characters: Characters) -> serial.Serial:
    """Open a port for us alone.

    Raises
    ------
    Refused
        if another program has it.
    Unreachable
        if there is no such port, or this account may not use it.
    LocalProtocolError
        if the port cannot be set so.
    """
    try:
        # Without the lock two programs would share the meter's answers between them.
        return serial.Serial(
            path, characters.baud, characters.bits, characters.parity, characters.stop,
            timeout=0, write_timeout=0, exclusive=True,
        )  # fmt: skip
    except (ValueError, termios.error) as error:
        raise _unsettable(path, characters, error) from error
    except OSError as error:
        raise _failure(path, error) from error


class SerialTransport(asyncio.Transport):
    """The two ends of an open port for a protocol of asyncio; made in a running loop."""

    def __init__(self, port: serial.Serial, protocol: asyncio.Protocol) -> None:
        super().__init__({"serial": port})
        self._port = port
        self._file = port.fileno()
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray()
        self._closing = self._gone = False
        self._loop.call_soon(protocol.connection_made, self)
        self._loop.add_reader(self._file, self._read)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes from now on to another protocol."""
        if not isinstance(protocol, asyncio.Protocol):
            raise TypeError("a serial port needs a protocol of streams")
        self._protocol = protocol

    def get_protocol(self) -> asyncio.Protocol:
        """Give the protocol that bytes go to."""
        return self._protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; what the port does not take at once is sent as it does."""
        if self._closing:
            return
        waited = bool(self._waiting)
        self._waiting += data
        if not waited:
            self._write()

    def pause_reading(self) -> None:
        """Leave bytes in the port's own buffer."""
        self._loop.remove_reader(self._file)

    def resume_reading(self) -> None:
        """Read again."""
        if not self._closing:
            self._loop.add_reader(self._file, self._read)

    def is_closing(self) -> bool:
        """Tell whether the port is closed, or will be when all is sent."""
        return self._closing

    def close(self) -> None:
        """Close the port after what was written has left."""
        if self._closing:
            return
        self._closing = True
        self._loop.remove_reader(self._file)
        if not self._waiting:
            self._finish(None)

    def abort(self) -> None:
        """Close the port at once."""
        self._closing = True
        self._finish(None)

    @property
    def unsent(self) -> int:
        """Bytes that have not left the machine yet."""
        return len(self._waiting) + (0 if self._gone else self._port.out_waiting)

    def set_characters(self, characters: Characters) -> None:
        """Set the line's characters anew; what has not left yet is lost or garbled.

        Raises
        ------
        LocalProtocolError
            if the port cannot be set so.
        """
        settings = {
            "baudrate": characters.baud,
            "bytesize": characters.bits,
            "parity": characters.parity,
            "stopbits": characters.stop,
        }
        try:
            self._port.apply_settings(settings)
        except (ValueError, OSError, termios.error) as error:
            raise _unsettable(str(self._port.port), characters, error) from error

    def _read(self) -> None:
        try:
            data = os.read(self._file, _READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._finish(error)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._finish(OSError(errno.EIO, "the port has gone"))

    def _write(self) -> None:
        try:
            sent = os.write(self._file, self._waiting)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as error:
            self._finish(error)
            return
        del self._waiting[:sent]
        if self._waiting:
            self._loop.add_writer(self._file, self._write)
            return
        self._loop.remove_writer(self._file)
        if self._closing:
            self._finish(None)

    def _finish(self, error: Exception | None) -> None:
        if self._gone:
            return
        self._gone = self._closing = True
        self._waiting.clear()
        self._loop.remove_reader(self._file)
        self._loop.remove_writer(self._file)
        self._port.close()
        tell: Callable[[Exception | None], None] = self._protocol.connection_lost
        self._loop.call_soon(tell, error)


def _unsettable(path: str, characters: Characters, error: Exception) -> LocalProtocolError:
    how = f"{characters.baud} baud {characters.bits}{characters.parity}{characters.stop}"
    return LocalProtocolError(f"the serial port {path} cannot be set to {how}: {error}; correct it")


def _failure(path: str, error: OSError) -> Refused | Unreachable:
    if error.errno in _BUSY:
        return Refused(f"the serial port {path} is in use by another program; end that first")
    if error.errno == errno.EACCES:
        return Unreachable(f"this account may not use the serial port {path}; add it to its group")
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Unreachable(f"no serial port at {path}: {reason}; check the path and the cable")
