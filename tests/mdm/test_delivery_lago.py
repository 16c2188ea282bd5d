"""Delivery to Lago: its own client's models take every event, and a killed receiver loses none."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from lago_python_client.models.event import BatchEvent, Event

from mdm import cycle, cycle_status, delivery
from mdm.delivery_access import Access, Retry
from mdm.delivery_files import DeliveryError
from mdm.export import lago as lago_events
from schemas import database
from schemas.database import Connection
from simulators import invoicing
from tests.mdm import billing
from tests.mdm.billing import NOW, PERIOD, SLOTS, add_whole, june, later

POINTS = [f"UP-{number}" for number in range(12)]
KEY = "a-key-of-the-test"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def access(tmp_path: Path) -> Access:
    file = tmp_path / "lago.key"
    file.write_text(f"{KEY}\n", "utf-8")
    return Access(token_file=file)


@pytest.fixture
def this(connection: Connection) -> cycle.Cycle:
    """A cycle of twelve usage points with thirteen events each: two batches."""
    for number, mrid in enumerate(POINTS):
        add_whole(connection, mrid, 100 + number)
    found = june(connection)
    cycle.run(connection, found, now=NOW)
    return found


@contextmanager
def lago(access: Access, folder: Path, *options: str, port: int = 0) -> Iterator[Any]:
    command = [sys.executable, "-m", "simulators.lago", "--journal", str(folder / "lago.sqlite")]
    command += ["--key-file", str(access.token_file), "--port", str(port), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            running.url = json.loads(running.stdout.readline())["url"]  # type: ignore[attr-defined]
            yield running
        finally:
            running.terminate()


def deliver(
    connection: Connection, this: cycle.Cycle, url: str, access: Access, hours: int = 1
) -> delivery.Delivery:
    return delivery.deliver(
        connection, this, target=f"lago+{url}", now=later(hours), retry=Retry(attempts=1),
        access=access,
    )  # fmt: skip


def events(url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.get(f"{url}/events", trust_env=False).json()["events"]
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_events_are_as_lagos_own_client_models_them(
    connection: Connection, this: cycle.Cycle, access: Access, tmp_path: Path
) -> None:
    with lago(access, tmp_path) as receiver:
        done = deliver(connection, this, receiver.url, access)
        assert (done.items, done.billed, done.rejected) == (12, 12, 0)
        taken = events(receiver.url)
        assert deliver(connection, this, receiver.url, access, hours=2).exports == ()
        assert events(receiver.url) == taken
    model = BatchEvent(events=[Event(precise_total_amount_cents=None, **one) for one in taken])
    assert len({event.transaction_id for event in model.events}) == len(taken) == 12 * 13
    first = next(e for e in taken if e["code"] == "consumption")
    assert first["transaction_id"] == (
        "UP-0/2026-06-01/2026-06-04/1/consumption/active_energy_import/"
    )
    assert first["external_subscription_id"] == "UP-0"
    assert first["timestamp"] == int(PERIOD.end.timestamp()) - 1
    # 288 quarter hours of 100 Wh
    assert (first["properties"]["amount"], first["properties"]["unit"]) == ("28.800", "kWh")


def test_what_lago_refuses_goes_to_the_worklist_and_the_rest_is_billed(
    connection: Connection, this: cycle.Cycle, access: Access, tmp_path: Path
) -> None:
    known = tmp_path / "known"
    known.write_text("\n".join(set(POINTS) - {"UP-3", "UP-11"}), "utf-8")
    with lago(access, tmp_path, "--subscriptions", str(known)) as receiver:
        done = deliver(connection, this, receiver.url, access)
        assert (done.billed, done.rejected) == (10, 2)
        assert {e["external_subscription_id"] for e in events(receiver.url)} == set(
            known.read_text("utf-8").split()
        )
    holds = cycle_status.holds(connection, this)
    assert [h.usage_point for h in holds] == ["UP-11", "UP-3"]
    assert "consumption: external_subscription_id: subscription_not_found" in holds[0].detail


@pytest.mark.parametrize("death", [(m, n) for m in invoicing.DEATHS for n in (1, 2)])
def test_a_lago_that_is_killed_loses_and_doubles_nothing(
    connection: Connection, this: cycle.Cycle, access: Access, tmp_path: Path,
    death: tuple[str, int],
) -> None:  # fmt: skip
    (moment, batch), port = death, free_port()
    die = ("--die", moment, "--die-at", str(batch))
    with lago(access, tmp_path, *die, port=port) as receiver:
        with pytest.raises(DeliveryError, match="Deliver again when it is back"):
            deliver(connection, this, receiver.url, access)
        assert receiver.wait(10) == -signal.SIGKILL
    assert cycle_status.status(connection, this).billed == (7 if batch == 2 else 0)
    with lago(access, tmp_path, port=port) as receiver:
        assert deliver(connection, this, receiver.url, access, hours=2).billed == 12
        ids = [event["transaction_id"] for event in events(receiver.url)]
    assert len(set(ids)) == len(ids) == 12 * 13


def test_a_correction_adds_the_difference(
    connection: Connection, access: Access, tmp_path: Path
) -> None:
    point = add_whole(connection, "UP-1")
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    with lago(access, tmp_path) as receiver:
        deliver(connection, this, receiver.url, access)
        values = [100] * (SLOTS - 1) + [350]
        billing.record_intervals(connection, point.interval, values, at=later(2))
        dial = {PERIOD.end: 5_000 + sum(values)}
        billing.record_register(connection, point.register, point.installation, dial, at=later(2))
        assert cycle.run(connection, this, now=later(3)).corrected == 1
        assert deliver(connection, this, receiver.url, access, hours=4).billed == 1
        taken = events(receiver.url)
    consumption = [e["properties"] for e in taken if e["code"] == "consumption"]
    assert [p["amount"] for p in consumption] == ["28.800", "0.250"]
    assert (consumption[1]["corrects"], consumption[1]["value"]) == (1, "29.050")
    demand = [e["properties"]["value"] for e in taken if e["code"] == "block_demand"]
    assert demand == ["0.400", "0.900"]


def test_a_wrong_key_a_missing_key_and_another_format_are_refused(
    connection: Connection, this: cycle.Cycle, access: Access, tmp_path: Path
) -> None:
    other = tmp_path / "other.key"
    other.write_text("another-key", "utf-8")
    with lago(access, tmp_path) as receiver:
        with pytest.raises(DeliveryError, match="it answered 401") as caught:
            deliver(connection, this, receiver.url, Access(token_file=other))
        assert "another-key" not in str(caught.value)
        with pytest.raises(DeliveryError, match="MIQYAS_DELIVERY_TOKEN_FILE"):
            deliver(connection, this, receiver.url, Access())
        with pytest.raises(ValueError, match="takes the format 'lago' only, not 'csv'"):
            delivery.deliver(
                connection, this, target=f"lago+{receiver.url}", file_format="csv", now=later(1)
            )
        assert events(receiver.url) == []
        assert deliver(connection, this, receiver.url, access).billed == 12


def test_a_token_goes_nowhere_unencrypted(
    connection: Connection, this: cycle.Cycle, access: Access
) -> None:
    with pytest.raises(DeliveryError, match="addresses of https only"):
        deliver(connection, this, "http://lago.invalid", access)


def test_a_bill_of_too_many_events_is_rejected_alone(
    connection: Connection, this: cycle.Cycle, access: Access, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(lago_events, "BATCH", 10)
    with lago(access, tmp_path) as receiver:
        done = deliver(connection, this, receiver.url, access)
        assert (done.billed, done.rejected, events(receiver.url)) == (0, 12, [])
    (first, *_) = cycle_status.holds(connection, this)
    assert first.detail == "has 13 events, and Lago takes 10 at once"
