"""From sums, peaks and readings to the determinants that a tariff asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from mdm import tariff as names
from mdm.determinants import determinant, registers
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.pages import Page, Pages
from mdm.determinants.registers import MICRO, Consumption, Reading, Span
from mdm.determinants.rounding import RATES, UNITS
from mdm.determinants.supply import Supply
from mdm.tariff import Tariff
from schemas import reading_type
from schemas.quality import QualityClass

EXACT: Final = "exact"
"""How a dial is rounded: not at all."""


@dataclass(frozen=True, slots=True)
class Account:
    """One usage point in one period, ready to be put in figures.

    Attributes
    ----------
    supply : its intervals
    periods : number and name of the time-of-use periods that occur in the period
    spans : its installations with their readings, oldest first
    starts_at, ends_at : the period [s since 1970-01-01 UTC]
    billing : the meter's own billing period nearest to it, with both readings; may be empty
    """

    tariff: Tariff
    supply: Supply
    periods: Sequence[tuple[int, str]]
    spans: Sequence[Span]
    starts_at: int
    ends_at: int
    billing: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """A usage point's determinants, and what its gates look at.

    Attributes
    ----------
    counts : all intervals by quality
    difference : intervals − registers [scaled unit / 10⁶]; None unless both are complete
    register_micro : consumption by registers [scaled unit / 10⁶], None if they do not say
    overlapping : whether two channels have intervals of the same time
    """

    determinants: Sequence[Determinant]
    counts: Counts
    difference: int | None
    register_micro: int | None
    overlapping: bool


def composed(account: Account) -> Result:
    """Compute a usage point's determinants, in the order of ``tariff.DETERMINANTS``."""
    counts = account.supply.counts
    consumption = (
        registers.consumption(account.spans, account.supply.bridge)
        if account.tariff.register
        else Consumption(None, 0, "no register is read")
    )
    micro, difference = consumption.micro, None
    if micro is not None and counts.expected > 0 and counts.missing == 0:
        difference = account.supply.total * MICRO - micro
    page = _Page(account, counts, consumption)
    overlapping = account.supply.overlapping
    return Result(tuple(page.lines()), counts, difference, micro, overlapping)


def digests(results: Mapping[int, Result]) -> dict[int, str]:
    """Give the SHA-256 of each usage point's determinants; of pages, of all at once."""
    pages: dict[Pages, list[str]] = {}
    found = {}
    for point, result in results.items():
        page = result.determinants
        if not isinstance(page, Page):
            found[point] = determinant.digest(page)
            continue
        if page.pages not in pages:
            pages[page.pages] = page.pages.digests()
        found[point] = pages[page.pages][page.row]
    return found


