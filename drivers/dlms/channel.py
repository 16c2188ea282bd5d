"""What the services of an association stand on: a way to ask, and what the meter granted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from drivers.dlms.association import Conformance
from drivers.dlms.steps import Step
from drivers.errors import NotOffered


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to ask the meter.

    Attributes
    ----------
    ask : sends a plain APDU and gives the plain answer
    granted : services that the meter granted
    room : longest plain APDU that the meter takes in one message [bytes]
    divides : whether longer ones go too, in parts of which the services need not know
    """

    ask: Callable[[bytes], Step[bytes]]
    granted: Conformance
    room: int
    divides: bool

    def takes(self, apdu: bytes) -> bool:
        """Tell whether an APDU can go without blocks of the service's own."""
        return len(apdu) <= self.room or self.divides

    def need(self, service: Conformance) -> None:
        """Make sure that the meter granted a service.

        Raises
        ------
        NotOffered
            if it did not.
        """
        if service not in self.granted:
            raise NotOffered(f"the meter does not grant the service {service.name} to this client")

    def need_blocks(self, service: Conformance, size: int) -> None:
        """Make sure that the meter granted blocks for what does not fit into one message.

        Raises
        ------
        NotOffered
            if it did not.
        """
        if service not in self.granted:
            raise NotOffered(
                f"{size} bytes do not fit into one message of {self.room}, and the meter does not "
                f"grant {service.name} to this client"
            )
