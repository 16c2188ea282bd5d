"""Several meters behind one endpoint: the prefix that tells a gateway which one is meant.

References
----------
DLMS UA 1000-2, "Using the gateway protocol": header, network id, address length and physical
device address stand before the APDU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.errors import RemoteProtocolError

REQUEST, RESPONSE = 0xE6, 0xE7
_HEAD: Final = 3
# What a gateway says for itself: it cannot reach the meter, or does not know it.
_OWN: Final = frozenset({0xD8, 0x0E})


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a meter: through a gateway's network to a device, or straight (no device)."""

    network: int = 0
    device: bytes = b""

    def out(self, apdu: bytes) -> bytes:
        """Write an APDU as it is sent."""
        if not self.device:
            return apdu
        return bytes((REQUEST, self.network, len(self.device))) + self.device + apdu

    def back(self, apdu: bytes) -> bytes:
        """Take the prefix from an answer.

        Raises
        ------
        RemoteProtocolError
            if it has none, or comes from another device.
        """
        if not self.device or (apdu and apdu[0] in _OWN):
            return apdu
        if apdu[:1] != bytes((RESPONSE,)) or len(apdu) < _HEAD:
            raise RemoteProtocolError(
                f"an answer that begins 0x{apdu[:1].hex()} came from no gateway; check that the "
                "meter is behind one (network= and device= in its address)"
            )
        at = _HEAD + apdu[2]
        network, device = apdu[1], apdu[_HEAD:at]
        if (network, device) != (self.network, self.device):
            raise RemoteProtocolError(
                f"device {device.hex()} of network {network} answered through the gateway where "
                f"device {self.device.hex()} of network {self.network} was asked"
            )
        return apdu[at:]
