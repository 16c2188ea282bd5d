"""A town through the real chain: registry, final record, cycle, export; and its CSV read back."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from mdm import billing_terms, cycle, daily_group, delivery, readings, tariff_file, usage_points
from mdm.cycle import Cycle
from mdm.tariff import Tariffs, collected
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.oracle.figures import Line, Lines
from tests.mdm.oracle.fleet import Town
from tests.mdm.oracle.world import KINDS, House, Meter, Series, Tariff, grid, midnight

GROUP = "A"
Row = Mapping[str, str]
Rows = dict[str, dict[tuple[str, str], Row]]


@dataclass
class Placed:
    """A town in the database: the numbers under which it went in."""

    connection: Connection
    town: Town
    tariffs: Tariffs
    points: dict[str, int] = field(default_factory=dict)
    installations: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def over(self) -> datetime:
        """A moment at which the cycle is over in every zone."""
        return datetime.combine(self.town.until, datetime.min.time(), UTC) + timedelta(days=1)

    def channel(self, house: House, reading_type: str, seconds: int) -> int:
        key = (self.points[house.mrid], reading_type, seconds)
        return usage_points.ensure_channels(self.connection, [key])[key]


def stated(tariffs: Sequence[Tariff]) -> Tariffs:
    """Have the product read what the towns' tariffs say as TOML."""
    return collected(made for one in tariffs for made in tariff_file.parse(one.toml, one.name))


def placed(connection: Connection, town: Town, at: datetime | None = None) -> Placed:
    """Put a town into the registry, and into the final record as of a moment."""
    made = Placed(connection, town, stated(town.tariffs))
    for house in town.houses:
        place(made, house)
    record_town(made, town.houses, at or made.over)
    return made


def place(made: Placed, house: House) -> None:
    made.points[house.mrid] = _id(
        made.connection,
        "INSERT INTO usage_point (mrid, commodity, sector, time_zone, tariff, billing_group)"
        " VALUES (%s, %s, 'residential', %s, %s, %s) RETURNING id",
        [house.mrid, house.commodity, str(house.zone), house.tariff, GROUP],
    )
    for number, meter in enumerate(house.meters):
        made.installations[house.mrid, number] = _install(made, house, meter)
    for name, since, factor in house.losses:
        made.connection.execute(
            "INSERT INTO loss_factor VALUES (%s, %s, %s, %s)",
            [made.points[house.mrid], name, since, factor],
        )
    terms = {term.starts_on: term for term in house.terms}
    lines = [f"{house.mrid},{t.starts_on},{t.tariff},{t.account}" for t in terms.values()]
    house.terms = list(terms.values())
    heading = "usage_point,starts_on,tariff,account"
    done = billing_terms.import_terms(made.connection, [heading, *lines])
    assert not done.rejected, done.rejected


def _install(made: Placed, house: House, meter: Meter) -> int:
    seconds = house.series[0].seconds if house.series else 900
    made.connection.execute(
        "INSERT INTO end_device (mrid, manufacturer, model, protocol, profile, interval_seconds,"
        " register_modulus) VALUES (%s, 'ACME', 'X', 'dlms', 'generic', %s, %s)"
        " ON CONFLICT DO NOTHING",
        [meter.name, seconds, meter.modulus],
    )
    return _id(
        made.connection,
        "INSERT INTO installation (usage_point_id, end_device_id, starts_at, ends_at, multiplier)"
        " SELECT %s, id, %s, %s, %s FROM end_device WHERE mrid = %s RETURNING id",
        [made.points[house.mrid], meter.since, meter.until, meter.multiplier, meter.name],
    )


def _id(connection: Connection, statement: str, values: Sequence[object]) -> int:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row
    return int(row[0])


def record_town(made: Placed, houses: Sequence[House], at: datetime) -> None:
    """Record what is known of some houses now, as a new version where something was there."""
    provenance = readings.add_provenance(made.connection, "vee", recorded_at=at)
    days = (made.town.first, made.town.until)
    for seconds in sorted({series.seconds for house in houses for series in house.series}):
        ids, since, values, codes = [], [], [], []
        for house in houses:
            for series in house.series:
                if series.seconds == seconds:
                    channel = made.channel(house, series.reading_type, seconds)
                    for start, row in _days(house.zone, series, days):
                        ids.append(channel)
                        since.append(int(start.timestamp()))
                        values.append([value for value, _ in row])
                        codes.append([code for _, code in row])
        if ids:
            table = record.blocks(ids, since, values, codes, interval_seconds=seconds)
            readings.record(made.connection, table, provenance_id=provenance, recorded_at=at)
    rows = [row for house in houses for row in _dials(made, house)]
    if rows:
        table_ = record.registers(rows)
        readings.record_registers(made.connection, table_, provenance_id=provenance, recorded_at=at)


