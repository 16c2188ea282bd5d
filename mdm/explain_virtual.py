"""What an interval of a virtual channel was made of, and computing it again from that.

A version of a virtual day names its terms and the versions of their days. From exactly these it is
computed again; so are the virtual days among them, down to what meters counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from mdm import readings, readings_columns, virtual
from mdm.virtual import Term, Virtual
from mdm.virtual_sum import Lines
from schemas import quality, statements
from schemas.database import Connection
from schemas.quality import QualityClass
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "explain_virtual.sql")
_DEFINED = statements.load("mdm", "virtual.sql")


@dataclass(frozen=True, slots=True)
class Input:
    """A term's interval in the version that went into the sum.

    ``value`` is None where it was missing; of finer intervals it is the sum, of coarser ones the
    whole interval's [scaled unit]. ``quality`` is the highest code among them.
    """

    usage_point: str
    reading_type: str
    factor: Decimal
    version: int
    value: int | None
    quality: int


@dataclass(frozen=True, slots=True)
class Again:
    """An interval of a virtual channel, computed again from the versions that it names.

    Attributes
    ----------
    value, quality : what came out; no value where it is missing [scaled unit]
    beneath : days of other virtual channels among the inputs that were computed again too
    differing : of these, what came out otherwise than the record has it, in words
    """

    value: int | None
    quality: int
    beneath: int
    differing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Day:
    """A version of a virtual day as it stands in the record, and what it names."""

    channel: int
    usage_point: str
    interval_seconds: int
    starts_at: datetime
    version: int
    slots: int
    terms: list[int]
    channels: list[int]
    starts: list[datetime]
    versions: list[int]


def inputs(
    connection: Connection, channel: int, day: datetime, stretch: dict[str, datetime], version: int
) -> tuple[Input, ...]:
    """Give the inputs that the newest computed version of a day names, for one of its intervals.

    Parameters
    ----------
    day : start of the virtual channel's day
    stretch : ``start`` and ``end`` of the interval
    version : the newest that counts
    """
    limits = {"channel": channel, "day": day, "version": version, **stretch}
    rows = connection.execute(_SQL["inputs"], limits)
    return tuple(
        Input(point, kind, factor, version, _value(int(value), code), code)
        for point, kind, factor, version, value, code in rows
    )


def again(
    connection: Connection, channel: int, day: datetime, moment: datetime, version: int
) -> Again | None:
    """Compute the interval of a virtual channel that begins at a moment again.

    Parameters
    ----------
    day : start of the virtual channel's day
    version : the newest that counts

    Returns
    -------
    None where the day names no inputs, or one of them is not in the record any more
    """
    limits: dict[str, list[int] | list[datetime]] = {
        "channels": [channel], "starts": [day], "versions": [version],
    }  # fmt: skip
    found = list(_days(connection, limits))
    if not found:
        return None
    try:
        line, blocks = _computed(connection, found[0])
        beneath, differing = _beneath(connection, blocks)
    except KeyError:
        return None
    slot = int((moment - day).total_seconds()) // found[0].interval_seconds
    code = int(line.quality[0, slot])
    return Again(_value(int(line.values[0, slot]), code), code, beneath, tuple(differing))


def waiting(connection: Connection, channel: int, moment: datetime) -> bool:
    """Tell whether something came for the day of an interval that was not looked at yet."""
    limits = {"channel": channel, "moment": moment}
    ((waits,),) = connection.execute(_SQL["waiting"], limits)
    return bool(waits)


def _days(connection: Connection, limits: dict[str, list[int] | list[datetime]]) -> Iterator[_Day]:
    """Give the virtual days among versions of days, each in the newest computed version of them."""
    yield from (_Day(*row) for row in connection.execute(_SQL["days"], limits).fetchall())


def _computed(connection: Connection, day: _Day) -> tuple[Lines, BlockTable]:
    """Compute a virtual day from the versions that it names; give these too."""
    terms = tuple(
        Term(*row) for row in connection.execute(_DEFINED["terms_named"], {"terms": day.terms})
    )
    rows = connection.execute(_DEFINED["inputs_named"], {"channels": day.channels}).fetchall()
    known = Virtual(
        day.channel, day.usage_point, "", day.interval_seconds, "", terms,
        np.array(rows, np.int64).reshape(-1, 4),
    )  # fmt: skip
    blocks = readings.named(
        connection,
        np.array(day.channels, np.int32),
        np.array([int(moment.timestamp()) for moment in day.starts], np.int64),
        np.array(day.versions, np.int32),
    )
    start = int(day.starts_at.timestamp())
    return virtual.again(known, blocks, start, start + day.slots * day.interval_seconds), blocks


def _beneath(connection: Connection, blocks: BlockTable) -> tuple[int, list[str]]:
    """Compute all virtual days under some versions again; give how many, and which are otherwise.

    No channel is an input of itself, and a version names older ones only: it comes to an end.
    """
    count, differing, open_ = 0, list[str](), [blocks]
    seen: set[tuple[int, datetime, int]] = set()
    while open_:
        table = open_.pop()
        limits: dict[str, list[int] | list[datetime]] = {
            "channels": table.channel_id.tolist(),
            "starts": [readings_columns.moment(second) for second in table.starts_at],
            "versions": table.version.tolist(),
        }
        for day in _days(connection, limits):
            key = (day.channel, day.starts_at, day.version)
            if key in seen:
                continue
            seen.add(key)
            line, under = _computed(connection, day)
            open_.append(under)
            count += 1
            if not _agrees(connection, day, line):
                start = f"{day.starts_at:%Y-%m-%d %H:%M}"
                differing.append(f"{day.usage_point}, day of {start} UTC, version {day.version}")
    return count, differing


def _agrees(connection: Connection, day: _Day, line: Lines) -> bool:
    """Tell whether the record has a day as it was computed, but for what people decided."""
    limits = {"channel": day.channel, "day": day.starts_at, "version": day.version}
    rows = np.array(connection.execute(_SQL["slots"], limits).fetchall(), np.int64).reshape(-1, 3)
    slot, values, codes = rows.T
    same = (line.values[0, slot] == values) & (line.quality[0, slot] == codes)
    return bool(same.all())


def _value(value: int, code: int) -> int | None:
    return None if quality.class_table()[code] == QualityClass.MISSING else value