@dataclass(frozen=True, slots=True)
class _Page:
    """One usage point's page of the bill, written line by line."""

    account: Account
    counts: Counts
    consumption: Consumption

    def lines(self) -> Iterable[Determinant]:
        writers: dict[str, Callable[[], Iterable[Determinant]]] = {
            names.CONSUMPTION: self._billed,
            names.REGISTER_START: lambda: self._readings(names.REGISTER_START),
            names.REGISTER_END: lambda: self._readings(names.REGISTER_END),
            names.REGISTER_CONSUMPTION: self._by_register,
            names.INTERVAL_CONSUMPTION: self._by_interval,
            names.TIME_OF_USE: self._time_of_use,
            names.BLOCK_DEMAND: self._block,
            names.ROLLING_DEMAND: self._rolling,
            names.LOAD_FACTOR: self._load_factor,
        }
        for name, write in writers.items():
            if name in self.account.tariff.determinants:
                yield from write()

    def _billed(self) -> Iterable[Determinant]:
        # One reading type and no part, whatever the source: a correction compares like with like.
        kind = self.account.tariff.register or self.account.tariff.interval or ""
        whys = []
        for source in self.account.tariff.sources:
            line = next(iter(self._by(source)))
            if line.value is not None and (source != "interval" or line.counts.missing == 0):
                note = f"by {source}"
                if source == names.BILLING_REGISTER:
                    # From when to when it is, or what had to be bridged.
                    note += line.note if line.note.startswith(" ") else f", {line.note}"
                yield self._line(names.CONSUMPTION, kind, "", line.value, line.counts, note=note)
                return
            whys.append(line.note or f"{line.counts.missing} intervals are missing")
        yield self._line(names.CONSUMPTION, kind, "", None, self.counts, note="; ".join(whys))

    def _by(self, source: str) -> Iterable[Determinant]:
        if source == names.BILLING_REGISTER:
            return self._by_billing_register()
        return self._by_register() if source == "register" else self._by_interval()

    def _by_billing_register(self) -> Iterable[Determinant]:
        """Write what the meter counted in its own billing period; the note says when that was."""
        kind, spans = self.account.tariff.register or "", self.account.billing
        note, value = "the meter stored no billing period", None
        if spans:
            found = registers.consumption(spans, self.account.supply.bridge)
            value = None if found.micro is None else self._quantity(kind, found.micro, MICRO)
            bounds = spans[0].stretch.starts_at, spans[-1].stretch.ends_at
            note = found.note or f" from {registers.said(*bounds)}"
        counts = _tally(r for span in spans for r in (span.start, span.end))
        yield self._line(names.CONSUMPTION, kind, "", value, counts, note=note)

    def _readings(self, name: str) -> Iterable[Determinant]:
        """One line an installation: what the dial showed, in the register's own unit."""
        register = self.account.tariff.register
        if register is None:
            return
        shown = reading_type.named(register)
        parts = _distinct([span.stretch.end_device for span in self.account.spans])
        for span, part in zip(self.account.spans, parts, strict=True):
            at_start = name == names.REGISTER_START
            reading = span.start if at_start else span.end
            moment = span.stretch.starts_at if at_start else span.stretch.ends_at
            yield Determinant(
                name=name,
                reading_type=register,
                part=part,
                value=shown.shown(reading.value) if reading else None,
                unit=shown.display_unit,
                starts_at=reading.read_at if reading else moment,
                ends_at=reading.read_at if reading else moment,
                counts=_tally([reading]),
                rounding=EXACT,
                note="" if reading else "no usable reading",
            )

    def _by_register(self) -> Iterable[Determinant]:
        register = self.account.tariff.register
        if register is None:
            return
        found = self.consumption
        counts = _tally(r for span in self.account.spans for r in (span.start, span.end))
        value = None if found.micro is None else self._quantity(register, found.micro, MICRO)
        name = names.REGISTER_CONSUMPTION
        yield self._line(name, register, "", value, counts, note=found.note)

    def _by_interval(self) -> Iterable[Determinant]:
        interval = self.account.tariff.interval
        if interval is None:
            return
        # Where nothing was installed nothing is expected, and nothing flowed.
        vacant = bool(self.account.supply.rows) and not self.counts.expected
        known = vacant or self.counts.expected > self.counts.missing
        value = self._quantity(interval, self.account.supply.total) if known else None
        note = "" if known else "no interval is known"
        yield self._line(names.INTERVAL_CONSUMPTION, interval, "", value, self.counts, note=note)

    def _time_of_use(self) -> Iterable[Determinant]:
        interval = self.account.tariff.interval
        if interval is None:
            return
        parts = [self.account.supply.by_period(number) for number, _ in self.account.periods]
        numerator, denominator = _factor(interval, self.account.tariff.unit)
        values = self.account.tariff.quantity_rounding.shares(
            [value * numerator for value, _ in parts], denominator
        )
        for (_, part), value, (_, counts) in zip(self.account.periods, values, parts, strict=True):
            known = counts.expected == 0 or counts.expected > counts.missing
            yield self._line(
                *(names.TIME_OF_USE, interval, part, value if known else None, counts),
                note="" if known else "no interval is known",
            )

    def _block(self) -> Iterable[Determinant]:
        yield from self._demand(names.BLOCK_DEMAND, "block", self.account.tariff.block_seconds)

    def _rolling(self) -> Iterable[Determinant]:
        for window in self.account.tariff.rolling_seconds:
            yield from self._demand(names.ROLLING_DEMAND, "rolling", window)

    def _demand(self, name: str, which: str, window: int) -> Iterable[Determinant]:
        tariff = self.account.tariff
        if tariff.interval is None:
            return
        peak = self.account.supply.peak(which, window)
        part, unit = f"{window // 60} min", RATES[tariff.unit]
        rounding = str(tariff.demand_rounding)
        start, end = self.account.starts_at, self.account.ends_at
        if isinstance(peak, str):
            yield Determinant(
                name, tariff.interval, part, None, unit, start, end, Counts(), rounding, peak
            )
            return
        numerator, denominator = _factor(tariff.interval, tariff.unit)
        value = tariff.demand_rounding.of(peak.energy * 3600 * numerator, window * denominator)
        yield Determinant(
            *(name, tariff.interval, part, value, unit, peak.starts_at, peak.ends_at, peak.counts),
            rounding,
        )

    def _load_factor(self) -> Iterable[Determinant]:
        tariff, supply = self.account.tariff, self.account.supply
        if tariff.interval is None:
            return
        peak = supply.peak("block", tariff.block_seconds)
        value, note = None, ""
        if isinstance(peak, str):
            note = peak
        elif self.counts.missing:
            note = f"{self.counts.missing} intervals are missing"
        elif peak.energy <= 0:
            note = "there was no demand"
        else:
            value = tariff.ratio_rounding.of(
                supply.total * tariff.block_seconds, peak.energy * supply.elapsed_seconds
            )
        yield Determinant(
            *(names.LOAD_FACTOR, tariff.interval, "", value, "1"),
            *(self.account.starts_at, self.account.ends_at, self.counts),
            str(tariff.ratio_rounding),
            note,
        )

    def _quantity(self, kind: str, numerator: int, denominator: int = 1) -> Decimal:
        """Convert a quantity to the tariff's unit and round it."""
        times, over = _factor(kind, self.account.tariff.unit)
        rounding = self.account.tariff.quantity_rounding
        return rounding.of(numerator * times, denominator * over)

    def _line(
        self,
        name: str,
        kind: str,
        part: str,
        value: Decimal | None,
        counts: Counts,
        *,
        note: str = "",
    ) -> Determinant:
        """Write a line about a quantity of the whole period."""
        account = self.account
        return Determinant(
            *(name, kind, part, value, account.tariff.unit),
            *(account.starts_at, account.ends_at, counts),
            str(account.tariff.quantity_rounding),
            note,
        )


def _factor(kind: str, unit: str) -> tuple[int, int]:
    """Give the fraction that turns a reading type's stored unit into a billed one."""
    return UNITS[reading_type.named(kind).unit][unit]


def _distinct(devices: Sequence[str]) -> list[str]:
    """Tell an end device that was put in again from its first time there."""
    before = [devices[:place].count(device) for place, device in enumerate(devices)]
    return [f"{d} #{n + 1}" if n else d for d, n in zip(devices, before, strict=True)]


def _tally(readings: Iterable[Reading | None]) -> Counts:
    """Count readings by quality."""
    counts = [0] * len(Counts._fields)
    for reading in readings:
        counts[reading.kind if reading else QualityClass.MISSING] += 1
    return Counts(*counts)
