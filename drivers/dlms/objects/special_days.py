"""Special days table, class 11.

References
----------
IEC 62056-6-2:2021, 4.5.4 (Special days table).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.activity_calendar import SpecialDay
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks, dates
from drivers.dlms.steps import Step
from drivers.errors import MeterRefused, RemoteProtocolError

_MOST: Final = 4096
_UNSIGNED, _LONG_UNSIGNED = 17, 18


def read(association: Association, table: Attribute) -> Step[list[SpecialDay]]:
    """Read the special days, by their index.

    Raises
    ------
    RemoteProtocolError
        if they are not built as the standard says.
    """
    return decode(axdr.decode((yield from association.get(table)))[0])


def write(
    association: Association, table: Attribute, days: Sequence[SpecialDay]
) -> Step[list[SpecialDay]]:
    """Replace all special days and read them back.

    Parameters
    ----------
    days : checked by ``drivers.activity_calendar.checked_days``

    Raises
    ------
    MeterRefused
        if the meter takes them and then shows others.
    """
    yield from association.set(table, encode(days))
    shown = yield from read(association, table)
    if shown != list(days):
        raise MeterRefused(
            f"the meter took {len(days)} special days and shows {len(shown)}, not the same; "
            "how many does it take?"
        )
    return shown


def encode(days: Sequence[SpecialDay]) -> bytes:
    """Write the table's entries."""
    return axdr.encode_sequence(
        axdr.ARRAY,
        *(
            axdr.encode_sequence(
                axdr.STRUCTURE,
                axdr.encode_number(_LONG_UNSIGNED, day.index),
                axdr.encode_octet_string(dates.encode_date(day.date)),
                axdr.encode_number(_UNSIGNED, day.day),
            )
            for day in days
        ),
    )


def decode(value: axdr.Value) -> list[SpecialDay]:
    """Read the table's entries, by their index.

    Raises
    ------
    RemoteProtocolError
        if they are none.
    """
    days = []
    for entry in checks.array(value, "special days", _MOST):
        index, date, day = checks.parts(entry, "special day", int, bytes, int)
        try:
            days.append(SpecialDay(index, dates.decode_date(date), day))
        except ValueError as error:
            raise RemoteProtocolError(f"the meter's special day is none: {error}") from None
    return sorted(days, key=lambda day: day.index)
