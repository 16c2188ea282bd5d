"""Delivery by SFTP to a real server, which is really killed at every point."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import asyncssh
import pytest

from mdm import account_balance, acknowledgement, cycle, cycle_status, delivery, delivery_answers
from mdm.delivery_access import Access, Retry
from mdm.delivery_files import DeliveryError
from schemas import database
from schemas.database import Connection
from simulators import invoicing_folder
from simulators.invoicing_balance import Payment
from simulators.invoicing_ledger import Ledger
from tests.mdm import billing, sftp_server
from tests.mdm.billing import later

POINTS = ["UP-1", "UP-2", "UP-3"]
PASSWORD = "pass-word-of-the-test"


@dataclass
class House:
    """A server's keys and folder, and what we know of it."""

    folder: Path
    options: list[str]
    access: Access
    port: int

    @property
    def target(self) -> str:
        return f"sftp://miqyas@127.0.0.1:{self.port}/in/bills"

    @contextmanager
    def open(self, *options: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, str(Path(sftp_server.__file__)), str(self.folder)]
        command += [*self.options, "--port", str(self.port), *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout
                assert running.stdout.readline().strip() == str(self.port)
                yield running
            finally:
                running.terminate()


@pytest.fixture
def house(tmp_path: Path) -> House:
    key, ours = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    key.write_private_key(tmp_path / "host")
    ours.write_private_key(tmp_path / "ours")
    ours.write_public_key(tmp_path / "ours.pub")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    folder = tmp_path / "served"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    public = key.export_public_key().decode()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    options = ["--host-key", str(tmp_path / "host"), "--password-file", str(tmp_path / "password")]
    options += ["--authorized", str(tmp_path / "ours.pub")]
    access = Access(known_hosts_file=tmp_path / "known_hosts", key_file=tmp_path / "ours")
    return House(folder, options, access, port)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def this(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> cycle.Cycle:
    """A cycle of three usage points, sent in files of two."""
    return billing.ready(connection, monkeypatch, POINTS)


def deliver(
    connection: Connection, this: cycle.Cycle, house: House, hours: int = 1
) -> delivery.Delivery:
    return delivery.deliver(
        connection, this, target=house.target, file_format="csv", now=later(hours),
        retry=Retry(attempts=1), access=house.access,
    )  # fmt: skip


def held_against_ours(connection: Connection, this: cycle.Cycle, house: House) -> Path:
    """Hold every byte on the server against what was prepared; give the export's folder."""
    (export,) = delivery.exports(connection, this)
    package = delivery.package(connection, this, export)
    wanted = {file.entry.name: file.content for file in package.files}
    wanted["manifest.json"] = package.manifest
    folder = house.folder / "in" / "bills" / export.name
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == wanted
    return folder


def test_an_export_arrives_whole_and_is_acknowledged_in_files(
    connection: Connection, this: cycle.Cycle, house: House
) -> None:
    with house.open():
        done = deliver(connection, this, house)
        assert (done.items, done.billed) == (3, 0)
        folder = held_against_ours(connection, this, house)
        assert json.loads((folder / "manifest.json").read_text())["usage_points"] == 3
        assert deliver(connection, this, house, hours=2).exports == ()
        (export,) = delivery.exports(connection, this)
        assert collect(connection, this, house).files == 0
        answers = folder.parent / "acknowledgements"
        answers.mkdir()
        heading = "usage_point,version,outcome,reason\n"
        (answers / f"{export.name}-1.csv").write_text(f"{heading}UP-1,1,billed,\n")
        (answers / f"{export.name}.csv.part").write_text(f"{heading}UP-3,1,billed,\n")
        (answers / f"{export.name}-2.csv").write_text(
            f"{heading}UP-1,1,billed,\nUP-2,1,rejected,no account\nUP-9,1,billed,\n"
        )
        (answers / f"{export.name}-3.csv").write_text("thanks\n")
        found = collect(connection, this, house)
        assert (found.files, found.taken.new, len(found.taken.strays)) == (3, 2, 1)
        assert "-3.csv, line 1: the columns are not named" in found.problems[0]
        # Late, repeated and unknown ones: nothing changes twice, and nothing is forgotten.
        (answers / f"{export.name}-4.csv").write_text(
            f"{heading}UP-3,1,billed,\nUP-1,1,rejected,changed our mind\n"
        )
        assert collect(connection, this, house).taken.new == 1
        assert collect(connection, this, house).files == 0
    status = cycle_status.status(connection, this)
    assert (status.billed, status.rejected, status.exported) == (2, 1, 0)
    (hold,) = cycle_status.holds(connection, this)
    assert (hold.usage_point, hold.detail) == ("UP-2", "no account")
    kept = [(s.bill, s.outcome, s.why) for s in acknowledgement.strays(connection, this.id)]
    assert kept == [
        ("UP-9, version 1", "billed", "it is not in the export"),
        ("UP-1, version 1", "rejected", "it was said before that it is billed"),
    ]


def test_balances_are_fetched_beside_acknowledgements(
    connection: Connection, this: cycle.Cycle, house: House, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "books.sqlite")
    with house.open():
        deliver(connection, this, house)
        folder = house.folder / "in" / "bills"
        assert invoicing_folder.look(folder, ledger) == []
        found = collect(connection, this, house)
        assert (found.files, found.taken.new, found.balances) == (2, 3, 3)
        assert ledger.accounts.pay("UP-2", Payment("R-1", later(1).date(), Decimal(1)))
        assert invoicing_folder.look(folder, ledger) == []
        again = [collect(connection, this, house) for _ in range(2)]
        assert [(one.files, one.balances) for one in again] == [(1, 1), (1, 0)]
    (sums,) = account_balance.sums(connection)
    assert (sums.accounts, sums.owing, str(sums.credit)) == (3, 2, "0.942")
    ledger.close()


def collect(connection: Connection, this: cycle.Cycle, house: House) -> delivery_answers.Collected:
    return delivery_answers.collect(
        connection, this, now=later(3), retry=Retry(attempts=1), access=house.access
    )


@pytest.mark.parametrize(
    ("point", "number"),
    [("open", 1), ("write", 2), ("close", 3), ("rename", 3), ("renamed", 1), ("renamed", 3)],
)
def test_a_server_that_is_killed_loses_and_doubles_nothing(
    connection: Connection, this: cycle.Cycle, house: House, point: str, number: int
) -> None:
    with house.open("--die", point, "--die-at", str(number)) as server:
        with pytest.raises(DeliveryError, match="Deliver again when it is back"):
            deliver(connection, this, house)
        assert server.wait(10) == -signal.SIGKILL
    (export,) = delivery.exports(connection, this)
    assert (export.state, bool(export.problem)) == ("prepared", True)
    folder = house.folder / "in" / "bills" / export.name
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir() if p.suffix != ".part"}
    # The manifest is the last to come: until then nobody takes the export for whole.
    assert ("manifest.json" in before) == ((point, number) == ("renamed", 3))
    with house.open():
        done = deliver(connection, this, house, hours=2)
        assert [e.name for e in done.exports] == [export.name]
        assert deliver(connection, this, house, hours=3).exports == ()
    held_against_ours(connection, this, house)
    # What was there was not written again.
    after = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert before.items() <= after.items()


def test_it_is_tried_again_with_growing_waits(
    connection: Connection, this: cycle.Cycle, house: House
) -> None:
    waits: list[float] = []
    running = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            running.append(house.open())
            running[0].__enter__()

    delivery.deliver(
        connection, this, target=house.target, file_format="csv", now=later(1),
        retry=Retry(attempts=4, first_wait=0.5), access=house.access, wait=wait,
    )  # fmt: skip
    running[0].__exit__(None, None, None)
    assert waits == [0.5, 1.0]
    held_against_ours(connection, this, house)


def test_who_is_trusted_and_what_is_shown(
    connection: Connection, this: cycle.Cycle, house: House, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("DEBUG")
    known = house.access
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    strangers = tmp_path / "strangers"
    strangers.write_text(f"[127.0.0.1]:{house.port} {other}")
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong-pass-word")
    for access, message in (
        (replace(known, known_hosts_file=None), "MIQYAS_SFTP_KNOWN_HOSTS_FILE"),
        (replace(known, known_hosts_file=strangers), "put it into the file of known hosts"),
        (replace(known, known_hosts_file=tmp_path / "none"), "there is no such file"),
        (replace(known, key_file=None), "needs a key or a password"),
        (replace(known, key_file=None, password_file=wrong), "PermissionDenied"),
        (replace(known, key_file=wrong), "is no private key without a passphrase"),
    ):
        house.access = access
        with house.open(), pytest.raises(DeliveryError, match=message) as caught:
            deliver(connection, this, house)
        assert "wrong-pass-word" not in str(caught.value)
    assert list(house.folder.iterdir()) == []
    house.access = replace(known, key_file=None, password_file=tmp_path / "password")
    with house.open():
        deliver(connection, this, house)
    held_against_ours(connection, this, house)
    assert "pass-word" not in caplog.text


def test_an_export_of_that_name_with_other_content_stays(
    connection: Connection, this: cycle.Cycle, house: House
) -> None:
    with house.open():
        deliver(connection, this, house)
        (export,) = delivery.exports(connection, this)
        file = house.folder / "in" / "bills" / export.name / "manifest.json"
        file.write_text("{}")
        connection.execute("UPDATE export SET delivered_at = NULL")
        with pytest.raises(DeliveryError, match="is there with other content; move it away"):
            deliver(connection, this, house, hours=2)
    assert file.read_text() == "{}"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("sftp://a:b@127.0.0.1/in", "must not carry a password"),
        ("sftp://127.0.0.1/in", "must name a user and a host"),
        ("ftp://127.0.0.1/in", "no target is called ftp:; known: http:, "),
    ],
)
def test_a_wrong_address_is_refused(
    connection: Connection, this: cycle.Cycle, target: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        delivery.deliver(connection, this, target=target, now=later(1))
    assert delivery.exports(connection, this) == []
