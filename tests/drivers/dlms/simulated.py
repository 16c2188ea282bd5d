"""A simulated meter without a network, and the engine's steps run against it."""

from __future__ import annotations

from typing import TypeVar

from drivers.dlms import wrapper
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import Keys
from drivers.dlms.engine import Association
from drivers.dlms.security import Security
from drivers.dlms.steps import Step
from schemas.obis import Obis
from simulators import dlms_association, fleet, keys
from simulators.clock import Clock
from simulators.dlms_model import DlmsModel

T = TypeVar("T")

FLEET = fleet.load("small")
SECURITY = {"none": "M00001", "lls": "M00004", "hls-gmac": "M00007"}

NOTE = Attribute(32768, Obis(0, 0, 128, 0, 0), 2)
"""An attribute of the simulated meters that takes any octet-string."""

ECHO = Attribute(32768, Obis(0, 0, 128, 0, 0), 1)
"""A method of theirs that gives back what it gets."""


class Talk:
    """An association with one simulated meter, opened."""

    def __init__(self, security: str = "none", *, client: int = 1) -> None:
        self.model = DlmsModel(FLEET.meter(SECURITY[security]))
        self.meter = dlms_association.Association(self.model, Clock(FLEET.now))
        self.client = client
        self.exchanges = 0
        self.association = Association(self._security("none" if client == 16 else security))
        self.run(self.association.open())

    def _security(self, name: str) -> Security:
        known = {
            kind: keys.of(self.model.meter, kind)
            for kind in {"lls": ["password"], "hls-gmac": ["encryption", "authentication"]}.get(
                name, []
            )
        }
        if name == "none":
            return Security()
        if name == "lls":
            return Security(Mechanism.LOW, password=known["password"])
        counters = iter(range(1, 100_000))
        return Security(
            Mechanism.HIGH_GMAC,
            keys=Keys(known["encryption"], known["authentication"]),
            take_counter=lambda: next(counters),
        )

    def exchange(self, apdu: bytes) -> bytes:
        self.exchanges += 1
        answer = self.meter.receive(wrapper.encode(wrapper.Frame(self.client, 1, apdu)))
        return wrapper.decode(answer).apdu

    def run(self, step: Step[T], most: int = 10_000) -> T:
        """Run a step to its result."""
        try:
            request = next(step)
            for _ in range(most):
                request = step.send(self.exchange(request))
        except StopIteration as done:
            result: T = done.value
            return result
        raise AssertionError(f"no result after {most} exchanges")
