"""Random towns: zones, days on which clocks change, gaps, exchanges, tariffs that change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from tests.mdm.oracle import meters, terms
from tests.mdm.oracle.world import House, Known, Meter, Series, Tariff, Term, grid, midnight

ONE = timedelta(days=1)
CHANGES = {
    "Asia/Kuwait": (date(2026, 2, 25), date(2026, 5, 28), date(2026, 10, 31)),
    "Asia/Kolkata": (date(2026, 3, 28), date(2026, 6, 5)),
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25), date(2026, 4, 3)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
}
"""Days in each zone on which the clocks change, or the season, or the day type."""

IMPORT, EXPORT = "active_energy_import_interval", "active_energy_export_interval"
REACTIVE, REACTIVE_OUT = "reactive_energy_import_interval", "reactive_energy_export_interval"
WATER = "water_volume_interval"


def seeds(usual: int) -> range:
    """Give a test's seeds: few in the suite, and by hand as many as ``ORACLE_SEEDS=0:500`` says."""
    first, _, until = os.environ.get("ORACLE_SEEDS", f"0:{usual}").partition(":")
    return range(int(first), int(until))


@dataclass(frozen=True)
class Town:
    """Usage points of one billing group, their tariffs, and a cycle that is over."""

    houses: Sequence[House]
    tariffs: Sequence[Tariff]
    first: date
    until: date
    clean: bool


def town(random: Random, houses: int = 8) -> Town:
    """Make a town; a clean one has one zone and no holes, so that its peak is beyond doubt."""
    zone = ZoneInfo(random.choice(sorted(CHANGES)))
    day = random.choice(CHANGES[str(zone)])
    first = day - ONE * random.randint(0, 2)
    until = first + ONE * random.randint(max(1, (day - first).days + 1), 4)
    clean = random.random() < 0.3
    tariffs = terms.tariffs(random, first, clean=clean)
    made = [
        house(random, f"UP-{n}", zone, (first, until), tariffs, clean=clean) for n in range(houses)
    ]
    return Town(made, tariffs, first, until, clean)


def house(
    random: Random, mrid: str, zone: ZoneInfo, days: tuple[date, date],
    tariffs: Sequence[Tariff], *, clean: bool,
) -> House:  # fmt: skip
    if not clean and random.random() < 0.15:
        zone = ZoneInfo(random.choice(sorted(CHANGES)))
    of = random.choice([t for t in tariffs if t.effective_from < days[0]])
    made = House(mrid, zone, of.name, of.commodity)
    seconds = random.choice([s for s in (300, 900, 900, 1800, 1800, 3600) if fits(s, zone, days)])
    made.meters = meters.installed(random, made, days, seconds, steady=clean)
    flows = [WATER] if of.commodity == "water" else _flows(random, clean=clean)
    made.series = [series(random, made, flow, days, seconds, clean=clean) for flow in flows]
    meters.read(random, made, of, days)
    if not clean and random.random() < 0.25 and (days[1] - days[0]).days > 1:
        made.terms = _terms(random, made, tariffs, days)
    if random.random() < 0.4:
        made.losses = [("LLF", days[0] + ONE * n, factor(random)) for n in (-100, 1)]
    return made


def fits(seconds: int, zone: ZoneInfo, days: tuple[date, date]) -> bool:
    """Say whether every local day is a whole number of intervals."""
    day = days[0]
    while day < days[1]:
        length = midnight(day + ONE, zone) - midnight(day, zone)
        if length.total_seconds() % seconds:
            return False
        day += ONE
    return True


def factor(random: Random) -> Decimal:
    return Decimal(random.randint(9_000, 11_000)).scaleb(-4)


def _flows(random: Random, *, clean: bool) -> list[str]:
    flows = [IMPORT] if clean or random.random() < 0.95 else []
    for flow, often in ((EXPORT, 0.5), (REACTIVE, 0.6), (REACTIVE_OUT, 0.3)):
        if random.random() < often:
            flows.append(flow)
    return flows


def series(
    random: Random, of: House, flow: str, days: tuple[date, date], seconds: int, *, clean: bool
) -> Series:
    """Make a channel's intervals; a hole, a doubt or an edit is a stretch or a single slot."""
    draw = _values(random)
    codes = _codes(random, "clean" if clean else random.choice(("none", "none", "few", "many")))
    made = Series(flow, seconds, {})
    step = timedelta(seconds=seconds)
    for at in grid(*days, of.zone, seconds):
        code = next(codes)
        if not meters.there(of.meters, at, at + step):
            continue
        made.values[at] = Known(0 if code in (200, 201) else draw(), code)
    return made


def _values(random: Random) -> Callable[[], int]:
    top = random.choice((1, 3, 250, 3_000, 3_000, 90_000, 2**31 - 1))
    return lambda: random.choice((0, top, random.randint(0, top), random.randint(0, top)))


def _codes(random: Random, how: str) -> Iterator[int]:
    actual, other = (0, 0, 10, 110), (100, 17, 301, 320, 302, 400)
    odd = {"none": (), "clean": other, "few": (200, 201, *other), "many": (200, *other)}[how]
    often = {"none": 0.0, "clean": 0.02, "few": 0.02, "many": 0.3}[how]
    while True:
        if random.random() < often:
            code = random.choice(odd)
            for _ in range(random.choice((1, 1, 2, 7))):
                yield code
        else:
            yield random.choice(actual) if random.random() < 0.05 else 0


def _terms(
    random: Random, of: House, tariffs: Sequence[Tariff], days: tuple[date, date]
) -> list[Term]:
    names = sorted({t.name for t in tariffs if t.commodity == of.commodity})
    count = random.randint(1, 2)
    return [
        Term(
            days[0] + ONE * random.randint(0, (days[1] - days[0]).days - 1),
            random.choice(names),
            random.choice(("", "A-1", "A-2")),
        )
        for _ in range(count)
    ]


def ends(of: House, days: tuple[date, date]) -> tuple[datetime, datetime]:
    return midnight(days[0], of.zone), midnight(days[1], of.zone)


__all__ = ["Meter", "Town", "fits", "town"]
