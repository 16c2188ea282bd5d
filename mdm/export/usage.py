"""Usage of billing systems: one event a determinant, with a name that it has for ever.

Billing systems add usage up, or take the highest or newest figure of a period. ``amount`` is what
may be added up: the figure, and in a correction the difference to what was billed. ``value`` is the
figure as it stands. Figures without a value are no usage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mdm import tariff as names
from mdm.determinants import rounding
from mdm.export.record import LeftOut, Line, Record, instant, plain

# What may be added up is an amount of something: demands have units per hour, ratios none.
_AMOUNTS: Final = {unit for units in rounding.UNITS.values() for unit in units}
_READINGS: Final = {names.REGISTER_START, names.REGISTER_END}
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Usage:
    """One figure as a billing system takes it.

    Attributes
    ----------
    id : idempotency key: the same figure of the same bill has the same, in whichever export
    code : what is measured: the determinant
    at : a moment in the billing period, to the second
    amount : to be added up
    """

    id: str
    code: str
    subject: str
    at: datetime
    amount: str
    line: Line
    properties: Mapping[str, object]


def usages(record: Record) -> Iterator[Usage]:
    """Give a usage point's figures, those without a value left out (see ``left_out``)."""
    for line in record.lines:
        if line.value is not None:
            yield _usage(record, line)


def left_out(record: Record) -> Iterator[LeftOut]:
    """Say which figures have no value to send, and why."""
    for line in record.lines:
        if line.value is None:
            yield LeftOut(line.name, line.note)


def refusal(record: Record) -> str | None:
    """Say why there is no usage at all of a usage point, None if there is."""
    if all(line.value is None for line in record.lines):
        return "none of its figures has a value"
    return None


def _usage(record: Record, line: Line) -> Usage:
    value = plain(line.value) or ""
    adds = line.unit in _AMOUNTS and line.name not in _READINGS and line.difference is not None
    amount = (plain(line.difference) if adds else None) or value
    return Usage(
        id="/".join((record.key, line.name, line.reading_type, line.part)),
        code=line.name,
        subject=record.usage_point,
        at=_inside(record, line),
        amount=amount,
        line=line,
        properties={
            "amount": amount,
            "value": value,
            "unit": line.unit,
            "part": line.part,
            "reading_type": line.reading_type,
            "starts_at": instant(line.starts_at),
            "ends_at": instant(line.ends_at),
            **line.counts._asdict(),
            "rounding": line.rounding,
            "note": line.note,
            "commodity": record.commodity,
            "sector": record.sector,
            "tariff": record.tariff,
            "key": record.key,
            "version": record.version,
            "corrects": record.corrects,
            "digest": record.digest,
        },
    )


def _inside(record: Record, line: Line) -> datetime:
    """Give a moment of the billing period: its end belongs to the next one already."""
    return max(min(line.ends_at, record.ends_at) - _SECOND, record.starts_at)
