"""From what meters said to the bill: estimates worked out by rule, then billed and compared."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from mdm import vee
from mdm.intake_layout import Weeks
from schemas import database
from tests.mdm import record
from tests.mdm.oracle import bill, chain
from tests.mdm.oracle.fleet import CHANGES, IMPORT, ONE, Town, fits, seeds
from tests.mdm.oracle.world import House, Known, Meter, Series, Tariff, grid, midnight
from validation import ruleset

RULES = (
    ruleset.parse(
        """
        name = "electricity"
        effective_from = 2000-01-01
        description = "Straight lines up to two hours, then what the register leaves."
        scale_to_register = true
        [rules]
        gap = { severity = "info", action = "estimate" }
        sum_check = { severity = "issue", action = "note", tolerance = 0, relative = 0.0 }
        [[estimators]]
        method = "linear"
        limit_hours = 2
        inclusive = true
        one_anchor = "flat"
        beside_bad = "decline"
        [[estimators]]
        method = "register"
        """,
        "tests",
    ),
)
PLAIN = Tariff(
    name="home",
    effective_from=date(2020, 1, 1),
    calendar="gb_bands",
    unit="kWh",
    determinants=(
        *("consumption", "register_start", "register_end", "register_consumption"),
        *("interval_consumption", "time_of_use_consumption", "block_demand", "load_factor"),
    ),
    block_minutes=60,
)


def lived(random: Random, number: int, zone: ZoneInfo, days: tuple[date, date]) -> House:
    """Make a house of which everything was measured; its dial was read at each local midnight."""
    seconds = random.choice((900, 1800))
    multiplier = random.choice((1, 3, 40))
    since = midnight(days[0], zone) - timedelta(days=30)
    meter = Meter(f"M-{number}", since, None, Decimal(multiplier), random.choice((None, 10**5)))
    made = House(f"UP-{number}", zone, "home", meters=[meter])
    starts = list(grid(*days, zone, seconds))
    values = {at: Known(random.choice((0, 7, random.randint(0, 500))), 0) for at in starts}
    made.series = [Series(IMPORT, seconds, values)]
    dial, shown = random.randint(90_000, 99_999), {}
    for at in starts:
        if at.astimezone(zone).time() == datetime.min.time():
            shown[at] = Known(dial % (meter.modulus or 10**12), 0)
        dial += values[at].value
    shown[midnight(days[1], zone)] = Known(dial % (meter.modulus or 10**12), 0)
    meter.dials["active_energy_import"] = shown
    return made


def holes(random: Random, house: House, days: tuple[date, date]) -> list[list[datetime]]:
    """Choose gaps: short ones, or a long one, inside some of the local days."""
    seconds, found = house.series[0].seconds, []
    for number in range((days[1] - days[0]).days):
        day = days[0] + ONE * number
        starts = list(grid(day, day + ONE, house.zone, seconds))
        short, how = 7200 // seconds, random.choice(("none", "short", "short", "long"))
        if how == "short":
            for part in (starts[3 : len(starts) // 2], starts[len(starts) // 2 + 2 : -2]):
                length = random.randint(1, short)
                first = random.randrange(len(part) - length)
                found.append(part[first : first + length])
        elif how == "long":
            length = random.randint(short + 1, len(starts) - 6)
            first = random.randint(2, len(starts) - length - 2)
            found.append(starts[first : first + length])
    return found


def estimated(house: House, gaps: list[list[datetime]]) -> House:
    """Give the house as validation should leave it: after the multiplier, gaps filled by rule."""
    (series,), (meter,) = house.series, house.meters
    times, step = int(meter.multiplier), timedelta(seconds=series.seconds)
    final = {at: Known(known.value * times, 0) for at, known in series.values.items()}
    by_day: dict[date, list[list[datetime]]] = {}
    for gap in gaps:
        by_day.setdefault(gap[0].astimezone(house.zone).date(), []).append(gap)
    for day, inside in by_day.items():
        open_ = [at for gap in inside for at in gap]
        starts = grid(day, day + ONE, house.zone, series.seconds)
        used = sum(final[at].value for at in starts)
        left = used - sum(
            final[at].value
            for at in grid(day, day + ONE, house.zone, series.seconds) if at not in open_
        )  # fmt: skip
        guesses: list[int] = []
        for gap in inside:
            if len(gap) * series.seconds > 7200:
                guesses += [1] * len(gap)
                continue
            a, b = final[gap[0] - step].value, final[gap[-1] + step].value
            n = len(gap)
            guesses += [
                int(Fraction(a) + Fraction(b - a) * k / (n + 1) + Fraction(1, 2))
                for k in range(1, n + 1)
            ]  # fmt: skip
        for at, value in zip(open_, scaled(guesses, left), strict=True):
            final[at] = Known(value, 301)
    made = House(house.mrid, house.zone, house.tariff, meters=house.meters)
    made.series = [Series(IMPORT, series.seconds, final)]
    return made


def scaled(guesses: list[int], left: int) -> list[int]:
    """Bring estimates to what the register leaves: rounded down, the rest to largest remainders."""
    if not sum(guesses):
        guesses = [1] * len(guesses)
    exact = [Fraction(guess * left, sum(guesses)) for guess in guesses]
    found = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda n: (found[n] - exact[n], n))
    for place in order[: left - sum(found)]:
        found[place] += 1
    return found


def land(made: chain.Placed, house: House, gaps: list[list[datetime]], random: Random) -> None:
    """Put what the meter said into the raw store: a gap was never read, or said to be none."""
    (series,), (meter,) = house.series, house.meters
    silent = {at for gap in gaps if random.random() < 0.5 for at in gap}
    told = {at for gap in gaps for at in gap} - silent
    row: list[datetime] = []
    for at in [*sorted(series.values), None]:
        if at is None or at in silent:
            if row:
                record.land(
                    made.connection, meter.name, row[0],
                    [0 if each in told else series.values[each].value for each in row],
                    [200 if each in told else 0 for each in row],
                    interval_seconds=series.seconds, collected_at=made.over,
                )  # fmt: skip
            row = []
        else:
            row.append(at)
    dials = [(at, k.value) for at, k in meter.dials["active_energy_import"].items()]
    record.land_registers(made.connection, meter.name, dials, collected_at=made.over)


@pytest.mark.parametrize("seed", seeds(1))
def test_from_raw_readings_to_the_bill(database_url: str, tmp_path: Path, seed: int) -> None:
    random = Random(7_000 + seed)
    zone = ZoneInfo(random.choice(sorted(CHANGES)))
    first = random.choice(CHANGES[str(zone)]) - ONE
    days = (first, first + ONE * 3)
    assert fits(1800, zone, days)
    houses = [lived(random, number, zone, days) for number in range(5)]
    gaps = {house.mrid: holes(random, house, days) for house in houses}
    town = Town(houses, [PLAIN], *days, clean=False)
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.Placed(connection, town, chain.stated([PLAIN]))
        for house in houses:
            chain.place(made, house)
            land(made, house, gaps[house.mrid], random)
        with connection.transaction():
            while vee.run(connection, now=made.over, weeks=Weeks(), rule_sets=RULES).taken:
                pass
        rows = chain.billed(made, tmp_path, made.over)
    wrong = []
    for house in houses:
        lines = bill.lines(estimated(house, gaps[house.mrid]), [PLAIN], *days)
        wrong += [f"{house.mrid} {line}" for line in chain.differences(lines, rows[house.mrid])]
    assert not wrong, "\n".join(wrong)
