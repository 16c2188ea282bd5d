"""What the declared determinants of one usage point are computed from, and how lines are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from mdm.calendar import Calendar
from mdm.determinants import facts as facts_
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.facts import Dated, Facts
from mdm.determinants.registers import Span
from mdm.determinants.rounding import RATES, UNITS
from mdm.determinants.series import Series
from mdm.tariff import Tariff
from mdm.tariff_declared import Declared
from schemas import reading_type
from schemas.period import Period, local_days


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """A period's local days and time-of-use periods, shared by the usage points of a zone."""

    calendar: Calendar
    zone: ZoneInfo
    period: Period
    _numbers: dict[int, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def days(self) -> list[date]:
        """The local days, in order."""
        return [day for day, _ in local_days(self.period, self.zone)]

    def numbers(self, interval_seconds: int) -> NDArray[np.uint8]:
        """Give the time-of-use period of every slot, as an index into the calendar's periods."""
        if interval_seconds not in self._numbers:
            found = self.calendar.of_period(self.period, self.zone, interval_seconds)
            self._numbers[interval_seconds] = found
        return self._numbers[interval_seconds]

    def within(self, series: Series, periods: Sequence[str]) -> NDArray[np.bool_] | None:
        """Tell which slots lie in the named periods; None where all are meant.

        Raises
        ------
        ValueError
            if the calendar has no period of that name.
        """
        if not periods:
            return None
        known = self.calendar.periods
        if unknown := sorted(set(periods) - set(known)):
            raise ValueError(
                f"calendar {self.calendar.name} has no period {unknown[0]!r}; "
                f"known: {', '.join(known)}"
            )
        wanted = [known.index(name) for name in periods]
        return np.isin(self.numbers(series.interval_seconds), wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """One usage point in one period.

    Attributes
    ----------
    series : its intervals by reading type; one that it has no channel of is not in it
    dials : its registers by reading type, installations with their readings, oldest first
    starts_at, ends_at : the period [s since 1970-01-01 UTC]
    """

    tariff: Tariff
    clock: Clock
    series: Mapping[str, Series]
    dials: Mapping[str, Sequence[Span]]
    facts: Facts
    starts_at: int
    ends_at: int

    def losses(self, name: str) -> Dated:
        """Give a loss factor's dated values: the usage point's own, else the tariff's."""
        return self.facts.losses.get(name) or self.tariff.losses.get(name, ())

    def factors(self, names: Sequence[str]) -> list[Fraction] | str:
        """Give the product of loss factors on every local day, or say which is missing when."""
        found = []
        for day in self.clock.days:
            product = Fraction(1)
            for name in names:
                factor = facts_.factor_on(self.losses(name), day)
                if factor is None:
                    return f"there is no loss factor {name} on {day}"
                product *= factor
            found.append(product)
        return found

    def quantity(
        self, of: Declared, amount: Fraction | None, counts: Counts, *, more: str = "",
        kind: str = "", note: str = "", name: str = "",
    ) -> Determinant:  # fmt: skip
        """Write a line about a quantity of the whole period.

        Parameters
        ----------
        amount : [scaled unit of the reading type]; None where it cannot be said
        kind : reading type, the declared one unless given
        """
        kind = kind or of.interval
        rounding = self.tariff.quantity_rounding
        value = None
        if amount is not None:
            exact = amount * factor(kind, of.unit)
            value = rounding.of(exact.numerator, exact.denominator)
        return Determinant(
            *(name or of.kind, kind, of.part(more), value, of.unit, self.starts_at, self.ends_at),
            *(counts, str(rounding), note),
        )

    def absent(self, of: Declared, unit: str, rounding: str, note: str) -> Determinant:
        """Write a line that has no value, and why."""
        return Determinant(
            *(of.kind, of.interval, of.part(), None, unit, self.starts_at, self.ends_at),
            *(Counts(), rounding, note),
        )


def factor(kind: str, unit: str) -> Fraction:
    """Give the fraction that turns a reading type's stored unit into a billed one."""
    return Fraction(*UNITS[reading_type.named(kind).unit][unit])


def rate(unit: str) -> str:
    """Give the unit of demand."""
    return RATES[unit]
