"""Taking raw readings into the record, for tests."""

from datetime import UTC, datetime, timedelta

from mdm import vee
from mdm.intake_layout import Week, Weeks
from mdm.vee import Report
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW

# 2 June 2026 in Kuwait.
DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)
ONE = timedelta(days=1)
WEEKS = Weeks({"Asia/Kuwait": Week(frozenset({4, 5}))})
# No two are equal next to each other, none is zero, and none stands out.
CURVE = [100 + (7 * i) % 40 for i in range(96)]


def meter(connection: Connection, mrid: str = "M-1", **more: object) -> int:
    """A usage point with a meter; gives the installation."""
    point = record.usage_point(connection, f"UP-{mrid}", str(more.pop("zone", "Asia/Kuwait")))
    return record.installation(connection, point, mrid, **more)  # type: ignore[arg-type]


def run(connection: Connection, now: datetime = NOW) -> Report:
    """Take in everything that is there."""
    total, last = Report(), Report(taken=1)
    while last.taken:
        last = vee.run(connection, now=now, weeks=WEEKS, rule_sets=record.RULES)
        total += last
    return total


def arrivals(connection: Connection) -> int:
    row = connection.execute("SELECT count(*) FROM arrival").fetchone()
    assert row
    return int(row[0])


def reasons(connection: Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT subject, reason FROM quarantine ORDER BY subject, reason")
    return rows.fetchall()


def dials(*values: int, start: datetime = DAY, step: timedelta = ONE) -> list[tuple[datetime, int]]:
    return [(start + step * i, value) for i, value in enumerate(values)]
