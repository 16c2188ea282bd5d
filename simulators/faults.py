"""What can be wrong with a simulated meter, by label.

A fault never changes the truth: the energy that flows is the load's. It changes what the meter
says of it, or whether it says anything.

==================  ==========================================  ================================
kind                what the meter does from start to end        what reading again gives
==================  ==========================================  ================================
gap                 stores no load profile rows (MQTT: sends     lost; registers go on
                    nothing)
duplicate           stores or sends a row twice; ``value`` is    the same again
                    ``same`` or ``different`` (the second row
                    then holds half as much)
spike               one stored interval of active energy is      the same again; registers are
                    too high by ``factor`` mean intervals        right
stuck_register      ``mode`` ``register``: registers stand,      registers are right after the
                    intervals are right; ``intervals``: stored   end; intervals stay as stored
                    intervals repeat the last value, registers
                    are right; ``both``: registers stand,
                    stored intervals are zero
rollover            the register passes its highest value at     the same again
                    the start and goes on from zero
clock_drift         the clock gains ``seconds`` (negative:       the same again: stamps are by
                    loses) evenly, and then stays off            the meter's clock
dead_line           ``mode`` ``silent``: connects, never         everything, after the end;
                    answers; ``reset``: connection is cut at     Modbus and MQTT meters have no
                    once; ``refused``: nobody listens;           memory: their samples are lost
                    ``power``: as reset, with a last gasp
slow_line           every answer waits ``latency`` s, and comes  everything, slowly
                    in pieces of ``chunk`` bytes
wrong_key           has other keys than the register of keys     nothing, until the key is right
                    says
wrong_multiplier    says a transformer ratio that is         the right ratio, after the end
                    ``factor`` times what it is; what it
                    counts is right
reset_in_transfer   each day the first ``times`` connections     everything, at the next attempt
                    that carry ``after`` bytes are reset there
meter_exchange      the meter at the start is another one than   everything: the old meter keeps
                    at the end; here: the moment of exchange     its memory
==================  ==========================================  ================================

``ends_at`` is exclusive; faults that never end last to the end of the fleet's data and beyond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

DLMS: Final = "dlms"
MODBUS: Final = "modbus"
MQTT: Final = "mqtt"

KINDS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "gap": frozenset({DLMS, MQTT}),
        "duplicate": frozenset({DLMS, MQTT}),
        "spike": frozenset({DLMS}),
        "stuck_register": frozenset({DLMS, MODBUS, MQTT}),
        "rollover": frozenset({DLMS, MODBUS, MQTT}),
        "clock_drift": frozenset({DLMS}),
        "dead_line": frozenset({DLMS, MODBUS, MQTT}),
        "slow_line": frozenset({DLMS, MODBUS}),
        "wrong_key": frozenset({DLMS}),
        "wrong_multiplier": frozenset({DLMS, MODBUS}),
        "reset_in_transfer": frozenset({DLMS, MODBUS}),
        "meter_exchange": frozenset({DLMS, MODBUS, MQTT}),
    }
)
"""Kinds of faults, and the protocols whose meters can have them."""

LINE: Final = frozenset({"dead_line", "slow_line", "wrong_key", "reset_in_transfer"})
"""Faults of the way to the meter: what it stores is right."""

Setting = int | float | str


@dataclass(frozen=True, slots=True)
class Fault:
    """One labelled fault of one meter.

    Attributes
    ----------
    kind : a name in ``KINDS``
    starts_at, ends_at : Unix seconds, the end exclusive; by true time, not by the meter's clock
    settings : what the kind needs, such as ``{"factor": 20}``
    """

    kind: str
    starts_at: int
    ends_at: int
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def active(self, moment: int) -> bool:
        """Tell whether the fault is there at a moment [Unix s]."""
        return self.starts_at <= moment < self.ends_at

    @property
    def detail(self) -> str:
        """Give the settings as text, ``name=value;name=value``."""
        return ";".join(f"{name}={value}" for name, value in sorted(self.settings.items()))

    def number(self, name: str, otherwise: int = 0) -> int:
        """Give a setting as a whole number."""
        return int(self.settings.get(name, otherwise))

    def text(self, name: str, otherwise: str) -> str:
        """Give a setting as text."""
        return str(self.settings.get(name, otherwise))
