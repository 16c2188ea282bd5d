"""Profile buffers as columns: the DLMS driver against gurux-dlms' ``getData`` and ``updateValue``.

A day and a month of quarter-hours (clock, status and two registers) in the three forms in which
meters send them: as they are, with null-data for what stays as it was (the clock always, the
status, and export at night), and as a compact array. Both decoders get the attribute's bytes, no
framing and no ciphering, and must find the same moments and values. No buffer comes twice, so that
nobody gains from having seen the bytes; but buffers of a kind are built alike, as they are in a
fleet, and the driver remembers how. Time is this process's CPU time; the fastest of the rounds
counts for both, the one that was disturbed least.

The last line is one JSON object::

    {"ratio": …,                                the smallest of the cases' ratios
     "<day|month>_<normal|null|compact>": {"ratio": …, "us": …, "gurux_us": …}, …}
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gurux_dlms import GXByteBuffer, GXDLMSClient
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.objects import (
    GXDLMSCaptureObject,
    GXDLMSClock,
    GXDLMSData,
    GXDLMSProfileGeneric,
    GXDLMSRegister,
)

from drivers.dlms import axdr, clock_time, profile_buffer
from drivers.dlms.profile_buffer import Columns

_PERIOD: Final = 900
_SLOTS: Final = 96
_DEVIATION: Final = -180
_DAYTIME: Final = range(26, 72)
_UINT8, _UINT32 = 17, 6
# Rows of a buffer, how many buffers the driver decodes in a round that the clock can measure, and
# rounds: the shorter they are, the more of them it takes until one is undisturbed.
_SIZES: Final = {"day": (_SLOTS, 100, 25), "month": (30 * _SLOTS, 10, 7)}
# gurux-dlms takes the first of them: a tenth is time enough.
_SHARE: Final = 10
_FIRST: Final = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the interval's end, status, and two amounts [Wh]."""

    at: datetime
    status: int
    imported: int
    exported: int


def rows(count: int, seed: int) -> list[Row]:
    """Make a household's rows: export by day only, a status that changes once a day."""
    chance = random.Random(seed)
    first = _FIRST + seed * timedelta(seconds=_PERIOD * count)
    return [
        Row(
            at=first + timedelta(seconds=_PERIOD * (number + 1)),
            status=8 if number % _SLOTS == 40 else 0,
            imported=chance.randrange(1, 3000),
            exported=chance.randrange(1, 1500) if number % _SLOTS in _DAYTIME else 0,
        )
        for number in range(count)
    ]


def normal(profile: list[Row]) -> bytes:
    """Write every value of every row."""
    return _array(_cells(row) for row in profile)


def null_compressed(profile: list[Row]) -> bytes:
    """Write null-data for each clock after the first and for each value that stays as it was."""
    return _array(
        _cells(row) if before is None else _changed(_cells(row), _cells(before))
        for before, row in zip([None, *profile], profile, strict=False)
    )


def compact(profile: list[Row]) -> bytes:
    """Write a compact array, clocks as octet-strings."""
    types = bytes((axdr.STRUCTURE, 4, axdr.OCTET_STRING, _UINT8, _UINT32, _UINT32))
    contents = b"".join(cell[1:] for row in profile for cell in _cells(row))
    return bytes((axdr.COMPACT_ARRAY,)) + types + axdr.encode_octets(contents)


FORMS: Final[dict[str, Callable[[list[Row]], bytes]]] = {
    "normal": normal,
    "null": null_compressed,
    "compact": compact,
}


def _cells(row: Row) -> list[bytes]:
    return [
        axdr.encode_octet_string(clock_time.encode(row.at, _DEVIATION)),
        axdr.encode_number(_UINT8, row.status),
        axdr.encode_number(_UINT32, row.imported),
        axdr.encode_number(_UINT32, row.exported),
    ]


def _changed(cells: list[bytes], before: list[bytes]) -> list[bytes]:
    null = bytes((axdr.NULL,))
    values = [null if cell == old else cell for cell, old in zip(cells, before, strict=True)]
    return [null, *values[1:]]


