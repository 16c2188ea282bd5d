"""What an interval of a virtual channel was made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from schemas import quality, statements
from schemas.database import Connection
from schemas.quality import QualityClass

_SQL = statements.load("mdm", "explain_virtual.sql")


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


def inputs(
    connection: Connection, channel: int, day: datetime, stretch: dict[str, datetime]
) -> tuple[Input, ...]:
    """Give the inputs that the newest computed version of a day names, for one of its intervals.

    Parameters
    ----------
    day : start of the virtual channel's day
    stretch : ``start`` and ``end`` of the interval
    """
    rows = connection.execute(_SQL["inputs"], {"channel": channel, "day": day, **stretch})
    return tuple(
        Input(point, kind, factor, version, _value(int(value), code), code)
        for point, kind, factor, version, value, code in rows
    )


def _value(value: int, code: int) -> int | None:
    return None if quality.class_table()[code] == QualityClass.MISSING else value
