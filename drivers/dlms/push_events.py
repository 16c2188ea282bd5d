"""Events and alarms in what a meter pushes, in the words of the event table.

An event code is the meter's own (``profiles/*.csv``). Alarm registers and descriptors have a bit
for each alarm; bit b of alarm register r is event code ``1000 * r + b``, above all codes that one
octet can say.

References
----------
DLMS UA 1000-1 (Blue Book), 6.2.60 and 6.2.66: event codes 0.b.96.11.e, alarm objects 0.b.97.98.e;
IDIS Package 2, table of alarms.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Final

from drivers.dlms import axdr
from drivers.dlms.companion import Companion
from schemas.event import EndDeviceEvent
from schemas.obis import Obis

LAST_GASP: Final = frozenset({1, 2000})
"""Codes that say: the power is off at the meter."""
POWER_UP: Final = frozenset({2, 2001})
"""Codes that say that it is back."""

_EVENT_CODES: Final = (96, 11)
_ALARMS: Final = (97, 98)
# Group E: alarm registers 1 and 2, and the alarm descriptors that name them in pushes.
_REGISTERS: Final = {0: 1, 1: 2, 20: 1, 21: 2}
_ALARM_BITS: Final = 32
_LARGEST_CODE: Final = 0x7FFF_FFFF


def is_event(name: Obis) -> bool:
    """Tell whether an object holds an event code or alarm bits."""
    return name.a == 0 and (
        (name.c, name.d) == _EVENT_CODES or ((name.c, name.d) == _ALARMS and name.e in _REGISTERS)
    )


def events(
    name: Obis, value: axdr.Value, at: datetime, companion: Companion
) -> Iterator[EndDeviceEvent]:
    """Give what an object of ``is_event`` reports; a value of 0 reports nothing.

    Parameters
    ----------
    at : when it was sent
    """
    number = value if isinstance(value, int) else 0
    if (name.c, name.d) == _EVENT_CODES:
        if 0 < number <= _LARGEST_CODE:
            said = _codes(name, companion).get(number, ("unknown", f"Event {number}"))
            category, description = said
            yield EndDeviceEvent(at, category, number, description)
        return
    register = _REGISTERS[name.e]
    for bit in range(_ALARM_BITS):
        if number >> bit & 1:
            unnamed = ("unknown", f"Alarm {bit} of register {register}")
            category, description = _alarms().get((register, bit), unnamed)
            yield EndDeviceEvent(at, category, 1000 * register + bit, description)


def _codes(name: Obis, companion: Companion) -> Mapping[int, tuple[str, str]]:
    """Give the meanings of the codes of one object; the first log's where no log captures it."""
    logs = companion.event_logs
    own = next((log for log in logs if log.code.name == name), logs[0] if logs else None)
    return own.events if own else {}


@cache
def _alarms() -> dict[tuple[int, int], tuple[str, str]]:
    text = resources.files("drivers.dlms").joinpath("profiles/alarms.csv").read_text("utf-8")
    return {
        (int(row["register"]), int(row["bit"])): (row["category"], row["description"])
        for row in csv.DictReader(text.splitlines())
    }
