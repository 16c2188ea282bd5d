"""Files of what is in the record: readings of a period, and the readings that a bill names."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import nemreader
import pandas as pd
import pytest

from mdm import cycle, delivery, delivery_files, delivery_records, delivery_series, readings_export
from mdm.delivery_files import DeliveryError
from mdm.export import espi, formats
from mdm.readings_export import FORMATS, ReadingsExportError
from schemas import database, quality, statements
from schemas.database import Connection
from schemas.period import Period
from tests.console.shell import Shell
from tests.mdm import billing, record
from tests.mdm import test_declared_cycle as works
from tests.mdm.billing import NOW, PERIOD, RECORDED, SLOTS, add_whole, june, later

CODES = {5: quality.ESTIMATED_LINEAR, 6: quality.MISSING}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def written(connection: Connection, name: str, hours: int = 0) -> readings_export.Written:
    return readings_export.written(
        connection, "UP-1", PERIOD, file_format=name, known_at=RECORDED + timedelta(hours=hours)
    )


def test_a_table_of_readings_as_they_were_known(connection: Connection) -> None:
    point = add_whole(connection, "UP-1", multiplier=40)
    values = [1_000 + n for n in range(SLOTS)]
    billing.record_intervals(connection, point.interval, values, CODES, at=later(1))
    before = list(csv.DictReader(io.StringIO(written(connection, "csv").content.decode())))
    assert {row["value"] for row in before if row["interval_seconds"]} == {"4.000"}
    done = written(connection, "csv", 48)
    assert (done.intervals, done.registers, done.left_out) == (SLOTS - 1, 2, ())
    rows = list(csv.DictReader(io.StringIO(done.content.decode())))
    assert len(rows) == SLOTS + 2
    for slot, row in enumerate(rows[:SLOTS]):
        assert row["value"] == ("" if slot == 6 else f"1.{slot:03d}")
        assert row["quality"] == quality.name_of(CODES.get(slot, 0))
        at = PERIOD.start + timedelta(minutes=15 * slot)
        assert row["starts_at"] == f"{at:%Y-%m-%dT%H:%M:%SZ}"
        assert (row["end_device"], row["unit"], row["multiplier"]) == ("M-UP-1", "kWh", "")
    dial = rows[-1]
    assert (dial["reading_type"], dial["value"]) == ("active_energy_import", "33.800")
    assert (dial["interval_seconds"], Decimal(dial["multiplier"])) == ("", 40)
    frame = pd.read_parquet(io.BytesIO(written(connection, "parquet", 48).content))
    assert [None if v is None else str(v) for v in frame["value"]] == [
        f"{Decimal(row['value']):.9f}" if row["value"] else None for row in rows
    ]
    assert written(connection, "parquet").content != written(connection, "parquet", 48).content


def test_the_same_moment_gives_the_same_bytes(connection: Connection) -> None:
    point = add_whole(connection, "UP-1")
    first = {name: written(connection, name) for name in FORMATS}
    billing.record_intervals(connection, point.interval, [7] * SLOTS, at=later(1))
    for name, before in first.items():
        assert written(connection, name).content == before.content, name
        told = {one.what for one in before.left_out}
        assert not {"determinants", "what was billed before"} & told


def test_a_part_of_a_day(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    six = Period(PERIOD.start + timedelta(hours=6), PERIOD.start + timedelta(hours=7, minutes=30))
    done = readings_export.written(connection, "UP-1", six, file_format="csv", known_at=NOW)
    rows = list(csv.DictReader(io.StringIO(done.content.decode())))
    assert [row["starts_at"][11:16] for row in rows] == [
        "03:00", "03:15", "03:30", "03:45", "04:00", "04:15",
    ]  # fmt: skip


def test_what_cannot_be_written_is_said(connection: Connection) -> None:
    billing.add_point(connection, "UP-1")
    billing.add_point(connection, "a very long name")
    for point, kind, message in (
        ("UP-9", "csv", "no usage point is named 'UP-9'"),
        ("UP-1", "yaml", "no format 'yaml'; known: csv, parquet, nem12"),
        ("UP-1", "nem12", "cannot be written as nem12: it has no intervals"),
        ("UP-1", "csv", "it has no readings there"),
    ):
        with pytest.raises(ReadingsExportError, match=message):
            readings_export.written(connection, point, PERIOD, file_format=kind, known_at=NOW)


def test_a_bill_in_nem12_is_of_the_versions_that_it_names(
    connection: Connection, tmp_path: Path
) -> None:
    point = add_whole(connection, "UP-1", multiplier=2)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    billing.record_intervals(connection, point.interval, [9] * SLOTS, at=later(1))
    delivery.deliver(connection, this, target=str(tmp_path), file_format="nem12", now=later(2))
    delivery.deliver(connection, this, target=str(tmp_path), file_format="nem12", now=later(2))
    (file,) = tmp_path.glob("*/*.csv")
    found = nemreader.read_nem_file(str(file)).readings["UP-1"]["E1"]
    known = [r for r in found if r.quality_method != "N"]
    assert [r.read_value for r in known] == [0.2] * SLOTS
    manifest = (file.parent / "manifest.json").read_text("utf-8")
    assert '"what": "determinants"' in manifest


def test_declared_figures_and_their_channels_go_out_in_every_format(
    connection: Connection, tmp_path: Path
) -> None:
    point = works.add_works(connection, "UP-1", [300] * SLOTS)
    works.add_channels(connection, point, {works.EXPORT: 10, works.REACTIVE: 400})
    works.add_register(connection, point, works.T1, 60_000)
    works.add_register(connection, point, works.T2, 26_400)
    this = june(connection)
    assert works.run(connection, this).problems == ()
    sets = [row[0] for row in connection.execute("SELECT id FROM determinant_set")]
    (found,) = delivery_records.read(
        connection, sets, this.starts_on, this.ends_on, with_series=True
    ).whole()
    head = delivery_files.head(this, "A-1", NOW, "x")
    for name, kind in formats.FORMATS.items():
        assert kind.refusal(found) is None, name
        assert kind.render(head, [found]), name
    # kVA, ratios and losses: ESPI has a unit for each.
    unknown = {(line.name, line.note) for line in found.lines if line.value is None}
    assert set(espi.left_out(found)) == unknown
    assert "kVA" in {line.unit for line in found.lines}
    file = tmp_path / "works.csv"
    file.write_bytes(formats.FORMATS["nem12"].render(head, [found]))
    channels = nemreader.read_nem_file(str(file)).readings["UP-1"]
    first = {suffix: max(r.read_value for r in several) for suffix, several in channels.items()}
    assert first == {"E1": 0.3, "B1": 0.01, "Q1": 0.4}
    file.write_bytes(formats.FORMATS["nem13"].render(head, [found]))
    registers = nemreader.read_nem_file(str(file)).readings["UP-1"]
    used = sorted(r.read_value for several in registers.values() for r in several)
    assert used == [26.4, 60.0, 86.4]


def test_readings_that_are_gone_stop_the_export(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    sets = [row[0] for row in connection.execute("SELECT id FROM determinant_set")]
    found = delivery_series.of_sets(connection, sets)[sets[0]]
    assert len(found.intervals[0]) == SLOTS
    ((one, other),) = found.spans()
    assert (one.value, other.value) == (5_000, 5_000 + 100 * SLOTS)
    connection.execute("DELETE FROM interval_block")
    head = delivery_files.head(this, "A-1", NOW, "x")
    with pytest.raises(DeliveryError, match="an export cannot be made: version 1 of channel"):
        delivery_files.packed(connection, head, "nem12", [("A-1-0001.csv", sets)])


def test_registers_of_an_exchange_stay_with_their_meters(connection: Connection) -> None:
    whole = billing.add_point(connection, "UP-1", modulus=None)
    swap = PERIOD.start + timedelta(days=1)
    connection.execute("UPDATE installation SET ends_at = %s", [swap])
    other = billing.add_meter(connection, whole.id, "M-2", starts_at=swap)
    dials = {PERIOD.start: 100, swap: 300}
    billing.record_register(connection, whole.register, whole.installation, dials)
    moments = {swap: 7, PERIOD.end: 10}
    billing.record_register(connection, whole.register, other, moments)
    found = delivery_series.of_usage_point(connection, whole.id, PERIOD, known_at=None)
    assert [(a.end_device, b.value - a.value) for a, b in found.spans()] == [
        ("M-2", 3), ("M-UP-1", 200),
    ]  # fmt: skip


def test_the_command(miqyas: Shell, connection: Connection, tmp_path: Path) -> None:
    add_whole(connection, "UP-1")
    out = tmp_path / "june.csv"
    days = ("--from", "2026-06-01", "--to", "2026-06-04T00:00+03:00", "--out", out)
    said = miqyas("export", "readings", "UP-1", *days, "--format", "nem12")
    assert said.status == 0, said.err
    assert "288 intervals, 2 register readings as nem12" in said.out
    assert "not in it: register readings (the format has no place for it)" in said.out
    assert len(nemreader.read_nem_file(str(out)).readings["UP-1"]["E1"]) == 4 * 96
    assert "no usage point is named 'UP-9'" in miqyas("export", "readings", "UP-9", *days).err
    wrong = miqyas("export", "readings", "UP-1", *days[2:], "--from", "June")
    assert wrong.status
    assert "'June' is no time" in " ".join(wrong.err.split())


def test_replay_makes_the_files_again(
    miqyas: Shell, connection: Connection, tmp_path: Path
) -> None:
    add_whole(connection, "UP-1")
    cycle.run(connection, june(connection), now=NOW)
    out, again = tmp_path / "out", tmp_path / "again"
    said = miqyas("bill", "export", "A", "2026-06-01", "--to", out, "--format", "espi")
    assert said.status == 0, said.err
    said = miqyas("bill", "replay", "A", "2026-06-01", "--out", again)
    assert "1 file made again, every bit as delivered" in said.out
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert len(files) == 2
    for file in files:
        assert (again / file).read_bytes() == (out / file).read_bytes()
    listed = miqyas("bill", "formats")
    assert "mscons_comma" in listed.out


def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "delivery_series.sql").items():
        record.prepare(connection, name, text)
