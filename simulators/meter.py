"""A simulated meter: what flows through it, and what it says of that.

Protocol servers (``dlms_meter``, ``modbus_meter``, ``mqtt_meter``) take meters from here. They
ask for registers and stored rows at a simulated moment and never for the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulators import load_curve
from simulators.faults import Fault
from simulators.load_curve import SLOT, Load

Seconds = NDArray[np.int64]
Values = NDArray[np.int64]

ACTIVE: Final = "active_energy_import"
REACTIVE: Final = "reactive_energy_import"
WATER: Final = "water_volume"


@dataclass(frozen=True, eq=False)
class Meter:
    """One meter, installed at one usage point for a time.

    Attributes
    ----------
    mrid : end device's name; DLMS meters give it as their serial number
    usage_point, sector, tariff, billing_group, segment, time_zone, commodity : the registry's
    number : unique in the fleet; system titles and Modbus serials come from it
    protocol, profile, security : as in the registry
    host : its address in 127.0.0.0/8; empty for MQTT
    address : the registry's, such as ``{"client": 1, "server": 1}``
    interval_seconds : length of stored or sampled intervals [s]
    register_modulus : registers count to one less and start again at zero
    register_start : what registers showed at ``start``, by reading type
    multiplier : CT × VT ratio; registers and intervals are before it
    start, end : when it is installed, within the fleet's data [Unix s]
    load : the truth
    faults : everything that is wrong with it
    options : what only one protocol needs, such as ``{"pdu_size": 1024}``
    """

    mrid: str
    usage_point: str
    group: str
    number: int
    commodity: str
    sector: str
    tariff: str
    billing_group: str
    segment: str
    time_zone: str
    manufacturer: str
    model: str
    protocol: str
    profile: str
    security: str
    host: str
    address: Mapping[str, int | str]
    interval_seconds: int
    register_modulus: int
    register_start: Mapping[str, int]
    multiplier: int
    start: int
    end: int
    load: Load = field(repr=False)
    faults: tuple[Fault, ...] = ()
    options: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def reading_types(self) -> tuple[str, ...]:
        """The cumulative reading types of its registers."""
        if self.commodity == "water":
            return (WATER,)
        return (ACTIVE, REACTIVE) if self.protocol == "dlms" else (ACTIVE,)

    def having(self, *kinds: str) -> Iterator[Fault]:
        """Give its faults of some kinds, in order."""
        return (fault for fault in self.faults if fault.kind in kinds)

    def fault(self, kind: str, moment: int) -> Fault | None:
        """Find a fault of a kind that is there at a moment [Unix s]."""
        return next((fault for fault in self.having(kind) if fault.active(moment)), None)

    def true_intervals(self, reading_type: str) -> Values:
        """Give the true intervals while it is installed, before the multiplier.

        Parameters
        ----------
        reading_type : a cumulative one of ``reading_types``

        Returns
        -------
        shape (n,), the first starts at ``start``, each lasts ``interval_seconds`` [Wh, varh or L]
        """
        steps = self._flow(reading_type).reshape(-1, self.interval_seconds // SLOT)
        return np.asarray(steps.sum(axis=1))

    def true_count(self, reading_type: str, moments: Seconds) -> Values:
        """Give what has flowed since ``start``, before the multiplier, shape of ``moments``.

        Inside a quarter hour it grows evenly, rounded down to the register's resolution.
        """
        flow, upto = self._flow(reading_type), self._upto(reading_type)
        slot, rest = np.divmod(np.clip(moments, self.start, self.end) - self.start, SLOT)
        partial = np.append(flow, 0)[slot] * rest // SLOT
        return np.asarray(upto[slot] + partial - partial % self.load.resolution)

    def register(self, reading_type: str, moments: Seconds) -> Values:
        """Give what a register shows at moments of true time, shape of ``moments``.

        Stuck registers stand; all wrap at ``register_modulus``.
        """
        seen = np.array(moments, dtype=np.int64)
        for fault in self.having("stuck_register"):
            if fault.text("mode", "register") != "intervals":
                standing = (seen >= fault.starts_at) & (seen < fault.ends_at)
                seen[standing] = fault.starts_at
        count = self.register_start[reading_type] + self.true_count(reading_type, seen)
        return np.asarray(count % self.register_modulus)

    def register_at(self, reading_type: str, moment: int) -> int:
        """Give what a register shows at one moment [Unix s]."""
        return int(self.register(reading_type, np.array([moment]))[0])

    def present(self, moment: int) -> Mapping[str, int]:
        """Give instantaneous values in their scaled units, electricity only.

        Returns
        -------
        active_power_import [W], voltage_l1 [0.1 V], current_l1 [mA], frequency [mHz]
        """
        slot = min(max(moment - self.start, 0) // SLOT, len(self._flow(ACTIVE)) - 1)
        power = (
            int(self._flow(ACTIVE)[slot]) * 3600 // SLOT if self.start <= moment < self.end else 0
        )
        volt = load_curve.draw(self.load.key, "volt", moment // SLOT, low=2340, high=2440)
        hertz = load_curve.draw("frequency", moment // SLOT, low=49_960, high=50_040)
        return {
            "active_power_import": power,
            "voltage_l1": volt,
            "current_l1": power * 10_000 // volt,
            "frequency": hertz,
        }

    def ratio_at(self, moment: int) -> int:
        """Give the transformer ratio that it says to be set to at a moment [Unix s]."""
        wrong = self.fault("wrong_multiplier", moment)
        return self.multiplier * (wrong.number("factor", 2) if wrong else 1)

    def clock_offset(self, moment: int) -> int:
        """Tell how far its clock is ahead at a moment of true time [s]."""
        return sum(
            fault.number("seconds")
            * min(max(moment - fault.starts_at, 0), fault.ends_at - fault.starts_at)
            // (fault.ends_at - fault.starts_at)
            for fault in self.having("clock_drift")
        )

    def true_time(self, stamps: Seconds) -> Seconds:
        """Turn moments by its own clock into true time, shape of ``stamps`` [Unix s]."""
        true = np.array(stamps, dtype=np.int64)
        for fault in self.having("clock_drift"):
            lasting, gain = fault.ends_at - fault.starts_at, fault.number("seconds")
            drifting = np.clip(true - fault.starts_at, 0, lasting + gain)
            true -= drifting * gain // (lasting + gain)
        return true

    @cached_property
    def _first_slot(self) -> int:
        return (self.start - self.load.start) // SLOT

    def _flow(self, reading_type: str) -> Values:
        """Give the load's quarter hours while it is installed."""
        series = self.load.reactive if reading_type == REACTIVE else self.load.active
        return series[self._first_slot : self._first_slot + (self.end - self.start) // SLOT]

    def _upto(self, reading_type: str) -> Values:
        """Give the flow since ``start`` at each quarter hour's edge."""
        return self._cumulative[reading_type]

    @cached_property
    def _cumulative(self) -> dict[str, Values]:
        return {name: _from_zero(self._flow(name)) for name in self.reading_types}


def _from_zero(flow: Values) -> Values:
    return np.concatenate(([0], np.cumsum(flow)))
