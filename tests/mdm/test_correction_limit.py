"""Changes after billing: corrected if they matter, logged if not, and never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib import resources
from pathlib import Path

import pytest

from mdm import (
    correction_days,
    correction_log,
    cycle,
    cycle_status,
    delivery,
    replay,
    tariff,
    tariff_file,
)
from mdm.acknowledgement import Acknowledgement
from mdm.correction_limit import Figure, Limit
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import PERIOD, SLOTS, Point, add_whole, june, later


def figure(value: str | None, name: str = "consumption", unit: str = "kWh") -> Figure:
    return name, "active_energy_import", "", unit, None if value is None else Decimal(value)


@pytest.mark.parametrize(
    ("amount", "percent", "old", "new", "matters"),
    [
        (None, None, "100", "100.001", True),
        (None, None, "100", "100", False),
        ("0.5", None, "100", "100.499", False),
        ("0.5", None, "100", "99.5", True),
        (None, "1", "100", "100.99", False),
        (None, "1", "100", "101", True),
        (None, "1", "0", "0.001", True),
        # Either limit is enough.
        ("5", "1", "100", "101", True),
        ("0.5", "1", "1000", "1000.5", True),
        ("0.5", "1", "100", "100.4", False),
        ("0.5", "1", None, "0.1", True),
        ("0.5", "1", "0.1", None, True),
    ],
)
def test_what_matters(
    amount: str | None, percent: str | None, old: str | None, new: str | None, *, matters: bool
) -> None:
    limit = Limit(*(None if text is None else Decimal(text) for text in (amount, percent)))
    assert limit.matters("kWh", [figure(old)], [figure(new)]) is matters


def test_an_amount_is_of_the_tariffs_unit_and_a_dial_is_not_charged() -> None:
    limit = Limit(amount=Decimal("0.5"))
    demand = [figure("1", "block_demand", "kW")], [figure("9", "block_demand", "kW")]
    assert not limit.matters("kWh", *demand)
    dial = [figure("100", "register_end")], [figure("900", "register_end")]
    assert not limit.matters("kWh", *dial)
    assert limit.matters("kWh", [figure("1")], [])


@pytest.mark.parametrize("entry", [{"amount": 0}, {"percent": -1}, {"percent": "x"}, {"kwh": 1}])
def test_a_wrong_limit_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="corrections"):
        Limit.of(entry)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def tariffs() -> tariff.Tariffs:
    """Kuwait's, with limits of 0.5 kWh and 10 %."""
    text = resources.files("mdm").joinpath("tariffs").joinpath("kuwait.toml").read_text("utf-8")
    limits = "[terms.electricity.corrections]\namount = 0.5\npercent = 10\n[terms.water]\n"
    return tariff.collected(tariff_file.parse(text.replace("[terms.water]\n", limits, 1), "x"))


class House:
    """A usage point of which 28.8 kWh are billed."""

    def __init__(self, connection: Connection, tariffs: tariff.Tariffs, folder: Path) -> None:
        self.connection, self.tariffs, self.folder = connection, tariffs, folder
        self.hours = 0
        self.point: Point = add_whole(connection, "UP-1")
        self.this = june(connection)

    def bill(self) -> Path:
        """Compute, deliver and have acknowledged; give the file."""
        self.run()
        self.hours += 1
        done = delivery.deliver(
            self.connection, self.this, target=str(self.folder), now=later(self.hours)
        )
        (export,) = done.exports
        version = self.connection.execute("SELECT max(version) FROM determinant_set").fetchone()
        given = [Acknowledgement("UP-1", (version or (0,))[0], "billed")]
        delivery.acknowledge(self.connection, export, given, now=later(self.hours))
        return self.folder / export.name / f"{export.name}-0001.json"

    def run(self) -> cycle.Run:
        self.hours += 1
        return cycle.run(self.connection, self.this, now=later(self.hours), tariffs=self.tariffs)

    def record(self, more: int, codes: dict[int, int] | None = None) -> None:
        """Have one quarter hour with so many Wh more, and the register with it."""
        self.hours += 1
        values = [100] * (SLOTS - 1) + [100 + more]
        at = later(self.hours)
        billing.record_intervals(self.connection, self.point.interval, values, codes, at=at)
        dial = {PERIOD.end: 5_000 + sum(values)}
        billing.record_register(
            self.connection, self.point.register, self.point.installation, dial, at=at
        )


