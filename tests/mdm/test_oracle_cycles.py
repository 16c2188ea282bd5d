"""Cycles against the documents: who is held, waits, goes out; never too early, never twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random

import pytest

from mdm import cycle, cycle_plan, cycle_status, delivery
from mdm.acknowledgement import Acknowledgement
from mdm.cycle import CycleError
from schemas import database
from schemas.database import Connection
from tests.mdm.oracle import bill, calendar, chain, fleet, gates
from tests.mdm.oracle.fleet import Town, seeds
from tests.mdm.oracle.gates import Limits
from tests.mdm.oracle.intervals import Scope
from tests.mdm.oracle.world import House, midnight


def gated(random: Random) -> tuple[Town, dict[str, Limits]]:
    """Make a town of plain tariffs, each with limits of its own."""
    town = fleet.town(random, 10)
    kept = [t for t in town.tariffs if t.effective_from < town.first]
    limits = {f"{t.commodity} {t.name}": gates.some(random, t.determinants) for t in kept}
    tariffs = [
        replace(t, declared=(), further=gates.toml(limits[f"{t.commodity} {t.name}"])) for t in kept
    ]
    interval = {t.commodity: t.interval for t in kept}
    houses = [
        replace(house, terms=[]) for house in town.houses
        if whole_days(house) and house.of(interval[house.commodity])
    ]  # fmt: skip
    return replace(town, tariffs=tariffs, houses=houses), limits


def whole_days(house: House) -> bool:
    """Whether a meter came and went at midnights only: half of half a day is nobody's rule."""
    edges = [house.meters[0].since, house.meters[-1].until]
    local = [edge.astimezone(house.zone).time() for edge in edges if edge is not None]
    return all(moment == time(0) for moment in local[1:]) and house.meters[0].since.year < 2026


def reasons(connection: Connection) -> dict[str, set[str]]:
    """Give the gates that the newest sets did not pass, whether they wait or are held."""
    rows = connection.execute(
        "SELECT p.mrid, h.gate FROM determinant_hold h"
        " JOIN determinant_set s ON s.id = h.determinant_set_id"
        " JOIN usage_point p ON p.id = s.usage_point_id WHERE s.state <> 'superseded'"
    )
    found: dict[str, set[str]] = {}
    for mrid, gate in rows:
        found.setdefault(mrid, set()).add(gate)
    return found


def oracle(town: Town, limits: dict[str, Limits]) -> dict[str, set[str]]:
    found = {}
    for house in town.houses:
        of = bill.standing(town.tariffs, house.tariff, house.commodity, town.first)
        scope = Scope(house, of, town.first, town.until)
        if told := gates.held(scope, limits[f"{of.commodity} {of.name}"]):
            found[house.mrid] = told
    return found


def states(connection: Connection) -> dict[str, str]:
    rows = connection.execute(
        "SELECT p.mrid, s.state FROM determinant_set s JOIN usage_point p"
        " ON p.id = s.usage_point_id WHERE s.state <> 'superseded'"
    )
    return dict(rows.fetchall())


def over(town: Town) -> datetime:
    """When the cycle is over for everybody."""
    return max(midnight(town.until, house.zone) for house in town.houses)


@pytest.mark.parametrize("seed", seeds(3))
def test_who_is_held_waits_and_goes_out(database_url: str, tmp_path: Path, seed: int) -> None:
    random = Random(3_000 + seed)
    town, limits = gated(random)
    if not town.houses:
        pytest.skip("nobody was left in this town")
    with database.connect(database_url, autocommit=True) as connection:
        end = over(town)
        made = chain.placed(connection, town, end - timedelta(hours=1))
        if random.random() < 0.5:
            chain.summed(made, end)
        this = chain.opened(made)
        with pytest.raises(CycleError, match="is not over"):
            cycle.run(connection, this, now=end - timedelta(seconds=1), tariffs=made.tariffs)
        closes = town.until + timedelta(days=3)
        connection.execute("UPDATE billing_cycle SET closes_on = %s", [closes])
        this = cycle.of_id(connection, this.id)
        wanted = oracle(town, limits)
        cycle.run(connection, this, now=end, tariffs=made.tariffs)
        assert reasons(connection) == wanted
        assert states(connection) == in_window(town, wanted)
        late = max(midnight(closes, house.zone) for house in town.houses)
        cycle.run(connection, this, now=late, tariffs=made.tariffs)
        assert reasons(connection) == wanted
        assert {hold.usage_point for hold in cycle_status.holds(connection, this)} == set(wanted)
        assert states(connection) == {
            house.mrid: "held" if house.mrid in wanted else "ready" for house in town.houses
        }
        never_twice(made, this, late, tmp_path, random)


