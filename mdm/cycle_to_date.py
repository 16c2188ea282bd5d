"""A usage point's determinants so far, of the cycle that is not over: never kept, never final."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from mdm import (
    billing_terms,
    calendar_file,
    cycle,
    cycle_calendar,
    cycle_inputs,
    tariff_file,
    tariff_parts,
)
from mdm.cycle import CycleError
from mdm.determinants.determinant import Counts, Determinant
from mdm.tariff import Tariffs
from schemas.assets import UsagePoint
from schemas.database import Connection
from schemas.period import Period, local_day


@dataclass(frozen=True, slots=True)
class ToDate:
    """What a usage point's running cycle has so far.

    Attributes
    ----------
    starts_on, until : whole local days, ``until`` not among them: today
    ends_on : first day that is not in the cycle; None if no calendar says
    tariff : for people
    counts : the intervals so far, by quality
    """

    usage_point: str
    starts_on: date
    until: date
    ends_on: date | None
    tariff: str
    counts: Counts
    determinants: Sequence[Determinant]


def to_date(
    connection: Connection, point: UsagePoint, *, now: datetime, tariffs: Tariffs | None = None
) -> ToDate | None:
    """Compute what a usage point has used in its running cycle; None on the cycle's first day.

    The cycle is the open one that has today, else the calendar's, else the local month. Nothing is
    written: what is not over is not exported.

    Raises
    ------
    CycleError
        if its data cannot be computed.
    TariffError, CalendarError
        if its tariff or calendar does not exist or begins later.
    """
    zone = ZoneInfo(point.time_zone)
    today = now.astimezone(zone).date()
    starts_on, ends_on = _running(connection, point.billing_group, today)
    if starts_on >= today:
        return None
    tariff = tariff_parts.during(
        tariffs or tariff_file.standing(),
        *(point.tariff, point.commodity),
        days=(starts_on, today),
        terms=billing_terms.terms(connection, [point.id], today).get(point.id, ()),
    )
    period = Period(local_day(starts_on, zone).start, local_day(today, zone).start)
    calendar = calendar_file.named(tariff.calendar)
    batch = cycle_inputs.gathered(connection, tariff, calendar, [point], period, known_at=now)
    found, wrong = cycle.results(batch, [point])
    if wrong:
        raise CycleError(f"{point.mrid}: {wrong[0].reason}")
    result = found[point.id]
    return ToDate(
        point.mrid, starts_on, today, ends_on, tariff.label, result.counts, result.determinants
    )


def _running(connection: Connection, group: str, today: date) -> tuple[date, date | None]:
    """Give the days of the cycle that a day is in."""
    for one in cycle.cycles(connection, billing_group=group):
        if one.starts_on <= today < one.ends_on:
            return one.starts_on, one.ends_on
    for plan in cycle_calendar.standing(connection):
        if plan.group == group:
            for span in cycle_calendar.coming(plan, today, 1):
                if span.starts_on <= today:
                    return span.starts_on, span.ends_on
    return today.replace(day=1), None
