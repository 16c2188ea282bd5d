"""The demonstration's bills: computed, gated, delivered to an invoicing system, replayed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from console.demo import payments
from console.demo.payments import Paid
from mdm import cycle, cycle_status, delivery, replay
from mdm.cycle import Cycle
from mdm.cycle_status import HeldUsagePoint, Status
from schemas import database
from schemas.database import Connection
from schemas.period import Period, local_day
from simulators import invoicing

GROUP: Final = "monthly"


@dataclass(frozen=True, eq=False)
class Billed:
    """What became of the bills.

    Attributes
    ----------
    delivered, acknowledged : usage points in the first delivery, and acknowledged as billed
    delivered_again : usage points in the second delivery of the same cycle: none
    invoices : that the invoicing system holds, as it lists them
    paid : what accounts paid and owe afterwards
    replayed, identical : determinant sets replayed from their named versions
    holds : what waits for a person
    problems : what must not be
    """

    status: Status
    delivered: int
    acknowledged: int
    delivered_again: int
    invoices: list[dict[str, Any]]
    paid: Paid
    replayed: int
    identical: int
    holds: tuple[HeldUsagePoint, ...]
    problems: list[str] = field(default_factory=list)


def period(first: date, until: date, zone: ZoneInfo) -> Period:
    """Give the billing period's stretch of time."""
    return Period(local_day(first, zone).start, local_day(until, zone).start)


def bill(url: str, first: date, until: date, *, now: datetime, output: Path) -> Billed:
    """Run the cycle, deliver it to a folder's copy and by HTTP, deliver it again, replay it.

    Parameters
    ----------
    output : folder for the invoicing system's books
    """
    journal = output / "invoices.sqlite"
    journal.unlink(missing_ok=True)
    with database.connect(url) as connection:
        opened = cycle.opened(connection, GROUP, first, until, now=now)
        ran = cycle.run(connection, opened, now=now)
    with (
        invoicing.serving(journal) as system,
        database.connect(url, autocommit=True) as connection,
    ):
        done = _deliver(connection, opened, system.url, now)
        again = _deliver(connection, opened, system.url, now)
        replayed = [
            one
            for export in delivery.exports(connection, opened)
            for one in replay.of_export(connection, export)
        ]
        problems = [f"{p.usage_point}: {p.reason}" for p in ran.problems]
        problems += [
            f"{one.usage_point}: replay differs: {difference}"
            for one in replayed
            for difference in one.differences
        ]
        paid = payments.pay(connection, system.ledger, now=now)
        problems += paid.problems
        if again.items:
            problems.append(f"{again.items} usage points were delivered twice")
        return Billed(
            status=cycle_status.status(connection, opened),
            delivered=done.items,
            acknowledged=done.billed,
            delivered_again=again.items,
            invoices=system.ledger.invoices(),
            paid=paid,
            replayed=len(replayed),
            identical=sum(one.identical for one in replayed),
            holds=tuple(cycle_status.holds(connection, opened)),
            problems=problems,
        )


def _deliver(
    connection: Connection, opened: Cycle, target: str, now: datetime
) -> delivery.Delivery:
    return delivery.deliver(connection, opened, target=target, file_format="json", now=now)
