"""Clock, class 8: set to a moment, shifted by seconds.

References
----------
IEC 62056-6-2:2021, 4.5.1 (Clock).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from drivers.control import LONGEST_SHIFT
from drivers.dlms import axdr, clock_time
from drivers.dlms.apdu import Attribute
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.engine import Association
from drivers.dlms.steps import Step
from drivers.errors import LocalProtocolError, RemoteProtocolError

_TIME_ZONE: Final = 3
_SHIFT_TIME: Final = 6
_LONG: Final = 16


def read(association: Association, clock: Attribute) -> Step[ClockTime]:
    """Read the clock as the meter writes it.

    Raises
    ------
    RemoteProtocolError
        if it is no date-time.
    """
    value = axdr.decode((yield from association.get(clock)))[0]
    if not isinstance(value, bytes):
        raise RemoteProtocolError(f"the meter's clock says {value!r}, which is no date-time")
    return clock_time.decode(value)


def write(
    association: Association, clock: Attribute, moment: datetime, deviation: int | None
) -> Step[None]:
    """Set the clock, in the local time that it keeps.

    Parameters
    ----------
    moment : aware
    deviation : of a meter that does not write its own, from local time to UTC [min]

    Raises
    ------
    LocalProtocolError
        if neither the meter nor the registry says which local time it keeps.
    """
    present = yield from _present(association, clock)
    kept = deviation if present.deviation is None else present.deviation
    if kept is None:
        raise LocalProtocolError(
            "the meter does not write its deviation from UTC; register it before its clock is set: "
            "address deviation=-180"
        )
    octets = clock_time.encode(moment, kept, present.status & clock_time.DAYLIGHT_SAVING)
    if present.deviation is None:
        octets = octets[:9] + clock_time.UNSPECIFIED.to_bytes(2, signed=True) + octets[11:]
    yield from association.set(clock, axdr.encode_octet_string(octets))


def shift(association: Association, clock: Attribute, seconds: int) -> Step[None]:
    """Shift the clock.

    Parameters
    ----------
    seconds : forward, or back if negative [s]

    Raises
    ------
    LocalProtocolError
        if that is more than the standard's 900 s: set the clock instead.
    """
    if not -LONGEST_SHIFT <= seconds <= LONGEST_SHIFT:
        raise LocalProtocolError(
            f"a clock is shifted by at most {LONGEST_SHIFT} s, not by {seconds} s: set it instead"
        )
    yield from association.action(
        replace(clock, index=_SHIFT_TIME), axdr.encode_number(_LONG, seconds)
    )


def _present(association: Association, clock: Attribute) -> Step[ClockTime]:
    """Read which local time the meter keeps; one that has lost its time still knows its zone."""
    try:
        return (yield from read(association, clock))
    except RemoteProtocolError:
        zone = replace(clock, index=_TIME_ZONE)
        value = axdr.decode((yield from association.get(zone)))[0]
        if not isinstance(value, int) or abs(value) > clock_time.LARGEST_DEVIATION:
            raise
        return ClockTime(datetime(2000, 1, 1), value)  # noqa: DTZ001  # only the zone counts
