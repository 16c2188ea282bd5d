"""What comes after a bill: corrections are the oracle's differences, and every file is rebuilt."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest

from mdm import correction_days, delivery, replay
from mdm.acknowledgement import Acknowledgement
from schemas import database
from tests.mdm.oracle import bill, chain, changes, declared, fleet, intervals
from tests.mdm.oracle.chain import Placed, Rows
from tests.mdm.oracle.figures import IN_UNIT, Lines
from tests.mdm.oracle.fleet import Town, seeds
from tests.mdm.oracle.intervals import Scope
from tests.mdm.test_oracle_bills import expected

Figures = dict[tuple[str, str], Decimal | None]


def figures(lines: Lines) -> Figures:
    return {key: line.value for key, line in lines.items() if line.value is not None}


def acknowledged(made: Placed) -> None:
    """Let the invoicing system bill whatever reached it."""
    this = chain.opened(made)
    for export in delivery.exports(made.connection, this):
        rows = made.connection.execute(
            "SELECT p.mrid, s.version FROM export_item i JOIN determinant_set s"
            " ON s.id = i.determinant_set_id JOIN usage_point p ON p.id = s.usage_point_id"
            " WHERE i.export_id = %s AND s.state = 'exported'",
            [export.id],
        ).fetchall()
        given = [Acknowledgement(mrid, version, "billed") for mrid, version in rows]
        delivery.acknowledge(made.connection, export, given, now=made.over)


def check_correction(before: Figures, rows: Rows, mrid: str, after: Lines) -> list[str]:
    """Hold a corrected bill against what was billed and what the oracle says now."""
    now = figures(after)
    if now == before:
        return [f"{mrid}: nothing changed, but it is corrected"] if mrid in rows else []
    if mrid not in rows:
        return [f"{mrid}: should be corrected: {set(now.items()) ^ set(before.items())}"]
    told = [f"{mrid} {line}" for line in chain.differences(after, rows[mrid])]
    for key, row in rows[mrid].items():
        old = before.get(key)
        said = Decimal(row["previous"]) if row["previous"] else None
        if said != old:
            told.append(f"{mrid} {key}: previous is {said}, billed was {old}")
        off = old is not None and row["value"]
        if off and Decimal(row["difference"]) != Decimal(row["value"]) - (old or 0):
            told.append(f"{mrid} {key}: difference {row['difference']} of {old}, {row}")
    return told


def rebuilt(made: Placed, folder: Path) -> None:
    """Have every file that ever went out made again, and every bill computed again."""
    this = chain.opened(made)
    for export in delivery.exports(made.connection, this):
        package = delivery.package(made.connection, this, export)
        for file in package.files:
            assert file.content == (folder / export.name / file.entry.name).read_bytes()
        assert package.manifest == (folder / export.name / "manifest.json").read_bytes()
        for one in replay.of_export(made.connection, export):
            assert one.identical, [str(each) for each in one.differences]


Moved = dict[tuple[str, date, str, str], Fraction]


def moved(old: Town, new: Town, *, billed: bool = False) -> Moved:
    """Give what intervals changed by usage point, local day, reading type and period."""
    found: Moved = defaultdict(Fraction)
    for sign, town in ((-1, old), (1, new)):
        for house in town.houses:
            for first, until, tariff, _ in bill.parts(house, town.tariffs, town.first, town.until):
                scope = Scope(house, tariff, first, until)
                looked_at = {tariff.interval, *declared.flows(tariff)}
                for series in house.series:
                    if billed and series.reading_type not in looked_at:
                        continue
                    for slot in intervals.slots(scope, series):
                        day = slot.at.astimezone(house.zone).date()
                        key = (house.mrid, day, series.reading_type, scope.period(slot.at))
                        found[key] += sign * (slot.value or 0)
    return {key: value for key, value in found.items() if value}


def round_of(
    made: Placed, town: Town, random: Random, folder: Path, number: int
) -> tuple[Town, Rows]:
    """Let something come late and bill it."""
    now = made.over + timedelta(hours=2 * number)
    after, touched = changes.later(random, town)
    houses = [house for house in after.houses if house.mrid in touched]
    chain.record_town(made, houses, now)
    if random.random() < 0.5:
        chain.summed(made, now)
    rows = chain.billed(made, folder, now + timedelta(hours=1))
    acknowledged(made)
    return after, rows


@pytest.mark.parametrize("seed", seeds(2))
def test_corrections_are_the_differences(database_url: str, tmp_path: Path, seed: int) -> None:
    random = Random(1_000 + seed)
    town = fleet.town(random, 6)
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.placed(connection, town)
        chain.billed(made, tmp_path, made.over)
        acknowledged(made)
        billed = {h.mrid: figures(expected(town, h.mrid)) for h in town.houses}
        for number in (1, 2):
            after, rows = round_of(made, town, random, tmp_path, number)
            wrong = []
            for house in after.houses:
                lines = expected(after, house.mrid)
                wrong += check_correction(billed[house.mrid], rows, house.mrid, lines)
                if house.mrid in rows:
                    billed[house.mrid] = figures(lines)
            assert not wrong, "\n".join(wrong)
            town = after
        rebuilt(made, tmp_path)


def test_days_of_a_correction(database_url: str, tmp_path: Path) -> None:
    random = Random(2_000)
    town = fleet.town(random, 6)
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.placed(connection, town)
        chain.billed(made, tmp_path, made.over)
        acknowledged(made)
        after, rows = round_of(made, town, random, tmp_path, 1)
        told = correction_days.days(connection, chain.opened(made).id)
    changed = {k: v for k, v in moved(town, after).items() if k[0] in rows}
    assert changed
    found = {(d.usage_point, d.day, d.reading_type, d.part): d for d in told}
    # What the tariff of those days does not look at need not be an input of the bill.
    needed = {key for key in moved(town, after, billed=True) if key[0] in rows}
    assert needed <= found.keys() <= changed.keys()
    for key, one in found.items():
        places = -int(one.difference.as_tuple().exponent)
        limit = Fraction(1, 10**places)
        assert abs(Fraction(one.difference) - changed[key] / IN_UNIT[one.unit]) <= limit