def in_window(town: Town, wanted: dict[str, set[str]]) -> dict[str, str]:
    """What is held, or has missing or estimated intervals, waits; what is complete is ready."""
    found = {}
    for house in town.houses:
        of = bill.standing(town.tariffs, house.tariff, house.commodity, town.first)
        kinds = {slot.kind for slot in bill.known(house, of, town.first, town.until)}
        waits = house.mrid in wanted or kinds & {"missing", "estimated"}
        found[house.mrid] = "waiting" if waits else "ready"
    return found


def never_twice(
    made: chain.Placed, this: cycle.Cycle, now: datetime, folder: Path, random: Random
) -> None:
    """Deliver, release, reject and undo at random: each bill goes out once, none that is held."""
    gone: Counter[str] = Counter()
    for number in range(6):
        at = now + timedelta(hours=number + 1)
        before = states(made.connection)
        done = delivery.deliver(
            made.connection, this, target=str(folder), file_format="csv", now=at
        )  # fmt: skip
        files = [file for e in done.exports for file in (folder / e.name).glob("*.csv")]
        sent = set(chain.read(files))
        assert sent == {mrid for mrid, state in before.items() if state in ("ready", "released")}
        gone.update(sent)
        for export in done.exports:
            answers = [
                Acknowledgement(mrid, 1, *random.choice((("billed", ""), ("rejected", "no price"))))
                for mrid in sorted(sent)
            ]
            for _ in range(2):
                delivery.acknowledge(made.connection, export, answers, now=at)
            gone.subtract(one.usage_point for one in answers if one.outcome == "rejected")
        held = [m for m, s in states(made.connection).items() if s in ("held", "rejected")]
        for mrid in random.sample(held, min(2, len(held))):
            cycle.release(made.connection, this, mrid, person="Noura", reason="asked", now=at)
        cycle.run(made.connection, this, now=at, tariffs=made.tariffs)
    assert set(gone.values()) <= {0, 1}


PLAN = """
[[group]]
name = "A"
from = {first}
day = {day}
months = {months}
close_after_days = {close}
working_days = "{calendar}"
"""


def a_month_later(first: date, months: int, day: int) -> date:
    """Give the plan's day of the month so many months on, or that month's last day."""
    number = first.year * 12 + first.month - 1 + months
    year, month = number // 12, number % 12 + 1
    while True:
        try:
            return date(year, month, day)
        except ValueError:
            day -= 1


def closing(wanted: date, name: str) -> date:
    """Give the first working day from a day on."""
    content = calendar.read(name)
    free = {day for holiday in content.get("holiday", []) for day in holiday["dates"]}
    weekend = content["version"][0]["day_types"].get("weekend", [])
    while wanted in free or f"{wanted:%A}".lower() in weekend:
        wanted += timedelta(days=1)
    return wanted


@pytest.mark.parametrize("seed", range(40))
def test_the_calendar_of_cycles(seed: int) -> None:
    random = Random(4_000 + seed)
    day = random.choice((1, 15, 28, 29, 30, 31))
    months, close = random.randint(1, 6), random.randint(0, 20)
    name = random.choice(("kuwait", "four_rates", "gb_bands", "au_afternoon"))
    start = a_month_later(date(2025, random.randint(1, 12), 1), 0, day)
    text = PLAN.format(first=start, day=day, months=months, close=close, calendar=name)
    (plan,) = cycle_plan.parse(text, "a.toml")
    spans = list(plan.spans(date(2026, 9, 1)))
    expected, number = [], 0
    while (since := a_month_later(start, number * months, day)) < date(2026, 9, 1):
        until = a_month_later(start, (number + 1) * months, day)
        expected.append((since, until, closing(until + timedelta(days=close), name)))
        number += 1
    assert [(s.starts_on, s.ends_on, s.closes_on) for s in spans] == expected