@pytest.fixture
def house(connection: Connection, tariffs: tariff.Tariffs, tmp_path: Path) -> House:
    return House(connection, tariffs, tmp_path)


def test_small_changes_are_logged_once_and_add_up(house: House) -> None:
    house.bill()
    house.record(9)
    assert (house.run().logged, house.run().logged) == (1, 0)
    assert cycle_status.corrections(house.connection, house.this) == []
    logged = correction_log.logged(house.connection, house.this.id)
    consumption = next(c for c in logged if c.name == "consumption")
    assert (consumption.version, consumption.old, consumption.new) == (
        *(1, Decimal("28.800"), Decimal("28.809")),
    )
    # 0.3 kWh more in a quarter hour are little energy, but four times the demand.
    house.record(300)
    assert (done := house.run()).corrected == 1, done
    corrected = cycle_status.corrections(house.connection, house.this)
    assert next(c.difference for c in corrected if c.name == "consumption") == Decimal("0.3")
    # The change is taken back but for a little: the correction that has not gone out is void.
    house.record(5)
    assert (done := house.run()).withdrawn == 1, done
    assert len({c.logged_at for c in correction_log.logged(house.connection, house.this.id)}) == 2
    assert cycle_status.status(house.connection, house.this).billed == 1
    assert house.run().unchanged == 1


def test_estimates_that_were_billed_are_trued_up_in_their_own_period(house: House) -> None:
    estimate = quality.ESTIMATED_LINEAR
    house.record(0, {SLOTS - 1: estimate})
    first = json.loads(house.bill().read_text("utf-8"))["usage_points"][0]
    house.record(2_000)
    assert house.run().corrected == 1
    changed = cycle_status.corrections(house.connection, house.this)
    sums = {(c.name, c.part): c for c in changed}
    whole = sums["interval_consumption", ""]
    assert (whole.old_estimated, whole.new_estimated) == (1, 0)
    # The last quarter hour of the day is off-peak: that period's difference is all of it.
    parts = {part: c.difference for (name, part), c in sums.items() if name.startswith("time_of")}
    assert list(parts.values()) == [Decimal(2)]
    # Which day it was: the third, and no other.
    (day,) = correction_days.days(house.connection, house.this.id)
    assert (str(day.day), day.part, day.unit) == ("2026-06-03", *parts, "kWh")
    assert day.difference == Decimal(2)
    second = json.loads(house.bill().read_text("utf-8"))["usage_points"][0]
    for name in ("usage_point", "period_start", "period_end"):
        assert second[name] == first[name]
    assert (second["version"], second["corrects"]) == (first["version"] + 1, first["version"])


def test_files_of_corrections_are_rebuilt_bit_for_bit(house: House) -> None:
    files = [house.bill()]
    for more in (2_000, 4_000):
        house.record(more)
        files.append(house.bill())
    house.record(0)
    assert house.run().corrected == 1
    sent = delivery.exports(house.connection, house.this)
    assert len(sent) == len(files) == 3
    for export, file in zip(sent, files, strict=True):
        made = delivery.package(house.connection, house.this, export)
        assert [f.content for f in made.files] == [file.read_bytes()]
        assert made.manifest == (file.parent / "manifest.json").read_bytes()
        assert all(one.identical for one in replay.of_export(house.connection, export))


@pytest.mark.parametrize("file", ["correction_log.sql", "correction_days.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