def _array(written: Iterator[list[bytes]]) -> bytes:
    return axdr.encode_sequence(
        axdr.ARRAY, *(axdr.encode_sequence(axdr.STRUCTURE, *cells) for cells in written)
    )


def by_driver(data: bytes) -> Columns:
    """Decode a buffer as the driver does."""
    return profile_buffer.decode(data, width=4, clock=0, period_seconds=_PERIOD)


def gurux_profile() -> GXDLMSProfileGeneric:
    """Make a profile object of gurux-dlms that knows what it captures."""
    profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
    profile.capturePeriod = _PERIOD
    captured = (
        GXDLMSClock("0.0.1.0.0.255"),
        GXDLMSData("0.0.96.10.1.255"),
        GXDLMSRegister("1.0.1.29.0.255"),
        GXDLMSRegister("1.0.2.29.0.255"),
    )
    profile.captureObjects = [(item, GXDLMSCaptureObject(2, 0)) for item in captured]
    return profile


def by_gurux(client: GXDLMSClient, data: bytes) -> list[list[Any]]:
    """Decode a buffer as gurux-dlms does."""
    value = _GXCommon.getData(client.settings, GXByteBuffer(data), _GXDataInfo())
    found: list[list[Any]] = client.updateValue(gurux_profile(), 2, value)
    return found


def by_columns(columns: Columns) -> list[tuple[int, ...]]:
    """Give the driver's rows: moment [s since 1970-01-01 UTC], status, import, export [Wh]."""
    assert columns.clock is not None
    assert columns.clock.present.all()
    assert all(column.present.all() for column in columns.others)
    lists = [columns.clock.moments, *(column.values for column in columns.others)]
    return list(zip(*(values.tolist() for values in lists), strict=True))


def by_truth(profile: list[Row]) -> list[tuple[int, ...]]:
    """Give the rows that were written the same way."""
    return [(int(row.at.timestamp()), row.status, row.imported, row.exported) for row in profile]


def by_rows(found: list[list[Any]]) -> list[tuple[int, ...]]:
    """Give gurux-dlms' rows the same way; it leaves null-data of a register as they are."""
    made: list[tuple[int, ...]] = []
    for time_of_row, *values in found:
        given = [
            made[-1][place] if value is None else int(value)
            for place, value in enumerate(values, start=1)
        ]
        made.append((int(time_of_row.value.timestamp()), *given))
    return made


def measure(
    count: int, buffers: int, rounds: int, written: Callable[[list[Row]], bytes]
) -> dict[str, float]:
    """Decode a form's buffers by both, in turns; give the CPU time of one [µs] and the ratio."""
    ours, theirs = [], []
    client = GXDLMSClient(True)
    for number in range(rounds):
        profiles = [rows(count, number * buffers + one) for one in range(buffers)]
        data = [written(profile) for profile in profiles]
        began = time.process_time()
        columns = [by_driver(one) for one in data]
        between = time.process_time()
        found = [by_gurux(client, one) for one in data[: buffers // _SHARE]]
        theirs.append((time.process_time() - between) / len(found))
        ours.append((between - began) / buffers)
        for own, other, profile in zip(columns, found, profiles, strict=False):
            assert by_columns(own) == by_rows(other) == by_truth(profile)
    fastest, gurux = min(ours), min(theirs)
    return {
        "ratio": round(gurux / fastest, 1),
        "us": round(fastest * 1e6, 1),
        "gurux_us": round(gurux * 1e6, 1),
    }


def main() -> int:
    """Measure every case; print a line each, and all as one JSON object."""
    figures: dict[str, dict[str, float]] = {}
    for size, (count, buffers, rounds) in _SIZES.items():
        for form, written in FORMS.items():
            found = measure(count, buffers, rounds, written)
            figures[f"{size}_{form}"] = found
            print(f"{size} {form}: {found['us']} µs, gurux-dlms {found['gurux_us']} µs", flush=True)
    ratios = {case: found["ratio"] for case, found in figures.items()}
    print(json.dumps({"ratio": min(ratios.values()), **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
