"""An export that was claimed for a wrong target goes elsewhere, as it is, and once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mdm import cycle_status, delivery, delivery_folder, delivery_redirect, delivery_targets
from mdm.acknowledgement import Acknowledgement
from mdm.cycle import Cycle, CycleError
from mdm.delivery import Export
from mdm.delivery_files import DeliveryError, Package
from schemas import database
from schemas.database import Connection
from tests.mdm import billing
from tests.mdm.billing import later
from tests.mdm.test_delivery_http import NEVER, free_port

WHO = {"person": "Noura", "reason": "mistyped"}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def this(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> Cycle:
    return billing.ready(connection, monkeypatch, ["UP-0", "UP-1", "UP-2"])


def stranded(connection: Connection, this: Cycle) -> Export:
    """Claim everything for an address at which nobody listens."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DeliveryError):
        delivery.deliver(
            connection, this, target=nobody, file_format="csv", now=later(1), retry=NEVER
        )
    (export,) = delivery.exports(connection, this)
    return export


def test_it_goes_elsewhere_with_the_same_files(
    connection: Connection, this: Cycle, tmp_path: Path
) -> None:
    export, folder = stranded(connection, this), str(tmp_path)
    assert not delivery.deliver(connection, this, target=folder, now=later(2)).exports
    before = connection.execute("SELECT name, sha256 FROM export_file ORDER BY name").fetchall()
    sent, former = delivery_redirect.redirect(
        connection, this, export.name, folder, **WHO, now=later(3)
    )
    assert (sent.target, sent.state, sent.problem) == (folder, "prepared", None)
    assert former == export.target
    (done,) = delivery.deliver(connection, this, target=folder, now=later(4)).exports
    assert (done.name, done.items, done.state) == (export.name, 3, "delivered")
    written = {path.name for path in (tmp_path / export.name).iterdir()}
    assert written == {"manifest.json", *(name for name, _ in before)}
    after = connection.execute("SELECT name, sha256 FROM export_file ORDER BY name").fetchall()
    assert after == before
    assert not delivery.deliver(connection, this, target=folder, now=later(5)).exports
    assert connection.execute(
        "SELECT former_target, delivered_at, redirected_at, person, reason FROM export_redirect"
    ).fetchall() == [(export.target, None, later(3), "Noura", "mistyped")]


def test_what_lies_in_a_wrong_folder_goes_elsewhere_until_it_is_acknowledged(
    connection: Connection, this: Cycle, tmp_path: Path
) -> None:
    wrong, right = str(tmp_path / "wrong"), str(tmp_path / "right")
    (export,) = delivery.deliver(connection, this, target=wrong, now=later(1)).exports
    delivery_redirect.redirect(connection, this, export.name, right, **WHO, now=later(2))
    (done,) = delivery.deliver(connection, this, target=right, now=later(3)).exports
    assert (done.target, done.state) == (right, "delivered")
    first, second = (
        sorted(
            (path.name, path.read_bytes()) for path in (tmp_path / place / export.name).iterdir()
        )
        for place in ("wrong", "right")
    )
    assert first == second
    billed = [Acknowledgement("UP-0", 1, "billed", "")]
    delivery.acknowledge(connection, done, billed, now=later(4))
    with pytest.raises(DeliveryError, match=r"has acknowledged 1 of 3 .*: deliver the rest there"):
        delivery_redirect.redirect(connection, this, export.name, wrong, **WHO, now=later(5))
    (kept,) = delivery.exports(connection, this)
    assert (kept.target, kept.state, kept.billed) == (right, "delivered", 1)


def test_a_redirection_that_cannot_be_changes_nothing(
    connection: Connection, this: Cycle, tmp_path: Path
) -> None:
    export, folder = stranded(connection, this), str(tmp_path)
    for name, to, who, problem in (
        ("other", folder, WHO, f"no export other of .*; there is: {export.name}"),
        (export.name, export.target, WHO, "goes to http://.* already"),
        (export.name, folder, {"person": " ", "reason": "x"}, "needs a person and a reason"),
        (export.name, folder, {"person": "Noura", "reason": ""}, "needs a person and a reason"),
    ):
        with pytest.raises(DeliveryError, match=problem):
            delivery_redirect.redirect(connection, this, name, to, **who, now=later(2))
    for to, problem in (("ftp://x", "no target is called"), ("lago+https://x", "takes the format")):
        with pytest.raises(delivery_targets.TargetError, match=problem):
            delivery_redirect.redirect(connection, this, export.name, to, **WHO, now=later(2))
    assert delivery.exports(connection, this) == [export]
    assert connection.execute("SELECT count(*) FROM export_redirect").fetchone() == (0,)


def test_what_goes_elsewhere_while_it_is_delivered_is_delivered_there_too(
    connection: Connection, this: Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = str(tmp_path / "wrong"), str(tmp_path / "right")
    put = delivery_folder.put

    def slow(folder: Path, name: str, package: Package) -> Path:
        done = put(folder, name, package)
        delivery_redirect.redirect(connection, this, name, right, **WHO, now=later(1))
        return done

    monkeypatch.setattr(delivery_folder, "put", slow)
    (export,) = delivery.deliver(connection, this, target=wrong, now=later(1)).exports
    assert (export.target, export.state) == (right, "prepared")
    monkeypatch.undo()
    (export,) = delivery.deliver(connection, this, target=right, now=later(2)).exports
    assert (export.target, export.state) == (right, "delivered")


def test_a_cycle_that_is_not_there_is_said(connection: Connection, this: Cycle) -> None:
    assert cycle_status.chosen(connection, this.billing_group, this.starts_on) == this
    with pytest.raises(CycleError, match="'other' has no cycle from"):
        cycle_status.chosen(connection, "other", this.starts_on)
