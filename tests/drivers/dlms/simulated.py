"""A simulated meter without a network, and the engine's steps run against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Mechanism
from drivers.dlms.ciphering import Keys
from drivers.dlms.engine import Association
from drivers.dlms.security import Security
from drivers.dlms.steps import Burst, Step
from drivers.errors import TimedOut
from schemas.obis import Obis
from simulators import dlms_association, fleet, keys
from simulators.clock import Clock
from simulators.dlms_model import DlmsModel
from simulators.meter import Meter

T = TypeVar("T")

FLEET = fleet.load("small")
SECURITY = {"none": "M00001", "lls": "M00004", "hls-gmac": "M00007"}

NOTE = Attribute(32768, Obis(0, 0, 128, 0, 0), 2)
"""An attribute of the simulated meters that takes any octet-string."""

ECHO = Attribute(32768, Obis(0, 0, 128, 0, 0), 1)
"""A method of theirs that gives back what it gets."""


class Talk:
    """An association with one simulated meter, opened, over a line that a test may spoil.

    ``options`` are the meter's; ``settings`` the client's association's. ``security`` names a
    kind, or is a meter of another fleet with the security that fits it.
    """

    def __init__(
        self,
        security: str | tuple[Meter, Security] = "none",
        *,
        client: int = 1,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        kind = security if isinstance(security, str) else ""
        meter = FLEET.meter(SECURITY[kind]) if kind else security[0]
        self.model = DlmsModel(replace(meter, options={**meter.options, **(options or {})}))
        self.meter = dlms_association.Association(self.model, Clock(FLEET.now))
        self.client = client
        self.sent: list[bytes] = []
        self.coming: list[bytes] = []
        held = self._security("none" if client == 16 else kind) if kind else security[1]
        self.association = Association(held, **settings)
        self.run(self.association.open())

    @property
    def exchanges(self) -> int:
        """How many APDUs went to the meter."""
        return len(self.sent)

    def _security(self, name: str) -> Security:
        kinds = {"lls": ["password"], "hls-gmac": ["encryption", "authentication"]}
        known = {kind: keys.of(self.model.meter, kind) for kind in kinds.get(name, [])}
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

    def up(self, apdus: list[bytes]) -> list[bytes]:
        """Carry APDUs to the meter."""
        return apdus

    def down(self, apdus: list[bytes]) -> list[bytes]:
        """Carry APDUs to the client."""
        return apdus

    def run(self, step: Step[T], most: int = 20_000) -> T:
        """Run a step to its result."""
        try:
            request = next(step)
            for _ in range(most):
                apdus = list(request.apdus) if isinstance(request, Burst) else [request]
                self.sent += apdus
                answers = [
                    one for apdu in self.up(apdus) for one in self.meter.answers(self.client, apdu)
                ]
                self.coming += self.down(answers)
                if self.coming:
                    request = step.send(self.coming.pop(0))
                else:
                    request = step.throw(TimedOut("nothing came"))
        except StopIteration as done:
            result: T = done.value
            return result
        raise AssertionError(f"no result after {most} exchanges")
