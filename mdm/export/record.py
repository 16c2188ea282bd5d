"""What an export says of one usage point; every format writes the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from mdm.determinants.determinant import Counts
from mdm.export.series import NOTHING, Series


class Line(NamedTuple):
    """One determinant; ``previous`` and ``difference`` only where a billed version is corrected."""

    name: str
    reading_type: str
    part: str
    value: Decimal | None
    unit: str
    starts_at: datetime
    ends_at: datetime
    counts: Counts
    rounding: str
    note: str
    previous: Decimal | None = None
    difference: Decimal | None = None


class Record(NamedTuple):
    """A usage point's determinants of one billing period.

    Attributes
    ----------
    key : idempotency key: the same bill has the same key, in whichever export it comes
    corrects : version that was billed and that this one replaces, None for a first bill
    digest : SHA-256 of the determinant set
    series : intervals and register readings that it was computed from; only in formats that
        carry them
    """

    key: str
    usage_point: str
    commodity: str
    sector: str
    tariff: str
    time_zone: str
    starts_at: datetime
    ends_at: datetime
    version: int
    corrects: int | None
    digest: str
    lines: Sequence[Line]
    series: Series = NOTHING


class LeftOut(NamedTuple):
    """Something that a format has no place for."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Head:
    """What all records of an export share; ``addressee`` is empty where no calendar names one."""

    export: str
    billing_group: str
    starts_on: date
    ends_on: date
    prepared_at: datetime
    software: str
    addressee: str = ""


def key(usage_point: str, starts_on: date, ends_on: date, version: int) -> str:
    """Give the idempotency key of a bill."""
    return f"{usage_point}/{_days(starts_on, ends_on)}/{version}"


@lru_cache(maxsize=64)
def _days(starts_on: date, ends_on: date) -> str:
    return f"{starts_on}/{ends_on}"


@lru_cache(maxsize=4096)
def instant(moment: datetime) -> str:
    """Write a moment as every format does: ISO 8601, UTC, to the second."""
    return f"{moment.astimezone(UTC).isoformat(timespec='seconds')[:19]}Z"


def plain(value: Decimal | None) -> str | None:
    """Write a figure without an exponent, all its decimals kept."""
    return None if value is None else f"{value:f}"
