"""The meters behind one endpoint: who of them is asked, straight or through the gateway protocol.

A request to a device behind a gateway begins E6, network id, length of the device's address and
the address; its answer begins E7 and the same (Green Book, gateway protocol).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulators import dlms_apdu
from simulators.clock import Clock
from simulators.dlms_apdu import ServiceError
from simulators.dlms_association import Association
from simulators.dlms_model import DlmsModel
from simulators.meter import Meter

_REQUEST, _ANSWER = 0xE6, 0xE7
_HEAD: Final = 3

Place = tuple[int, int, bytes]
"""Where a meter is behind its endpoint: server, network, device."""


def place(meter: Meter) -> Place:
    """Tell where a meter is behind its endpoint."""
    address = meter.address
    device = bytes.fromhex(str(address.get("device", "")))
    return int(address.get("server", 1)), int(address.get("network", 0)), device


class Desk:
    """One client's talks with all meters behind an endpoint."""

    def __init__(self, models: Sequence[DlmsModel], clock: Clock) -> None:
        self._associations = {place(one.meter): Association(one, clock) for one in models}

    def answers(self, client: int, server: int, apdu: bytes) -> list[bytes]:
        """Answer an APDU for a server; nobody answers for one that is not there."""
        if apdu[:1] != bytes((_REQUEST,)):
            meter = self._associations.get((server, 0, b""))
            return meter.answers(client, apdu) if meter else []
        end = _HEAD + apdu[2] if len(apdu) >= _HEAD else _HEAD
        device = apdu[_HEAD:end]
        behind = self._associations.get((server, apdu[1] if len(apdu) > 1 else 0, device))
        if behind is None or not device:
            return [dlms_apdu.exception(ServiceError.NOT_POSSIBLE)]
        prefix = bytes((_ANSWER,)) + apdu[1:end]
        return [prefix + answer for answer in behind.answers(client, apdu[end:])]

    def hang_up(self) -> None:
        """Leave every association."""
        for meter in self._associations.values():
            meter.hang_up()
