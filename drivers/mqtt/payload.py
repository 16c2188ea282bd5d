"""What an MQTT message is, what is made of it, and JSON read without surprises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import cache
from typing import Any, Final, NoReturn

from drivers import quantity
from schemas import quality, reading_type
from schemas.reading import RegisterReading

LARGEST: Final = 65_536
"""Longest payload that is looked into [bytes]."""

# Half of the shortest step that clocks go back by is how late a message may be and still be told.
_FRESH: Final = timedelta(minutes=15)
_EARLIEST: Final = 946_684_800  # 2000-01-01, before any of these gateways
_LATEST: Final = 4_102_444_800  # 2100-01-01


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came from the broker; ``received_at`` is ours, aware, UTC."""

    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a message says.

    Attributes
    ----------
    identity : the meter's name in the topic: how the registry knows it
    serial : the meter's own number in the payload, empty where it is not there
    readings : may be none, where the quantity is known and has no reading type
    unmapped : the registry must name a mapping before there can be readings
    """

    identity: str
    serial: str
    readings: tuple[RegisterReading, ...]
    unmapped: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that nothing could be made of, and why: for the quarantine."""

    reason: str


class Malformed(ValueError):
    """A payload breaks its convention. It never leaves ``payloads.decode``."""


def document(payload: bytes) -> Mapping[str, Any]:
    """Read a JSON object; numbers stay exact.

    Raises
    ------
    Malformed
        if it is something else.
    """
    if len(payload) > LARGEST:
        raise Malformed(f"{len(payload)} bytes are more than {LARGEST}")
    try:
        read = _DECODER.decode(payload.decode())
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise Malformed(f"not JSON: {error}") from error
    if not isinstance(read, dict):
        raise Malformed("JSON, but not an object")
    return read


def group(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Take an object inside an object."""
    inner = fields.get(name)
    if not isinstance(inner, dict):
        raise Malformed(f"no group {name!r}")
    return inner


def text(fields: Mapping[str, Any], name: str) -> str:
    """Take a text, which must be there, not empty and printable."""
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise Malformed(f"no text {name!r}")
    return value.strip()


def optional_text(fields: Mapping[str, Any], name: str) -> str:
    """Take a text that may be left out or empty: then the empty text."""
    return text(fields, name) if fields.get(name) else ""


def number(fields: Mapping[str, Any], name: str) -> Decimal:
    """Take a number, which must be there."""
    value = fields.get(name)
    if not isinstance(value, Decimal):
        raise Malformed(f"no number {name!r}")
    return value


def reading(
    kind: str, unit: str, value: Decimal, read_at: datetime, code: int = quality.VALID
) -> RegisterReading:
    """Make a reading, rounded once to the reading type's scaled unit.

    Raises
    ------
    Malformed
        if the number cannot be stored.
    """
    try:
        scaled = quantity.rounded(value, _scale(kind, unit))
    except quantity.OutOfRange as error:
        raise Malformed(f"{kind}: {error}") from error
    return RegisterReading(kind, read_at, scaled, code)


def epoch(seconds: Decimal) -> datetime:
    """Read a time given as seconds since 1970, with or without a fraction."""
    if not seconds.is_finite() or not _EARLIEST <= seconds < _LATEST:
        raise Malformed(f"time {str(seconds)[:40]} is not between 2000 and 2100")
    return datetime.fromtimestamp(int(seconds), UTC)


def moment(written: str, zone: tzinfo, near: datetime) -> datetime:
    """Read an ISO time.

    Parameters
    ----------
    zone : of times without an offset
    near : chooses between the two meanings of a local time when clocks go back

    Returns
    -------
    aware, UTC
    """
    return min(_meanings(written, zone), key=lambda meant: abs(meant - near))


def is_sure(written: str, zone: tzinfo, near: datetime) -> bool:
    """Tell whether a time means one moment: also in the hour that comes twice, if it is fresh.

    Parameters
    ----------
    near : when it was received
    """
    meanings = _meanings(written, zone)
    return len(meanings) == 1 or any(abs(meant - near) < _FRESH for meant in meanings)


def _meanings(written: str, zone: tzinfo) -> set[datetime]:
    try:
        read = datetime.fromisoformat(written)
        both = [read]
        if read.tzinfo is None:
            both = [read.replace(tzinfo=zone, fold=fold) for fold in (0, 1)]
        return {epoch(Decimal(int(one.timestamp()))) for one in both}
    except (ValueError, OverflowError) as error:
        raise Malformed(f"time {written[:40]!r}: {error}") from error


@cache
def _scale(kind: str, unit: str) -> Decimal:
    return quantity.factor(unit, reading_type.named(kind))


def _constant(name: str) -> NoReturn:
    raise Malformed(f"{name} is not a number")


# Made once: json.loads makes one for each text.
_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_int=Decimal, parse_constant=_constant)
