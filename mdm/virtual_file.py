"""Definitions of virtual channels as people write them: a CSV file, one line a term."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import groupby
from typing import Any, Final, Literal, cast, get_args

from mdm import csv_rows, registry_row
from mdm.registry_row import Rejected
from schemas import reading_type
from schemas.reading_type import Commodity

Kind = Literal["total", "balance"]
Role = Literal["in", "out", "loss"]

COLUMNS: Final = (
    "virtual", "kind", "commodity", "sector", "time_zone", "tariff", "billing_group",
    "reading_type", "interval_seconds", "usage_point", "source_reading_type", "factor", "role",
    "from", "until",
)  # fmt: skip
_LARGEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Term:
    """One line: another channel, times a signed factor, in force on some local days.

    ``until`` is the day after the last; None while it goes on.
    """

    line: int
    usage_point: str
    reading_type: str
    factor: Decimal
    role: Role
    starts_on: date
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class Definition:
    """A virtual channel with all its terms."""

    virtual: str
    kind: Kind
    commodity: Commodity
    sector: str
    time_zone: str
    tariff: str
    billing_group: str
    reading_type: str
    interval_seconds: int
    terms: tuple[Term, ...] = ()


def parse(lines: Iterable[str]) -> Iterator[Definition | Rejected]:
    """Read definitions; one with a bad line is refused whole, since a sum without a term is wrong.

    Lines of one virtual usage point stand together, and say the same about it.

    Raises
    ------
    csv_rows.HeadingError
    """
    seen: set[str] = set()
    every = csv_rows.rows(lines, COLUMNS)
    for name, rows in groupby(every, lambda row: row.cells["virtual"]):
        first, *_ = found = [row.refusal() or _row(row.line, row.cells) for row in rows]
        bad = [each for each in found if isinstance(each, Rejected)]
        if name in seen:
            line = first.line if isinstance(first, Rejected) else first.terms[0].line
            bad = [
                Rejected(line, "virtual", name, "lines of one virtual usage point stand together")
            ]
        seen.add(name)
        yield from bad
        if not bad:
            yield _joined([each for each in found if isinstance(each, Definition)])


def _joined(found: list[Definition]) -> Definition | Rejected:
    first = found[0]
    for each in found:
        if replace(each, terms=()) != replace(first, terms=()):
            reason = "what a line says about the virtual usage point differs from its first line"
            return Rejected(each.terms[0].line, "virtual", each.virtual, reason)
    return replace(first, terms=tuple(term for each in found for term in each.terms))


def _row(line: int, cells: Mapping[str, str]) -> Definition | Rejected:
    values: dict[str, Any] = {}
    for column, text in cells.items():
        try:
            values[column] = _READERS[column](text)
        except ValueError as problem:
            return Rejected(line, column, text, str(problem))
    values["source_reading_type"] = values["source_reading_type"] or values["reading_type"]
    values["role"] = values["role"] or ("in" if values["factor"] > 0 else "out")
    problem_ = _together(line, values)
    if problem_:
        return problem_
    term = Term(
        line, values["usage_point"], values["source_reading_type"], values["factor"],
        values["role"], values["from"], values["until"],
    )  # fmt: skip
    return Definition(**{column: values[column] for column in COLUMNS[:9]}, terms=(term,))


def _together(line: int, values: Mapping[str, Any]) -> Rejected | None:
    """Check what columns must be to each other."""
    kind, source = (
        reading_type.named(values[name]) for name in ("reading_type", "source_reading_type")
    )
    if kind.commodity != values["commodity"]:
        reason = f"is one of {kind.commodity}, not of {values['commodity']}"
        return Rejected(line, "reading_type", kind.name, reason)
    if source.unit != kind.unit:
        reason = f"is in {source.unit}, the virtual channel in {kind.unit}"
        return Rejected(line, "source_reading_type", source.name, reason)
    if values["until"] and values["until"] <= values["from"]:
        reason = f"must be after from, {values['from']}"
        return Rejected(line, "until", str(values["until"]), reason)
    if values["role"] == "loss" and values["factor"] > 0:
        reason = "a loss takes away: its factor must be negative"
        return Rejected(line, "factor", str(values["factor"]), reason)
    return None


def _required(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _one_of(allowed: Callable[[], frozenset[str]], *, empty: bool = False) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in allowed() and not (empty and not text):
            raise ValueError(f"must be one of {', '.join(sorted(allowed()))}")
        return text

    return read


@cache
def _intervals() -> frozenset[str]:
    known = reading_type.table().values()
    return frozenset(each.name for each in known if each.accumulation == "delta")


def _seconds(text: str) -> int:
    if not text.isdecimal() or not int(text) or 86400 % int(text):
        raise ValueError("must be a number of seconds that divides a day, such as 900 or 3600")
    return int(text)


def _factor(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not value or abs(value) > _LARGEST:
        raise ValueError(f"must be a number other than 0, from -{_LARGEST} to {_LARGEST}")
    if -cast("int", value.normalize().as_tuple().exponent) > 6:
        raise ValueError("may have at most 6 decimals")
    return value


def _day_or_none(text: str) -> date | None:
    return csv_rows.day(text) if text else None


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "virtual": _required,
    "kind": _one_of(lambda: frozenset(get_args(Kind))),
    "commodity": _one_of(lambda: frozenset(get_args(Commodity))),
    "sector": _one_of(registry_row.sectors),
    "time_zone": registry_row.zone,
    "tariff": _required,
    "billing_group": _required,
    "reading_type": _one_of(_intervals),
    "interval_seconds": _seconds,
    "usage_point": _required,
    "source_reading_type": _one_of(_intervals, empty=True),
    "factor": _factor,
    "role": _one_of(lambda: frozenset(get_args(Role)), empty=True),
    "from": csv_rows.day,
    "until": _day_or_none,
}
