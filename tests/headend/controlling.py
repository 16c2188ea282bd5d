"""Asking for controls and carrying them out, for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from headend import controls, jobs
from headend.capacity import Limits
from headend.control_rules import Rules
from headend.controls import Requested, Wish
from schemas.database import Connection
from tests.headend.line_meter import House, LineDriver, Meter, SamplingDriver
from tests.headend.registry import end_device

NOW = datetime(2026, 6, 3, 9, 0, tzinfo=UTC)
DRIVERS = {"dlms": LineDriver(), "modbus": SamplingDriver()}
QUICK = Limits(timeout=0.5, lease_wait=0.3, flush_seconds=0.1)
RULES = Rules(disconnects_a_day=2, critical_sectors=frozenset({"government"}))
ROOT = Path(__file__).parents[2]
UNPAID = Wish("disconnect", "Noura", reason="unpaid since March")


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def meter(connection: Connection, house: House, number: int = 1, **columns: Any) -> Meter:
    host = f"127.12.0.{number}"
    house.meters[host] = Meter(serial=f"M{number}")
    end_device(connection, f"M{number}", host=host, port=house.port, **columns)
    return house.meters[host]


def ask(
    connection: Connection,
    wish: Wish,
    mrid: str | None = "M1",
    group: str | None = None,
    rules: Rules = RULES,
) -> Requested:
    with connection.transaction():
        return controls.request(
            connection, wish, drivers=DRIVERS, rules=rules, now=NOW, mrid=mrid, group=group
        )


async def work(url: str, now: datetime = NOW) -> None:
    async with jobs.opened(url, DRIVERS, limits=QUICK) as pool:
        await pool.drain(now)


def states(connection: Connection, control_id: int) -> list[str]:
    return [one.state for one in controls.changes(connection, control_id)]
