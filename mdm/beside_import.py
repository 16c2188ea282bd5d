"""Takes in from files what stands beside readings: check meters, and days' temperatures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

import psycopg

from mdm import csv_rows, vee_late
from mdm.registry_row import Rejected
from mdm.vee_late import Late
from schemas import statements
from schemas.database import Connection

CHECK_COLUMNS: Final = ("usage_point", "check_usage_point", "from", "until")
TEMPERATURE_COLUMNS: Final = ("place", "time", "celsius")
_SQL = statements.load("mdm", "beside_import.sql")
_COLDEST, _HOTTEST = -90, 70


@dataclass(slots=True)
class Report:
    """What an import did: rows that changed something, rows that were there, lines refused."""

    changed: int = 0
    unchanged: int = 0
    rejected: list[Rejected] = field(default_factory=list)


class _Bad(ValueError):
    """A cell that was not understood."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


def check_meters(connection: Connection, lines: Iterable[str], *, now: datetime) -> Report:
    """Take which usage point's meter counts the same flow as another's, from a day until a day.

    Days that were validated without it are validated again where it may change something; what was
    known before is kept. Importing the same file again changes nothing.

    Raises
    ------
    csv_rows.HeadingError
        if a column is missing from the heading.
    """
    report = Report()
    connection.execute(_SQL["record_at"], {"now": now.isoformat()})
    for row in csv_rows.rows(lines, CHECK_COLUMNS):
        line, cells, _ = row
        if refusal := row.refusal():
            report.rejected.append(refusal)
            continue
        try:
            with connection.transaction():
                changed = _check_meter(connection, cells, now)
        except _Bad as bad:
            report.rejected.append(Rejected(line, bad.column, bad.value, bad.reason))
        except psycopg.errors.ExclusionViolation:
            reason = "it has another check meter at that time; end that one first (until)"
            report.rejected.append(Rejected(line, "usage_point", cells["usage_point"], reason))
        else:
            report.changed += changed
            report.unchanged += not changed
    return report


def _check_meter(connection: Connection, cells: Mapping[str, str], now: datetime) -> bool:
    point, check = (
        _read(cells, name, lambda text: _place(connection, text)) for name in CHECK_COLUMNS[:2]
    )
    if point == check:
        raise _Bad("check_usage_point", cells["check_usage_point"], "cannot check itself")
    since = _read(cells, "from", csv_rows.day)
    until = _read(cells, "until", csv_rows.day) if cells["until"] else None
    if until and until <= since:
        raise _Bad("until", cells["until"], f"must be after from, {since}")
    row = {"usage_point": point, "check": check, "starts_on": since, "ends_on": until}
    known = connection.execute(_SQL["check"], row).fetchone()
    if known is not None and known[0] == until:
        return False
    connection.execute(_SQL["put_check" if known is None else "end_check"], row)
    # Where only its end was moved, days before the earlier of both ends have what they had.
    far = now.date() + timedelta(days=2)
    first = since if known is None else min(known[0] or far, until or far)
    last = (until or far) if known is None else max(known[0] or far, until or far)
    if first < last:
        late = Late(kind="check_meter", usage_point=point, first=first,
                    last=last - timedelta(days=1), own=True)  # fmt: skip
        vee_late.note(connection, [late], now=now)
    return True


def temperatures(connection: Connection, lines: Iterable[str], *, now: datetime) -> Report:
    """Take temperatures of days, or the means of those of hours, by place.

    A place is a billing group, or a time zone for all usage points whose billing group has none. A
    moment belongs to the date that it says; the mean is that of the file's moments of a day. Days
    that were validated without are validated again where an estimator may use them.

    Raises
    ------
    csv_rows.HeadingError
        if a column is missing from the heading.
    """
    report, days = Report(), dict[tuple[str, date], list[float]]()
    for row in csv_rows.rows(lines, TEMPERATURE_COLUMNS):
        line, cells, _ = row
        if refusal := row.refusal():
            report.rejected.append(refusal)
            continue
        try:
            place, day = _read(cells, "place", _named), _read(cells, "time", _date_of)
            degrees = _read(cells, "celsius", _celsius)
            days.setdefault((place, day), []).append(degrees)
        except _Bad as bad:
            report.rejected.append(Rejected(line, bad.column, bad.value, bad.reason))
    changed: dict[tuple[str, bool], list[date]] = {}
    for (place, day), found in sorted(days.items()):
        values = {"place": place, "day": day, "celsius": math.fsum(found) / len(found),
               "readings": len(found), "now": now}  # fmt: skip
        known = connection.execute(_SQL["temperature"], values).fetchone() is not None
        if connection.execute(_SQL["put_temperature"], values).rowcount:
            changed.setdefault((place, known), []).append(day)
            report.changed += 1
        else:
            report.unchanged += 1
    vee_late.note(connection, _late(changed), now=now)
    return report


def _late(changed: Mapping[tuple[str, bool], list[date]]) -> Iterator[Late]:
    """Tell of which days of which places the temperature is new, or another than before."""
    for (place, known), days in changed.items():
        for first, last in vee_late.stretches(days):
            yield Late(kind="temperature", place=place, first=first, last=last, own=known)


def _read(cells: Mapping[str, str], column: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(cells[column])
    except ValueError as problem:
        raise _Bad(column, cells[column], str(problem)) from None


def _place(connection: Connection, mrid: str) -> int:
    row = connection.execute(_SQL["place"], {"mrid": mrid}).fetchone()
    if row is None:
        raise ValueError("no such usage point; import the registry first")
    return int(row[0])


def _named(text: str) -> str:
    if not text:
        raise ValueError("must name a billing group or a time zone")
    return text


def _date_of(text: str) -> date:
    try:
        return csv_rows.day(datetime.fromisoformat(text).date().isoformat())
    except ValueError:
        raise ValueError("must be a day or a local time such as 2026-06-01T14:00") from None


def _celsius(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not _COLDEST <= value <= _HOTTEST:
        raise ValueError(f"must be degrees Celsius, {_COLDEST} to {_HOTTEST}")
    return value
