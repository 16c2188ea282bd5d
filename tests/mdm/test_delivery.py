"""Delivery to a folder: claims, files, manifest, acknowledgement, nothing twice."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from mdm import cycle, cycle_status, delivery, delivery_files, delivery_folder, delivery_records
from mdm.acknowledgement import Acknowledgement
from mdm.delivery_files import DeliveryError
from mdm.export.formats import FORMATS
from schemas import database, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, PERIOD, SLOTS, add_point, add_whole, june, later


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def billed(export: delivery.Export, *mrids: str, version: int = 1) -> list[Acknowledgement]:
    assert export
    return [Acknowledgement(mrid, version, "billed") for mrid in mrids]


def ready(connection: Connection, *mrids: str) -> cycle.Cycle:
    for number, mrid in enumerate(mrids):
        add_whole(connection, mrid, 100 + number)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    return this


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_export_in_a_folder(connection: Connection, tmp_path: Path, name: str) -> None:
    this = ready(connection, "UP-1", "UP-2")
    add_point(connection, "UP-held")
    cycle.run(connection, this, now=NOW)
    done = delivery.deliver(
        connection, this, target=str(tmp_path / "out"), file_format=name, now=later(1)
    )
    (export,) = done.exports
    assert (done.items, export.state, export.waiting) == (2, "delivered", 2)
    folder = tmp_path / "out" / export.name
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert (manifest["usage_points"], manifest["corrections"]) == (2, 0)
    (entry,) = manifest["files"]
    content = (folder / entry["name"]).read_bytes()
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert (entry["bytes"], entry["usage_points"]) == (len(content), 2)
    sums = {(s["determinant"], s["part"]): (s["value"], s["unit"]) for s in manifest["sums"]}
    # 288 × 100 Wh and 288 × 101 Wh
    assert sums["consumption", ""] == ("57.888", "kWh")
    assert ("block_demand", "30 min") not in sums
    assert [t.partition("@")[0] for t in manifest["versions"]["tariffs"]] == ["kw-residential"]
    assert manifest["versions"]["rule_sets"] == ["standard@d1"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [export.name]


def test_csv_and_json_say_the_same(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-1")
    export = delivery.prepare(connection, this, file_format="json", target=str(tmp_path), now=NOW)
    assert export
    sets = [row[0] for row in connection.execute("SELECT id FROM determinant_set")]
    head = delivery_files.head(this, export.name, NOW, "x")
    found = delivery_records.read(connection, sets, this.starts_on, this.ends_on).whole()
    rows = list(csv.DictReader(FORMATS["csv"].render(head, found).decode().splitlines()))
    (point,) = json.loads(FORMATS["json"].render(head, found))["usage_points"]
    lines = point.pop("determinants")
    assert len(rows) == len(lines) == 13
    for row, line in zip(rows, lines, strict=True):
        for name, value in {**point, **line}.items():
            assert row[name] == ("" if value is None else str(value)), name
    assert rows[0]["key"] == "UP-1/2026-06-01/2026-06-04/1"
    assert (rows[0]["determinant"], rows[0]["value"]) == ("consumption", "28.800")
    assert rows[0]["period_start"] == "2026-05-31T21:00:00Z"


def test_nothing_goes_twice(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-1", "UP-2")
    target = str(tmp_path)
    first = delivery.deliver(connection, this, target=target, file_format="csv", now=NOW)
    assert first.items == 2
    again = delivery.deliver(connection, this, target=target, file_format="csv", now=later(1))
    assert again.exports == ()
    other = delivery.deliver(
        connection, this, target=str(tmp_path / "other"), file_format="json", now=later(1)
    )
    assert other.exports == ()
    assert len(list(tmp_path.iterdir())) == 1
    (export,) = delivery.exports(connection, this)
    given = [*billed(export, "UP-1"), Acknowledgement("UP-2", 1, "rejected", "no account")]
    assert delivery.acknowledge(connection, export, given, now=later(2)) == 2
    assert delivery.acknowledge(connection, export, given, now=later(3)) == 0
    status = cycle_status.status(connection, this)
    assert (status.billed, status.rejected, status.exported) == (1, 1, 0)
    (hold,) = cycle_status.holds(connection, this)
    assert (hold.usage_point, hold.gate, hold.detail) == ("UP-2", "rejected", "no account")
    (export,) = delivery.exports(connection, this)
    assert (export.state, export.billed, export.rejected) == ("acknowledged", 1, 1)
    # A person has it sent again: UP-2 only, under the same key.
    cycle.release(connection, this, "UP-2", person="Amal", reason="opened", now=later(3))
    third = delivery.deliver(connection, this, target=target, file_format="csv", now=later(4))
    (file,) = (tmp_path / third.exports[0].name).glob("*.csv")
    keys = {row["key"] for row in csv.DictReader(file.read_text("utf-8").splitlines())}
    assert keys == {"UP-2/2026-06-01/2026-06-04/1"}


def test_a_delivery_that_died_is_finished(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-1")
    target = tmp_path / "out"
    export = delivery.prepare(connection, this, file_format="json", target=str(target), now=NOW)
    assert export
    # It died while it wrote: a part of the folder is there.
    part = target / f".{export.name}.part"
    part.mkdir(parents=True)
    (part / "half").write_text("{", "utf-8")
    done = delivery.deliver(connection, this, target=str(target), file_format="csv", now=later(1))
    assert [e.name for e in done.exports] == [export.name]
    assert sorted(p.name for p in target.iterdir()) == [export.name]
    names = sorted(p.name for p in (target / export.name).iterdir())
    assert names == [f"{export.name}-0001.json", "manifest.json"]


def test_an_unwritable_target_keeps_the_claim(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-1")
    target = tmp_path / "file"
    target.write_text("not a folder", "utf-8")
    with pytest.raises(DeliveryError, match="cannot write export"):
        delivery.deliver(connection, this, target=str(target), file_format="csv", now=NOW)
    (export,) = delivery.exports(connection, this)
    assert export.state == "prepared"
    assert export.problem
    assert "cannot write export" in export.problem
    target.unlink()
    delivery.deliver(connection, this, target=str(target), file_format="csv", now=later(1))
    (export,) = delivery.exports(connection, this)
    assert (export.state, export.problem) == ("delivered", None)


def test_files_are_made_again_byte_for_byte(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-2", "UP-1")
    delivery.deliver(connection, this, target=str(tmp_path), file_format="json", now=NOW)
    (export,) = delivery.exports(connection, this)
    same_bytes(connection, this, export, tmp_path)
    # Were a figure tampered with, the file could not be made as it was sent.
    with connection.transaction():
        connection.execute("ALTER TABLE determinant_page DISABLE TRIGGER billing_stands")
        connection.execute("UPDATE determinant_page SET units[1] = units[1] + 1")
    with pytest.raises(DeliveryError, match="cannot be made as it was prepared"):
        delivery.package(connection, this, export)


def same_bytes(
    connection: Connection, this: cycle.Cycle, export: delivery.Export, folder: Path
) -> None:
    made = delivery.package(connection, this, export)
    for file in made.files:
        assert (folder / export.name / file.entry.name).read_bytes() == file.content
    assert (folder / export.name / "manifest.json").read_bytes() == made.manifest


def test_files_stay_the_same_when_the_record_goes_on(
    connection: Connection, tmp_path: Path
) -> None:
    sent = []
    for number, name in enumerate(sorted(FORMATS)):
        point = add_whole(connection, f"UP-{number}", group=name)
        this = june(connection, name)
        cycle.run(connection, this, now=NOW)
        delivery.deliver(connection, this, target=str(tmp_path), file_format=name, now=NOW)
        (export,) = delivery.exports(connection, this)
        assert export.items == 1, name
        sent.append((this, export))
        # Everything gets a newer version: the files are of those that were billed.
        billing.record_intervals(connection, point.interval, [7] * SLOTS, at=later(1))
        dial = {PERIOD.end: 9_999}
        billing.record_register(connection, point.register, point.installation, dial, at=later(1))
    for this, export in sent:
        same_bytes(connection, this, export, tmp_path)


def test_what_a_format_cannot_say_stays_to_be_delivered(
    connection: Connection, tmp_path: Path
) -> None:
    this = ready(connection, "UP-1")
    # Nothing was measured, and a person had it billed all the same: it has no figures.
    add_point(connection, "UP-2")
    cycle.run(connection, this, now=NOW)
    cycle.release(connection, this, "UP-2", person="Amal", reason="a ruin", now=NOW)
    (reason,) = delivery.refused(connection, this, file_format="lago", now=NOW)
    assert reason == "UP-2: none of its figures has a value"
    target = str(tmp_path)
    assert delivery.deliver(connection, this, target=target, file_format="lago", now=NOW).items == 1
    assert delivery.deliver(connection, this, target=target, file_format="lago", now=NOW).items == 0
    assert delivery.refused(connection, this, file_format="json", now=NOW) == []
    assert delivery.deliver(connection, this, target=target, file_format="json", now=NOW).items == 1


def test_a_correction_says_old_new_and_difference(connection: Connection, tmp_path: Path) -> None:
    this = ready(connection, "UP-1")
    target = str(tmp_path)
    delivery.deliver(connection, this, target=target, file_format="json", now=NOW)
    (export,) = delivery.exports(connection, this)
    delivery.acknowledge(connection, export, billed(export, "UP-1"), now=NOW)
    point, register, installation = connection.execute(
        "SELECT min(c.id) FILTER (WHERE c.interval_seconds > 0),"
        " min(c.id) FILTER (WHERE c.interval_seconds = 0), min(i.id) FROM channel c, installation i"
    ).fetchone() or (0, 0, 0)
    values = [100] * (SLOTS - 1) + [350]
    billing.record_intervals(connection, point, values, at=later(1))
    dial = {PERIOD.end: 5_000 + sum(values)}
    billing.record_register(connection, register, installation, dial, at=later(1))
    assert cycle.run(connection, this, now=later(2)).corrected == 1
    done = delivery.deliver(connection, this, target=target, file_format="json", now=later(3))
    (file,) = (tmp_path / done.exports[0].name).glob("*-0001.json")
    (sent,) = json.loads(file.read_text("utf-8"))["usage_points"]
    assert (sent["version"], sent["corrects"]) == (2, 1)
    lines = {(line["determinant"], line["part"]): line for line in sent["determinants"]}
    consumption = lines["consumption", ""]
    assert (consumption["previous"], consumption["value"]) == ("28.800", "29.050")
    assert Decimal(consumption["difference"]) == Decimal("0.25")
    assert lines["register_start", "M-UP-1"]["difference"] == "0"
    manifest = json.loads((file.parent / "manifest.json").read_text("utf-8"))
    assert manifest["corrections"] == 1
    (_, second) = delivery.exports(connection, this)
    delivery.acknowledge(connection, second, billed(second, "UP-1", version=2), now=later(4))
    assert cycle_status.status(connection, this).billed == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Acknowledgement("UP-9", 1, "billed"), "UP-9, version 1, is billed in export "),
        (Acknowledgement("UP-1", 2, "billed"), "UP-1, version 2, is billed in export "),
        (Acknowledgement("UP-1", 1, "rejected", "no"), "and it was said before that it is billed"),
    ],
)
def test_wrong_acknowledgements_are_refused(
    connection: Connection, tmp_path: Path, given: Acknowledgement, message: str
) -> None:
    this = ready(connection, "UP-1")
    delivery.deliver(connection, this, target=str(tmp_path), file_format="csv", now=NOW)
    (export,) = delivery.exports(connection, this)
    delivery.acknowledge(connection, export, billed(export, "UP-1"), now=NOW)
    with pytest.raises(DeliveryError) as caught:
        delivery.acknowledge(connection, export, [given], now=later(1))
    assert message in str(caught.value)
    with pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("UPDATE export_item SET outcome = 'rejected', reason = 'x'")


def test_acknowledgements_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    file.write_text("usage_point,version,outcome,reason\nUP-1,1,billed,\nUP-2,1,rejected,why\n")
    assert list(delivery_folder.acknowledgements(file.name, file.read_bytes())) == [
        Acknowledgement("UP-1", 1, "billed"),
        Acknowledgement("UP-2", 1, "rejected", "why"),
    ]
    for line, message in (
        ("UP-1,1,paid,", "must be billed, or rejected with a reason"),
        ("UP-1,1,rejected,", "must be billed, or rejected with a reason"),
        ("UP-1,one,billed,", "version 'one' is not a number"),
        ("UP-1", "version '' is not a number"),
    ):
        file.write_text(f"usage_point,version,outcome,reason\n{line}\n")
        with pytest.raises(DeliveryError, match=r"answers\.csv, line 2: .*" + message):
            list(delivery_folder.acknowledgements(file.name, file.read_bytes()))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"usage_point,version\n\xff\xfe,1\n"])
def test_a_file_that_holds_no_acknowledgements_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "answers.csv"
    file.write_bytes(content)
    with pytest.raises(DeliveryError, match="needs usage_point, version, outcome, reason"):
        list(delivery_folder.acknowledgements(file.name, file.read_bytes()))


def test_a_transaction_around_it_is_refused(database_url: str, tmp_path: Path) -> None:
    with database.connect(database_url) as connection:
        add_point(connection, "UP-1")
        this = june(connection)
        with pytest.raises(ValueError, match="autocommit"):
            delivery.deliver(connection, this, target=str(tmp_path), file_format="csv", now=NOW)


def test_a_password_in_an_address_is_refused(connection: Connection) -> None:
    this = ready(connection, "UP-1")
    with pytest.raises(ValueError, match="must not carry a user or a password"):
        delivery.deliver(
            connection, this, target="http://a:b@127.0.0.1", file_format="csv", now=NOW
        )
    assert delivery.exports(connection, this) == []


@pytest.mark.parametrize("file", ["delivery.sql", "delivery_records.sql", "acknowledgement.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
