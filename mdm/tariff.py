"""Tariffs as far as a bill's quantities go: which determinants, by which clock, how rounded.

A tariff is dated and stands in a TOML file in ``mdm/tariffs/``; ``docs/billing.md`` describes it.
Prices are the invoicing system's, not ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Final

from mdm import tariff_declared as kinds
from mdm.calendar import Calendar
from mdm.correction_limit import Limit
from mdm.determinants.rounding import Rounding
from mdm.tariff_declared import Declared
from mdm.tariff_gates import Gates
from schemas.reading_type import Commodity

BILLING_REGISTER: Final = "billing_register"
SOURCES: Final = (BILLING_REGISTER, "register", "interval")
"""What billed consumption may come from: a meter's own billing period, registers, intervals."""

REGISTER_START: Final = "register_start"
REGISTER_END: Final = "register_end"
REGISTER_CONSUMPTION: Final = "register_consumption"
INTERVAL_CONSUMPTION: Final = "interval_consumption"
CONSUMPTION: Final = "consumption"
TIME_OF_USE: Final = "time_of_use_consumption"
BLOCK_DEMAND: Final = "block_demand"
ROLLING_DEMAND: Final = "rolling_demand"
LOAD_FACTOR: Final = "load_factor"

DETERMINANTS: Final = {
    CONSUMPTION: "The billed quantity; its note says whether registers or intervals gave it.",
    REGISTER_START: "Reading of the register when the period or the installation begins.",
    REGISTER_END: "Reading of the register when the period or the installation ends.",
    REGISTER_CONSUMPTION: "Differences of readings × multiplier, over all installations.",
    INTERVAL_CONSUMPTION: "Sum of all intervals of the period.",
    TIME_OF_USE: "Sum of the intervals of one period of the time-of-use calendar.",
    BLOCK_DEMAND: "Highest mean over the fixed blocks of the local day, with its time.",
    ROLLING_DEMAND: "Highest mean over a window that moves by one interval, with its time.",
    LOAD_FACTOR: "Mean demand over the elapsed hours ÷ highest block demand.",
    kinds.ENERGY: "Sum of intervals of any reading type, of some or each time-of-use period.",
    kinds.NET_ENERGY: "Two flows set against each other, per interval or over the period.",
    kinds.EXCESS_REACTIVE: "Reactive energy beyond a share of active energy.",
    kinds.PEAK_DEMAND: "The n highest windows, which do not overlap, and their mean.",
    kinds.MINIMUM_DEMAND: "Lowest mean over a window.",
    kinds.COINCIDENT_DEMAND: "Demand while a system or group had its highest.",
    kinds.APPARENT_DEMAND: "Highest root of active² + reactive² over a window.",
    kinds.POWER_FACTOR: "Active ÷ apparent energy, of the period or of the highest window.",
    kinds.ADJUSTED_DEMAND: "Highest demand × required ÷ measured power factor.",
    kinds.BILLED_DEMAND: "Highest of measured demand, a share of former ones, and a minimum.",
    kinds.REGISTERS: "Consumption of the registers that the meter keeps by time of use.",
    kinds.REGISTER_DIFFERENCE: "Register of the total − sum of the registers by time of use.",
}
"""Every determinant there is, in the order in which a set lists them; those that a tariff declares
one by one come after the others, as the tariff lists them."""

LISTED: Final = frozenset(list(DETERMINANTS)[:9])
"""Those that a tariff asks for by their name alone."""


class TariffError(ValueError):
    """A tariff is wrong or does not exist; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is computed for a usage point, from a date on.

    Attributes
    ----------
    register : reading type of the dial readings, None without
    interval : reading type of the intervals, None without
    determinants : names out of ``LISTED``
    declared : determinants with keys of their own
    losses : loss factors by name, by first day
    proration : ``days`` if a part of a period may have its share of days where no reading parts it
    parts : of a period in which it changes, oldest first; else empty
    sources : of the billed consumption, out of ``SOURCES``; the first complete one counts
    unit : of quantities, out of ``rounding.UNITS``; demand is in this unit per hour
    block_seconds : length of the fixed demand block [s]
    rolling_seconds : lengths of the moving demand windows [s]
    definition : the whole tariff as canonical JSON, from which it can be made again
    wait_days : how long actuals are waited for; None where the cycle says
    corrections : from which difference on a change after billing matters
    """

    name: str
    commodity: Commodity
    effective_from: date
    calendar: str
    register: str | None
    interval: str | None
    determinants: frozenset[str]
    sources: tuple[str, ...]
    unit: str
    quantity_rounding: Rounding
    demand_rounding: Rounding
    ratio_rounding: Rounding
    block_seconds: int
    rolling_seconds: tuple[int, ...]
    gates: Gates
    definition: str
    wait_days: int | None = None
    corrections: Limit = field(default_factory=Limit)
    declared: tuple[Declared, ...] = ()
    losses: Mapping[str, tuple[tuple[date, Decimal], ...]] = field(default_factory=dict)
    proration: str = "readings"
    parts: tuple[Part, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of the definition, hexadecimal."""
        return hashlib.sha256(self.definition.encode()).hexdigest()

    @property
    def label(self) -> str:
        """The tariff's name, commodity and date, for people."""
        return f"{self.name} ({self.commodity}, from {self.effective_from})"


@dataclass(frozen=True, slots=True)
class Part:
    """From a local day on, a tariff with its calendar, and whose consumption it is."""

    starts_on: date
    account: str
    tariff: Tariff
    calendar: Calendar


@dataclass(frozen=True, slots=True)
class Tariffs:
    """All tariffs, to be asked by name, commodity and day."""

    by_key: Mapping[tuple[str, str], tuple[Tariff, ...]]

    def changes(self, name: str, commodity: str) -> list[date]:
        """List the days on which versions of a tariff begin; none if it is unknown."""
        return [tariff.effective_from for tariff in self.by_key.get((name, commodity), ())]

    def on(self, name: str, commodity: str, day: date) -> Tariff:
        """Give the tariff in force on a local day.

        Raises
        ------
        TariffError
            if there is none; with the known names or the date on which it begins.
        """
        versions = self.by_key.get((name, commodity))
        if versions is None:
            known = ", ".join(sorted(n for n, c in self.by_key if c == commodity))
            raise TariffError(f"no tariff {name!r} for {commodity}; known: {known}")
        if day < versions[0].effective_from:
            raise TariffError(
                f"tariff {name!r} for {commodity} begins on {versions[0].effective_from}, "
                f"after {day}; add an earlier version of it"
            )
        return [tariff for tariff in versions if tariff.effective_from <= day][-1]


def collected(tariffs: Iterable[Tariff]) -> Tariffs:
    """Arrange tariffs for asking.

    Raises
    ------
    TariffError
        if a tariff begins twice on the same day.
    """
    by_key: dict[tuple[str, str], tuple[Tariff, ...]] = {}
    for tariff in sorted(tariffs, key=lambda tariff: tariff.effective_from):
        versions = by_key.get((tariff.name, tariff.commodity), ())
        if versions and versions[-1].effective_from == tariff.effective_from:
            raise TariffError(f"tariff {tariff.label} is there twice")
        by_key[tariff.name, tariff.commodity] = (*versions, tariff)
    return Tariffs(by_key)