def _days(
    zone: ZoneInfo, series: Series, days: tuple[date, date]
) -> list[tuple[datetime, list[tuple[int, int]]]]:
    """Give each local day's slots; a day of which nothing is known has no block."""
    found = []
    for number in range((days[1] - days[0]).days):
        day = days[0] + timedelta(days=number)
        starts = list(grid(day, day + timedelta(days=1), zone, series.seconds))
        row = [tuple(series.values.get(at, (0, 200))) for at in starts]
        if any(at in series.values for at in starts):
            found.append((midnight(day, zone), row))
    return found  # type: ignore[return-value]


def _dials(made: Placed, house: House) -> list[tuple[int, int, int, int, int]]:
    return [
        (
            made.channel(house, kind, 0), made.installations[house.mrid, number],
            int(at.timestamp()), known.value, known.code,
        )
        for number, meter in enumerate(house.meters)
        for kind, shown in meter.dials.items()
        for at, known in shown.items()
    ]  # fmt: skip


def opened(made: Placed) -> Cycle:
    return cycle.opened(
        made.connection, GROUP, made.town.first, made.town.until, now=made.over
    )  # fmt: skip


def summed(made: Placed, now: datetime) -> None:
    """Sum the days beforehand, as ``miqyas vee run --follow`` does."""
    points = usage_points.usage_points(made.connection, billing_group=GROUP)
    daily_group.add(
        made.connection, points, made.town.first, made.town.until, now=now, tariffs=made.tariffs
    )


def billed(made: Placed, folder: Path, now: datetime, *, partition: int = 1000) -> Rows:
    """Run the cycle, release what is held, and give the rows of the exported CSV."""
    this = opened(made)
    done = cycle.run(
        made.connection, this, now=now, tariffs=made.tariffs, partition=partition
    )  # fmt: skip
    assert done.problems == (), done.problems
    for (mrid,) in made.connection.execute(
        "SELECT p.mrid FROM determinant_set s JOIN usage_point p ON p.id = s.usage_point_id"
        " WHERE s.state = 'held'"
    ).fetchall():
        cycle.release(made.connection, this, mrid, person="Noura", reason="asked", now=now)
    sent = delivery.deliver(
        made.connection, this, target=str(folder), file_format="csv", now=now
    )  # fmt: skip
    return read([file for e in sent.exports for file in (folder / e.name).glob("*.csv")])


def read(files: Sequence[Path]) -> Rows:
    found: Rows = {}
    for file in files:
        for row in csv.DictReader(file.read_text("utf-8").splitlines()):
            key = (row["determinant"], row["part"])
            lines = found.setdefault(row["usage_point"], {})
            assert key not in lines, f"{row['usage_point']} has {key} twice"
            lines[key] = row
    return found


def differences(expected: Lines, found: Mapping[tuple[str, str], Row]) -> list[str]:
    """Say where a bill is not what the oracle says."""
    told = []
    for key in sorted({*expected, *found}):
        line, row = expected.get(key, Line(None)), found.get(key)
        said = f"{key}: {_shown(row)}, expected {line}"
        if row is None and line.value == 0 and line.counts and not any(line.counts.values()):
            continue  # a period that none of the days has
        if line.value is None:
            if row is not None and row["value"] and not _empty(row):
                told.append(said)
        elif row is None or not _same(line, row):
            told.append(said)
    return told


def _empty(row: Row) -> bool:
    """Whether a line rests on nothing: no interval of the period was expected."""
    return Decimal(row["value"]) == 0 and not any(int(row[kind]) for kind in KINDS)


def _shown(row: Row | None) -> str:
    names = ("value", "unit", "starts_at", "ends_at", *("actual", "questionable", "missing",
             "estimated", "edited"), "note")  # fmt: skip
    return "nothing" if row is None else ", ".join(f"{n}={row[n]}" for n in names if row[n])


def _same(line: Line, row: Row) -> bool:
    return (
        row["value"] != ""
        and Decimal(row["value"]) == line.value
        and (not line.unit or row["unit"] == line.unit)
        and all(
            moment is None or row[name] == f"{moment:%Y-%m-%dT%H:%M:%SZ}"
            for name, moment in (("starts_at", line.since), ("ends_at", line.until))
        )
        and (line.counts is None or all(int(row[k]) == n for k, n in line.counts.items()))
        and row["note"].startswith(line.note)
    )
