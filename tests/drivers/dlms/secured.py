"""A client and a simulated meter of the fleet ``security``, with somebody between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

from drivers.dlms import security_settings, wrapper
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.security import Security
from drivers.dlms.security_settings import Wanted
from drivers.dlms.steps import Step
from schemas.obis import Obis
from simulators import dlms_wrapper, fleet, keys
from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.dlms_model import DlmsModel
from simulators.meter import Meter

T = TypeVar("T")

FLEET = fleet.load("security")
METERS = {meter.group: meter for meter in FLEET.meters}
CIPHERED = [name for name, meter in METERS.items() if keys.ciphering(meter) != "none"]
AUTHENTICATED = [name for name in CIPHERED if METERS[name].address.get("protection") != "encrypted"]
SERIAL = Attribute(1, Obis(0, 0, 96, 1, 0), 2)
PROFILE = Attribute(7, Obis(1, 0, 99, 1, 0), 2)

Change = Callable[[bytes], bytes]


def wanted(meter: Meter, **address: Any) -> Wanted:
    """Read a meter's security as the registry says it, with changes."""
    return Wanted.of(meter.security, {**meter.address, **address})


def secrets(meter: Meter) -> dict[str, bytes]:
    """Give the keys that a head-end has of a meter."""
    return dict(keys.told(meter))


def wrong(meter: Meter, kind: str) -> bytes:
    """Give a key that is well made and not the meter's."""
    if kind.startswith(("client", "meter")):
        other = keys.pair(meter, kind, "/another")
        return other.private if kind.startswith("client") else other.public
    return bytes(octet ^ 1 for octet in keys.of(meter, kind))


@dataclass
class Line:
    """A meter, a client, and the changes that somebody between them makes.

    Attributes
    ----------
    told : keys of the client that are not the meter's
    address : what the client's registry says otherwise than the meter
    meter_address, meter_options : what the meter is otherwise than the fleet's file says
    requests, answers : everything that was said, before it was changed
    """

    name: str
    model: DlmsModel = field(init=False)
    told: Mapping[str, bytes] = field(default_factory=dict)
    address: Mapping[str, Any] = field(default_factory=dict)
    meter_address: Mapping[str, Any] = field(default_factory=dict)
    meter_options: Mapping[str, Any] = field(default_factory=dict)
    first_counter: int = 1
    change_request: Change = lambda apdu: apdu
    change_answer: Change = lambda apdu: apdu
    requests: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        meter = METERS[self.name]
        self.model = DlmsModel(
            replace(
                meter,
                address={**meter.address, **self.meter_address},
                options=self.meter_options,
            )
        )
        self.counters = count(self.first_counter)
        self.connect()

    def connect(self) -> None:
        """Begin a new connection."""
        self.meter = dlms_wrapper.Talk(Desk([self.model], Clock(FLEET.now)))
        self.association = Association(self.security)

    @property
    def security(self) -> Security:
        meter = METERS[self.name]
        known = {**secrets(meter), **self.told}
        return security_settings.security(
            wanted(meter, **self.address), known, self.counters.__next__
        )

    def open(self) -> Association:
        """Enter the association."""
        self.run(self.association.open())
        return self.association

    def read(self, attribute: Attribute = SERIAL) -> bytes:
        """Read an attribute."""
        return self.run(self.association.get(attribute))

    def exchange(self, apdu: bytes) -> bytes:
        self.requests.append(apdu)
        sent = wrapper.encode(wrapper.Frame(1, 1, self.change_request(apdu)))
        answer = wrapper.decode(self.meter.receive(sent)).apdu
        self.answers.append(answer)
        return self.change_answer(answer)

    def run(self, step: Step[T], most: int = 1000) -> T:
        """Run a step to its result."""
        try:
            request = next(step)
            for _ in range(most):
                request = step.send(self.exchange(request))
        except StopIteration as done:
            result: T = done.value
            return result
        raise AssertionError(f"no result after {most} exchanges")
