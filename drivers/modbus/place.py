"""Where a Modbus line begins: an address on the network, or a serial port of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from drivers import stream
from drivers.modbus import answer, rtu
from drivers.modbus.answer import Said
from drivers.serial_port import Characters, Parity
from drivers.stream import Stream

Framing = Literal["tcp", "rtu"]
"""How requests are wrapped: Modbus TCP, or the frames of a serial line as they are."""

Answers = answer.Answers | rtu.Answers

# Modbus over Serial Line V1.02, §2.5.1.1: frames stand 3.5 characters apart, above 19,200 bit/s
# 1.75 ms whatever the speed. Whole characters are counted here, and one of them for the port.
_APART_CHARACTERS: Final = 5
_APART_SECONDS: Final = 0.00175
_LONGEST_FRAME: Final = 256

_SERIAL: Final = ("baud", "bits", "parity", "stop")


@dataclass(frozen=True, slots=True)
class Place:
    """A line's beginning; meters at the same place share one line.

    Attributes
    ----------
    host, port : network address; empty and 0 for a serial line
    framing : always ``rtu`` on a serial line
    path, characters : serial port, such as ``/dev/ttyUSB0``, and how characters travel on it
    """

    host: str = ""
    port: int = 0
    framing: Framing = "tcp"
    path: str = ""
    characters: Characters | None = None

    @property
    def name(self) -> str:
        """Name the place in messages."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def pause(self) -> float:
        """Silence that parts two frames [s]."""
        if self.characters is None:
            return 0.0
        return max(self.characters.seconds(_APART_CHARACTERS), _APART_SECONDS)

    @property
    def on_the_way(self) -> float:
        """Time that the longest request and answer take on a serial line [s]."""
        return self.characters.seconds(2 * _LONGEST_FRAME) if self.characters else 0.0

    def answers(self, after: int = 0) -> Answers:
        """Give what makes requests and finds their answers.

        Parameters
        ----------
        after : number of the last transaction before, where there are such numbers
        """
        return answer.Answers(after) if self.framing == "tcp" else rtu.Answers()

    async def open(self, answers: Answers, seconds: float) -> Stream[Said]:
        """Make the connection, or open the port.

        Raises
        ------
        drivers.errors.DriverError
            if that is not possible in time; see ``drivers.stream``.
        """
        if self.characters is not None:
            return await stream.open_serial(self.path, self.characters, answers, timeout=seconds)
        return await stream.connect(self.host, self.port, answers, timeout=seconds)


def of(host: str, port: int, address: Mapping[str, int | str]) -> Place:
    """Find the place that a meter's address in the registry means.

    ``line=/dev/ttyUSB0;baud=9600;parity=N`` is a serial line (``bits`` 8 and ``stop`` 1 unless
    said); else the host and port count, with ``framing=rtu`` for frames of a serial line over TCP.

    Raises
    ------
    ValueError
        naming the entry that is wrong.
    """
    path = str(address.get("line", ""))
    if path:
        if address.get("framing", "rtu") != "rtu":
            raise ValueError("address framing=tcp does not go with line=: serial lines speak rtu")
        return Place(framing="rtu", path=path, characters=_characters(address))
    if strange := [name for name in _SERIAL if name in address]:
        raise ValueError(f"address {strange[0]}= needs line=, the path of a serial port")
    framing = address.get("framing", "tcp")
    if framing not in get_args(Framing):
        known = ", ".join(get_args(Framing))
        raise ValueError(f"address framing={framing} is none of {known}")
    return Place(host=host, port=port, framing=cast(Framing, framing))


def _characters(address: Mapping[str, int | str]) -> Characters:
    parity = str(address.get("parity", "N")).upper()
    if parity not in get_args(Parity):
        raise ValueError(f"address parity={parity} is none of {', '.join(get_args(Parity))}")
    return Characters(
        baud=_number(address, "baud", 9600, range(50, 4_000_001)),
        bits=_number(address, "bits", 8, range(8, 9)),
        parity=cast(Parity, parity),
        stop=_number(address, "stop", 1, range(1, 3)),
    )


def _number(address: Mapping[str, int | str], name: str, usual: int, allowed: range) -> int:
    value = address.get(name, usual)
    if not isinstance(value, int) or value not in allowed:
        raise ValueError(f"address {name}={value} is none of {allowed[0]} … {allowed[-1]}")
    return value
