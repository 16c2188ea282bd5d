"""A target that is away for hours: what is tried, claimed, written down and told meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from console import bill_cycle_commands
from mdm import cycle, cycle_advance, delivery, delivery_targets
from mdm.cycle import Cycle
from mdm.cycle_advance import How, Step
from mdm.delivery_access import Retry
from mdm.delivery_files import DeliveryError
from schemas import database
from schemas.database import Connection
from simulators import invoicing
from tests.mdm import billing
from tests.mdm.billing import add_whole, later
from tests.mdm.test_cycle_advance import CLOSING, planned
from tests.mdm.test_delivery_http import NEVER, free_port, process


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


def test_nothing_more_is_claimed_for_somebody_who_is_away(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    this = billing.ready(connection, monkeypatch, ["UP-0", "UP-1", "UP-2"])
    port, told = free_port(), list[str]()
    url = f"http://127.0.0.1:{port}"

    def deliver(hours: int, retry: Retry = NEVER) -> delivery.Delivery:
        told.clear()
        return delivery.deliver(
            connection, this, target=url, file_format="csv", now=later(hours), retry=retry,
            wait=lambda _seconds: None, tell=told.append,
        )  # fmt: skip

    with pytest.raises(DeliveryError, match="Deliver again when it is back"):
        deliver(1, Retry(attempts=3, first_wait=2))
    (export,) = delivery.exports(connection, this)
    assert told[:2] == [
        f"export {export.name}: 2 of 3 usage points written",
        f"export {export.name}: 3 of 3 usage points written",
    ]
    assert [text.rpartition("; ")[2] for text in told[2:]] == [
        "tried again in 2 s",
        "tried again in 4 s",
    ]
    assert f"{url} did not take PUT /exports/{export.name}: ConnectError" in told[2]
    # What is ready an hour later waits, and no file is made for an attempt that cannot succeed.
    add_whole(connection, "UP-3")
    cycle.run(connection, this, now=later(2))
    with pytest.raises(DeliveryError, match="still cannot be reached: Connection refused"):
        deliver(2)
    assert told == []
    assert [e.name for e in delivery.exports(connection, this)] == [export.name]
    with process(tmp_path / "books.sqlite", port):
        done = deliver(3)
    assert [(e.items, e.billed, e.problem) for e in done.exports] == [(3, 3, None), (1, 1, None)]
    assert told[-1] == f"{url} took 1 of 1 files of {done.exports[1].name}"


@pytest.mark.parametrize(
    ("target", "answers"),
    [("/a/folder", True), ("database:", True), ("http://{}", True), ("lago+http://{}", True),
     ("sftp://me@{}/x", True), ("http://127.0.0.1:{}", False), ("sftp://me@127.0.0.1:{}", False)],
)  # fmt: skip
def test_who_is_there(tmp_path: Path, target: str, answers: bool) -> None:
    if not answers:
        with pytest.raises(DeliveryError, match="still cannot be reached"):
            delivery_targets.knock(target.format(free_port()))
        return
    with invoicing.serving(tmp_path / "books.sqlite") as receiver:
        delivery_targets.knock(target.format(receiver.url.partition("//")[2]))


def test_the_same_trouble_is_written_down_once(connection: Connection) -> None:
    add_whole(connection, "UP-1")
    planned(connection, 'target = "x"\nformat = "csv"\n')
    said = ["away", "away", "away", "refused", "away", ""]

    def deliver(_one: Cycle, _plan: object) -> str:
        if problem := said.pop(0):
            raise DeliveryError(problem)
        return "1 usage point"

    told: list[Step] = []
    for _ in range(6):
        told += cycle_advance.advance(connection, How(deliver=deliver), now=CLOSING)
    assert [step.detail for step in told if step.kind == "failed"] == [
        "away", "away", "away", "refused", "away",
    ]  # fmt: skip
    (one,) = (c for c in cycle.cycles(connection) if len(cycle_advance.steps(connection, c)) > 1)
    kept = [(step.kind, step.detail) for step in cycle_advance.steps(connection, one)]
    assert kept[-4:] == [
        ("failed", "away"), ("failed", "refused"), ("failed", "away"),
        ("delivered", "1 usage point"),
    ]  # fmt: skip


def test_hours_of_the_same_trouble_are_told_in_short() -> None:
    def step(minute: int, kind: cycle_advance.Kind, detail: str) -> Step:
        return Step("A from June", kind, detail, datetime(2026, 7, 2, 14, minute, tzinfo=UTC))

    troubles = bill_cycle_commands.Troubles()
    away = "x still cannot be reached: no route. What was claimed waits"
    assert troubles.told(step(0, "failed", away)) == f"A from June: failed: {away}"
    for minute, times in ((10, 2), (20, 3)):
        assert troubles.told(step(minute, "failed", away)) == (
            f"A from June: still failed, {times} times since 2026-07-02 14:00 UTC: {away}"
        )
    troubles.over(step(30, "acknowledged", "3 new"))
    assert "4 times since 2026-07-02 14:00" in troubles.told(step(30, "failed", away))
    assert troubles.told(step(40, "failed", "refused")) == "A from June: failed: refused"
    troubles.over(step(50, "delivered", "3 usage points"))
    assert troubles.told(step(55, "failed", "refused")) == "A from June: failed: refused"
