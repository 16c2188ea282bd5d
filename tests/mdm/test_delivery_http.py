"""Delivery over HTTP to a real receiver, which is really killed at every point."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from mdm import cycle, cycle_status, delivery
from mdm.delivery_access import Retry
from mdm.delivery_files import DeliveryError
from schemas import database
from schemas.database import Connection
from simulators import invoicing
from simulators.invoicing_accounts import Accounts
from simulators.invoicing_ledger import Books
from tests.mdm import billing
from tests.mdm.billing import PERIOD, SLOTS, later

POINTS = [f"UP-{number}" for number in range(5)]
NEVER: Retry = Retry(attempts=1)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def this(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> cycle.Cycle:
    """A cycle of five usage points that is ready, sent in files of two."""
    return billing.ready(connection, monkeypatch, POINTS)


def deliver(
    connection: Connection, this: cycle.Cycle, url: str, *, retry: Retry = NEVER, hours: int = 1,
    file_format: str = "json",
) -> delivery.Delivery:  # fmt: skip
    waits: list[float] = []
    return delivery.deliver(
        connection,
        this,
        target=url,
        file_format=file_format,
        now=later(hours),
        retry=retry,
        wait=waits.append,
    )


@contextmanager
def process(journal: Path, port: int, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run an invoicing system in a process of its own."""
    command = [sys.executable, "-m", "simulators.invoicing", "--port", str(port)]
    command += ["--journal", str(journal), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            assert json.loads(running.stdout.readline())["ready"]
            yield running
        finally:
            running.terminate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def invoices(url: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/invoices", trust_env=False)
    found: list[dict[str, Any]] = answer.json()["invoices"]
    return found


@pytest.mark.parametrize("file_format", ["json", "csv"])
def test_acknowledged_becomes_billed(
    connection: Connection, this: cycle.Cycle, tmp_path: Path, file_format: str
) -> None:
    books = Books(Accounts.named(POINTS[:4]))
    with invoicing.serving(tmp_path / "books.sqlite", books=books) as receiver:
        done = deliver(connection, this, receiver.url, file_format=file_format)
        assert (done.items, done.billed, done.rejected) == (5, 4, 1)
        sent = invoices(receiver.url)
        assert deliver(connection, this, receiver.url, hours=2).exports == ()
        assert invoices(receiver.url) == sent
    assert [i["usage_point"] for i in sent] == POINTS[:4]
    assert [i["quantity"] for i in sent] == ["28.800", "29.088", "29.376", "29.664"]
    (hold,) = cycle_status.holds(connection, this)
    assert (hold.usage_point, hold.detail) == ("UP-4", "no account has this usage point")
    (export,) = delivery.exports(connection, this)
    assert export.state == "acknowledged"


@pytest.mark.parametrize("moment", invoicing.DEATHS)
@pytest.mark.parametrize("file", [1, 3])
def test_a_receiver_that_is_killed_loses_and_doubles_nothing(
    connection: Connection, this: cycle.Cycle, tmp_path: Path, moment: str, file: int
) -> None:
    journal, port = tmp_path / "books.sqlite", free_port()
    url = f"http://127.0.0.1:{port}"
    with process(journal, port, "--die", moment, "--die-at", str(file)) as receiver:
        with pytest.raises(DeliveryError, match="Deliver again when it is back"):
            deliver(connection, this, url)
        assert receiver.wait(10) == -signal.SIGKILL
    assert cycle_status.status(connection, this).billed == 2 * (file - 1)
    (export,) = delivery.exports(connection, this)
    assert export.problem
    with process(journal, port):
        done = deliver(connection, this, url, hours=2)
        assert [e.name for e in done.exports] == [export.name]
        assert (done.billed, done.rejected) == (5, 0)
        assert [i["usage_point"] for i in invoices(url)] == POINTS
        assert deliver(connection, this, url, hours=3).exports == ()
    status = cycle_status.status(connection, this)
    assert (status.billed, status.exported, status.ready) == (5, 0, 0)
    (export,) = delivery.exports(connection, this)
    assert export.problem is None


def test_a_sender_that_dies_before_it_writes_down_the_answer(
    connection: Connection, this: cycle.Cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with invoicing.serving(tmp_path / "books.sqlite") as receiver:
        with monkeypatch.context() as patch:
            patch.setattr(delivery, "acknowledge", die)
            with pytest.raises(KeyboardInterrupt):
                deliver(connection, this, receiver.url)
        assert len(invoices(receiver.url)) == 2
        assert cycle_status.status(connection, this).billed == 0
        assert deliver(connection, this, receiver.url, hours=2).billed == 5
        assert [i["usage_point"] for i in invoices(receiver.url)] == POINTS


def test_it_is_tried_again_with_growing_waits(
    connection: Connection, this: cycle.Cycle, tmp_path: Path
) -> None:
    port, waits = free_port(), []
    journal = tmp_path / "books.sqlite"
    with invoicing.serving(journal, port=port):
        pass
    running = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            running.append(invoicing.serving(journal, port=port))
            running[0].__enter__()

    done = delivery.deliver(
        connection, this, target=f"http://127.0.0.1:{port}", file_format="json", now=later(1),
        retry=Retry(attempts=6, first_wait=0.5, longest_wait=1.5), wait=wait,
    )  # fmt: skip
    running[0].__exit__(None, None, None)
    assert waits == [0.5, 1.0, 1.5]
    assert done.billed == 5


def test_nobody_there(connection: Connection, this: cycle.Cycle) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(DeliveryError, match=r"in 1 attempts; at last ConnectError"):
        deliver(connection, this, url)
    (export,) = delivery.exports(connection, this)
    assert (export.state, export.waiting) == ("prepared", 5)


class Answering:
    """A receiver that answers each file as it is told."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        self.paths.append(scope["path"])
        status, body = (200, {}) if scope["method"] == "PUT" else self.answers.pop(0)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@contextmanager
def answering(*answers: tuple[int, object]) -> Iterator[tuple[str, Answering]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        application = Answering(*answers)
        configuration = uvicorn.Config(application, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(configuration)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", application
        server.should_exit = True
        thread.join(10)


def given(*mrids: str, outcome: str = "billed", reason: str = "") -> tuple[int, object]:
    items = [{"usage_point": m, "version": 1, "outcome": outcome, "reason": reason} for m in mrids]
    return 200, {"acknowledgements": items}


def test_a_busy_receiver_is_asked_again(connection: Connection, this: cycle.Cycle) -> None:
    good = [given("UP-0", "UP-1"), given("UP-2", "UP-3"), given("UP-4")]
    with answering((503, {}), (429, {}), *good) as (url, receiver):
        done = deliver(connection, this, url, retry=Retry(attempts=3))
    assert done.billed == 5
    assert len(receiver.paths) == 6


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((422, {"reasons": ["bad", "worse"]}), "it answered 422: bad; worse"),
        ((401, "who are you"), "it answered 401"),
        ((200, {"thanks": 1}), "did not acknowledge it properly"),
        ((200, []), "did not acknowledge it properly"),
        (given("UP-0"), "acknowledges 1 of 2 usage points"),
        (given("UP-0", "UP-9"), "UP-9, version 1, is billed in export "),
        (given("UP-0", "UP-1", outcome="lost"), "must be billed, or rejected with a reason"),
        (given("UP-0", "UP-1", outcome="rejected"), "must be billed, or rejected with a reason"),
    ],
)
def test_a_strange_answer_is_a_problem_and_nothing_is_lost(
    connection: Connection, this: cycle.Cycle, answer: tuple[int, object], message: str
) -> None:
    with answering(answer) as (url, _), pytest.raises(DeliveryError) as caught:
        deliver(connection, this, url, retry=Retry(attempts=3))
    assert message in str(caught.value)
    (export,) = delivery.exports(connection, this)
    assert (export.state, export.waiting) == ("prepared", 5)
    assert export.problem == str(caught.value)


def test_a_correction_goes_the_whole_way(
    connection: Connection, this: cycle.Cycle, tmp_path: Path
) -> None:
    row = connection.execute(
        "SELECT i.id, min(c.id), max(c.id) FROM usage_point p"
        " JOIN installation i ON i.usage_point_id = p.id JOIN channel c ON c.usage_point_id = p.id"
        " WHERE p.mrid = 'UP-2' GROUP BY i.id"
    ).fetchone()
    assert row
    with invoicing.serving(tmp_path / "books.sqlite") as receiver:
        deliver(connection, this, receiver.url)
        values = [102] * (SLOTS - 1) + [352]
        billing.record_intervals(connection, row[1], values, at=later(2))
        dial = {PERIOD.end: 5_000 + sum(values)}
        billing.record_register(connection, row[2], row[0], dial, at=later(2))
        assert cycle.run(connection, this, now=later(3)).corrected == 1
        assert deliver(connection, this, receiver.url, hours=4).billed == 1
        newest = invoices(receiver.url)[-1]
    assert (newest["usage_point"], newest["version"], newest["corrects"]) == ("UP-2", 2, 1)
    assert (newest["quantity"], newest["difference"]) == ("29.626", "0.250")
