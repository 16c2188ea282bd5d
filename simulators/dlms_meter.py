"""Simulated DLMS meters on every line: an own server, because no DLMS server runs in Python.

What is spoken: the wrapper over TCP and UDP, HDLC over TCP and serial lines, the gateway protocol;
logical names; every mechanism but 2, suites 0 to 2, global, dedicated and general ciphering; GET
normal, with list and with blocks; selective access by range and by entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from simulators import dlms_hdlc, dlms_wrapper, line
from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.dlms_hdlc import Station
from simulators.dlms_model import DlmsModel
from simulators.dlms_wrapper import Datagrams
from simulators.line import Conversation, Lines
from simulators.meter import Meter
from simulators.mode_e import ModeE
from simulators.serial_line import SerialLine


async def serve(
    meters: Sequence[Meter], clock: Clock, *, port: int, serial_folder: Path = line.SERIAL_FOLDER
) -> DlmsLines:
    """Serve DLMS meters, each at its own address, or several behind one.

    Parameters
    ----------
    port : where all of them listen, TCP and UDP; 0 takes a free port
    serial_folder : where serial ports appear

    Raises
    ------
    OSError
        if the port is taken.
    """
    lines = DlmsLines(meters, clock, serial_folder)
    await lines.start(port)
    return lines


class DlmsLines(Lines):
    """The meters of a fleet, by the endpoint that they are behind."""

    def __init__(self, meters: Sequence[Meter], clock: Clock, serial_folder: Path) -> None:
        self._models = {meter: DlmsModel(meter) for meter in meters}
        self._behind: dict[tuple[str, str], list[Meter]] = defaultdict(list)
        for meter in meters:
            self._behind[_endpoint(meter)].append(meter)
        heads = [behind[0] for (kind, _), behind in self._behind.items() if kind == "tcp"]
        super().__init__(heads, clock, self._opened)
        self._serial_folder = serial_folder
        self._datagrams: list[Datagrams] = []
        self._serial: list[SerialLine] = []

    async def start(self, port: int) -> None:
        """Listen on the network, and make serial ports appear."""
        await super().start(port)
        for (kind, name), behind in self._behind.items():
            if kind == "udp":
                datagrams = Datagrams(behind[0], self.clock, partial(self._desk, behind))
                await dlms_wrapper.listen(line.endpoint(behind[0], self.port), datagrams)
                self._datagrams.append(datagrams)
            elif kind == "serial":
                self._serial.append(self._serial_line(name, behind))

    async def close(self) -> None:
        """Stop everything."""
        await super().close()
        for datagrams in self._datagrams:
            datagrams.close()
        for port in self._serial:
            port.close()

    def _desk(self, behind: Sequence[Meter]) -> Desk:
        return Desk([self._models[meter] for meter in behind], self.clock)

    def _opened(self, head: Meter) -> Conversation:
        """Begin a TCP client's talk with what is behind an endpoint."""
        behind = self._behind[_endpoint(head)]
        if head.address.get("framing") == "hdlc":
            return self._hdlc(behind)
        return dlms_wrapper.Talk(self._desk(behind))

    def _hdlc(self, behind: Sequence[Meter]) -> dlms_hdlc.Line:
        shared: dict[bytes, list[Meter]] = defaultdict(list)
        for meter in behind:
            shared[dlms_hdlc.address_of(meter)].append(meter)
        stations = {at: Station(own[0], self._desk(own)) for at, own in shared.items()}
        return dlms_hdlc.Line(stations, Noise(int(behind[0].options.get("noise", 0))).spoiled)

    def _serial_line(self, name: str, behind: Sequence[Meter]) -> SerialLine:
        head, bus = behind[0], self._hdlc(behind)
        path, baud = self._serial_folder / name, int(head.address.get("baud", 9600))
        if head.address.get("start") != "mode-e":
            return SerialLine(path, bus.receive, lambda: baud)
        device = str(head.address.get("sign_on", head.mrid))
        text = ModeE(bus, head.manufacturer[:3].upper(), device, baud)
        return SerialLine(path, text.receive, lambda: text.baud)


class Noise:
    """What a bad line does to the frames of both directions.

    Parameters
    ----------
    every : so many frames pass for one that does not pass well; 0 for a good line
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._passed = 0

    def spoiled(self, frame: bytes) -> bytes:
        """Give a frame as it arrives: mostly as it was sent, else damaged, lost, or twice."""
        self._passed += 1
        if not self._every or self._passed % self._every:
            return frame
        turn = self._passed // self._every
        middle = len(frame) // 2
        damaged = frame[:middle] + bytes((frame[middle] ^ 0x10,)) + frame[middle + 1 :]
        return (damaged, b"", frame + frame)[turn % 3]


def _endpoint(meter: Meter) -> tuple[str, str]:
    """Name what a meter is behind: the kind of line, and which."""
    address: Mapping[str, int | str] = meter.address
    if "line" in address:
        return "serial", str(address["line"])
    return ("udp" if address.get("framing") == "udp" else "tcp"), meter.host
