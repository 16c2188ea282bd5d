"""Month to date, and cycles that follow each other, against the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from mdm import cycle, cycle_to_date, usage_points
from schemas import database
from tests.mdm.oracle import bill, chain, fleet, registers
from tests.mdm.oracle.figures import Lines
from tests.mdm.oracle.fleet import Town, seeds
from tests.mdm.oracle.intervals import Scope
from tests.mdm.oracle.world import Tariff, midnight


def without_group(of: Tariff) -> Tariff:
    """A group's peak is found when the cycle is over: nothing says it before."""
    kept = [keys for keys in of.declared if keys["kind"] != "coincident_demand"]
    return replace(of, declared=tuple(kept))


@pytest.mark.parametrize("seed", seeds(1))
def test_what_was_used_so_far_is_the_bill_of_those_days(database_url: str, seed: int) -> None:
    random = Random(5_000 + seed)
    town = fleet.town(random)
    town = replace(town, tariffs=[without_group(of) for of in town.tariffs])
    until = town.until - timedelta(days=1)
    if until == town.first:
        until = town.until
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.placed(connection, replace(town, until=until), _early(town))
        cycle.opened(connection, chain.GROUP, town.first, until + timedelta(days=9), now=made.over)
        wrong = []
        for house in town.houses:
            point = usage_points.named(connection, house.mrid)
            assert point
            now = midnight(until, house.zone) + timedelta(minutes=1)
            found = cycle_to_date.to_date(connection, point, now=now, tariffs=made.tariffs)
            assert found
            rows = {(d.name, d.part): d.value for d in found.determinants}
            lines = bill.lines(house, town.tariffs, town.first, until)
            wrong += [f"{house.mrid} {line}" for line in _off(lines, rows)]
    assert not wrong, "\n".join(wrong)


def _early(town: Town) -> datetime:
    return min(midnight(town.first, house.zone) for house in town.houses)


def _off(lines: Lines, rows: Mapping[tuple[str, str], Decimal | None]) -> list[str]:
    expected = {key: line.value for key, line in lines.items() if line.value}
    found = {key: value for key, value in rows.items() if value}
    return [
        f"{key}: {found.get(key)}, expected {expected.get(key)}"
        for key in sorted({*expected, *found})
        if found.get(key) != expected.get(key)
    ]


def halves(random: Random) -> tuple[Town, Town]:
    """Cut a town's days into two cycles that follow each other, with the same tariffs."""
    town = fleet.town(random, 6)
    while (town.until - town.first).days < 2:
        town = fleet.town(random, 6)
    tariffs = [without_group(of) for of in town.tariffs if of.effective_from < town.first]
    houses = [replace(house, terms=[]) for house in town.houses]
    middle = town.first + timedelta(days=random.randint(1, (town.until - town.first).days - 1))
    plain = replace(town, tariffs=tariffs, houses=houses)
    return replace(plain, until=middle), replace(plain, first=middle)


def measured(lines: Lines) -> dict[str, list[Decimal]]:
    """Give the demands that a ratchet looks back at, by the determinant's own name."""
    return {
        part.removesuffix(" measured"): [line.value]
        for (name, part), line in lines.items()
        if name == "billed_demand" and part.endswith(" measured") and line.value is not None
    }


@pytest.mark.parametrize("seed", seeds(1))
def test_the_next_cycle_goes_on_from_the_one_before(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    first, second = halves(Random(6_000 + seed))
    whole = replace(first, until=second.until)
    wrong = []
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.placed(connection, whole)
        before = chain.billed(replace(made, town=first), tmp_path, made.over)
        after = chain.billed(replace(made, town=second), tmp_path, made.over)
    for house in whole.houses:
        one = bill.lines(house, whole.tariffs, first.first, first.until)
        two = bill.lines(
            house, whole.tariffs, second.first, second.until, history=measured(one)
        )  # fmt: skip
        for town, lines, rows in ((first, one, before), (second, two, after)):
            if not registers.during(Scope(house, whole.tariffs[0], town.first, town.until)):
                continue  # without a meter in all of a cycle a hole in a file's intervals is a hole
            found = chain.differences(lines, rows[house.mrid])
            wrong += [f"{house.mrid} {line}" for line in found]
    assert not wrong, "\n".join(wrong)
