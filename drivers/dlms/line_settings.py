"""What an endpoint's address says of the line to a DLMS meter (see ``docs/formats.md``).

``framing`` is ``wrapper`` (over TCP), ``udp`` (the wrapper over UDP) or ``hdlc`` (over TCP);
``line=/dev/ttyUSB0`` is a serial line with HDLC instead of the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal, cast, get_args

from drivers.dlms import hdlc, hdlc_parameters
from drivers.dlms.gateway import Route
from drivers.dlms.hdlc_parameters import Parameters
from drivers.driver import Endpoint
from drivers.errors import LocalProtocolError
from drivers.serial_port import Characters, Parity

Framing = Literal["wrapper", "udp", "hdlc"]

_RETRIES: Final = 2
_MOST_RETRIES: Final = 10
# One datagram that no network on the way has to cut.
_DATAGRAM: Final = 1400
_LARGEST_PDU: Final = 0xFFFF
_SMALLEST_PDU: Final = 64
_SMALLEST_FRAME: Final = 16
_LONGEST_DEVICE: Final = 64


@dataclass(frozen=True, slots=True)
class LineSettings:
    """The line to a meter, checked.

    Attributes
    ----------
    framing : see above
    path : of a serial port; empty where the way leads over the network
    pdu_size : longest APDU that we take [octets]
    retries : how often a request is sent again where lines may lose it
    route : through a gateway, or straight
    client_address, server_address : HDLC addresses; empty where the wrapper is used
    parameters : what HDLC proposes
    characters : of a serial line
    signs_on : whether the line starts with mode E
    sign_on_device : its address there, empty for whoever is there
    """

    framing: Framing
    path: str
    pdu_size: int
    retries: int
    route: Route
    client_address: bytes = b""
    server_address: bytes = b""
    parameters: Parameters = field(default_factory=Parameters)
    characters: Characters = field(default_factory=Characters)
    signs_on: bool = False
    sign_on_device: str = ""

    @classmethod
    def of(cls, endpoint: Endpoint) -> LineSettings:
        """Read an endpoint's line.

        Raises
        ------
        LocalProtocolError
            naming the setting that is wrong.
        """
        path = str(endpoint.address.get("line", ""))
        framing = str(endpoint.address.get("framing", "hdlc" if path else "wrapper"))
        if framing not in get_args(Framing):
            raise wrong(f"framing={framing} is none of {', '.join(get_args(Framing))}")
        if path and framing != "hdlc":
            raise wrong(f"framing={framing} does not go with line=: serial lines speak hdlc")
        pdu_size = _DATAGRAM if framing == "udp" else _LARGEST_PDU
        line = cls(
            framing=cast(Framing, framing),
            path=path,
            pdu_size=number(endpoint, "pdu", _SMALLEST_PDU, _LARGEST_PDU, pdu_size),
            retries=number(endpoint, "retries", 0, _MOST_RETRIES, _RETRIES),
            route=_route(endpoint),
        )
        return _hdlc(endpoint, line) if framing == "hdlc" else line


def number(endpoint: Endpoint, name: str, least: int, most: int, otherwise: int = 0) -> int:
    """Read a whole number of an endpoint's address.

    Raises
    ------
    LocalProtocolError
        if it is none, or out of its bounds.
    """
    text = str(endpoint.address.get(name, otherwise))
    if not text.removeprefix("-").isdecimal() or not least <= int(text) <= most:
        raise wrong(f"{name}={text} is no number {least} … {most}")
    return int(text)


def wrong(what: str) -> LocalProtocolError:
    """Say what is wrong in an endpoint's address."""
    return LocalProtocolError(f"address {what}: correct the registry")


def _route(endpoint: Endpoint) -> Route:
    network, text = number(endpoint, "network", 0, 0xFF), str(endpoint.address.get("device", ""))
    try:
        device = bytes.fromhex(text)
    except ValueError:
        raise wrong(f"device={text} is no hexadecimal device address") from None
    if len(device) > _LONGEST_DEVICE:
        raise wrong(f"device={text} is longer than {_LONGEST_DEVICE} octets")
    return Route(network, device)


def _hdlc(endpoint: Endpoint, line: LineSettings) -> LineSettings:
    start = str(endpoint.address.get("start", "hdlc"))
    if start not in ("hdlc", "mode-e"):
        raise wrong(f"start={start} is neither hdlc nor mode-e")
    if start == "mode-e" and not line.path:
        raise wrong("start=mode-e needs line=, the path of a serial port")
    longest, most = hdlc_parameters.LONGEST_INFORMATION, hdlc_parameters.LARGEST_WINDOW
    frame = number(endpoint, "frame", _SMALLEST_FRAME, longest, 128)
    window = number(endpoint, "window", 1, most, 1)
    return replace(
        line,
        client_address=hdlc.client_address(number(endpoint, "client", 1, 0x7F, 1)),
        server_address=_server(endpoint),
        parameters=Parameters(frame, frame, window, window),
        characters=_characters(endpoint),
        signs_on=start == "mode-e",
        sign_on_device=str(endpoint.address.get("sign_on", "")),
    )


def _server(endpoint: Endpoint) -> bytes:
    most = (1 << 14) - 1
    has_physical = "physical" in endpoint.address
    physical = number(endpoint, "physical", 0, most) if has_physical else None
    size = number(endpoint, "address_size", 1, 4) if "address_size" in endpoint.address else None
    if size == 3:
        raise wrong("address_size=3 is none of 1, 2, 4")
    return hdlc.server_address(number(endpoint, "server", 1, most, 1), physical, size)


def _characters(endpoint: Endpoint) -> Characters:
    parity = str(endpoint.address.get("parity", "N")).upper()
    if parity not in get_args(Parity):
        raise wrong(f"parity={parity} is none of {', '.join(get_args(Parity))}")
    return Characters(
        baud=number(endpoint, "baud", 50, 4_000_000, 9600),
        parity=cast(Parity, parity),
        stop=number(endpoint, "stop", 1, 2, 1),
    )
