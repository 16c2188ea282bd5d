"""The balance of a node finds planted causes, and accuses nobody where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import balance as planted
from mdm import balance, balance_causes, virtual
from mdm.balance import BalanceError
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from tests.mdm.test_virtual import lines, put, take

DAYS = 28
FIRST = datetime(2026, 5, 31, 21, tzinfo=UTC)  # 1 June 2026 in Kuwait


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def test_planted_causes_are_found_and_nobody_else_is_accused() -> None:
    told = {name: planted.score(name, range(8)) for name in planted.CAUSES}
    assert told["clean"].accused == 0
    assert sum(each.accused for each in told.values()) == 0
    for name in ("ten times", "twice", "half", "bypassed by 60 %", "not in the registry"):
        assert told[name].found == 8, name
    assert told["of another feeder"].found == 8
    assert told["bypassed whole"].found >= 6
    assert told["bypassed by 30 %"].found >= 6
    # Who is found is found with the right factor, date or kind.
    assert all(each.exact >= 0.7 * each.found for each in told.values() if each.found)
    # A tap before the meters is told as that.
    assert told["a tap since a day"].unmetered >= 6
    assert told["clean"].unmetered == 0


def test_too_few_days_or_nothing_at_all_say_nothing() -> None:
    feeder = planted.feeder(1, "ten times")
    flow_in, left, meters, times, others = feeder.inputs
    short = feeder.day < 6
    part = tuple(each[short] for each in times)
    told = balance_causes.look(
        flow_in[short], left[short], meters[:, short], part, others[:, short]
    )
    assert told == balance_causes.Look()
    none = np.zeros(24 * 10)
    day, place = np.repeat(np.arange(10), 24), np.tile(np.arange(24), 10)
    nothing = balance_causes.look(none, none, np.zeros((3, 240)), (day, place))
    assert nothing == balance_causes.Look()
    nobody = balance_causes.look(none + 5, none, np.zeros((0, 240)), (day, place))
    assert nobody == balance_causes.Look()


def recorded(connection: Connection, feeder: planted.Feeder, *, lost: slice | None = None) -> None:
    """Put a feeder and its meters into the record, by hours."""
    table: list[tuple[str, NDArray[np.float64]]] = [("F", feeder.flow_in)]
    table += [(f"M{n:02}", line) for n, line in enumerate(feeder.meters)]
    channels = [
        record.channel(connection, record.usage_point(connection, name), interval_seconds=3600)
        for name, _ in table
    ]
    days = [int((FIRST + n * timedelta(days=1)).timestamp()) for n in range(DAYS)]
    values = [line[: 24 * DAYS].astype(int).reshape(-1, 24).tolist() for _, line in table]
    codes = [[[quality.VALID] * 24 for _ in days] for _ in table]
    if lost is not None:
        codes[4][2][lost] = [quality.MISSING] * len(codes[4][2][lost])
        values[4][2][lost] = [0] * len(codes[4][2][lost])
    blocks = record.blocks(
        [channel for channel in channels for _ in days],
        days * len(channels),
        [day for line in values for day in line],
        [day for line in codes for day in line],
        3600,
    )
    record.record(connection, blocks)
    terms = ["F,,1,in,2026-01-01,", "F,,-0.02,loss,2026-01-01,"]
    terms += [f"{name},,-1,out,2026-01-01," for name, _ in table[1:]]
    take(connection, lines(*terms, virtual="NODE", kind="balance", seconds=3600))


def test_a_balance_of_the_record(connection: Connection) -> None:
    feeder = planted.feeder(3, "ten times", meters=12)
    recorded(connection, feeder, lost=slice(5, 8))
    node = balance.named(connection, "F")
    assert node == balance.named(connection, "NODE") == balance.nodes(connection)[0]
    told = balance.view(connection, node, now=NOW, first=date(2026, 6, 1), end=date(2026, 6, 29))
    assert [day for day, _ in told.days] == [date(2026, 6, n) for n in range(1, 29)]
    whole = told.days[0][1]
    assert whole.flow_in == int(feeder.flow_in[:24].sum())
    assert whole.flow_out == int(feeder.meters[:, :24].sum())
    assert whole.expected == Fraction(2, 100) * whole.flow_in
    assert whole.lost == whole.flow_in - whole.flow_out
    # Slots in which a meter is missing count nowhere: else it would look lost.
    assert (told.days[2][1].known, told.days[2][1].slots) == (21, 24)
    assert [(each.usage_point, each.slots) for each in told.lacking] == [("M03", 3)]
    (accused,) = told.accused
    assert accused.usage_point == f"M{feeder.planted:02}"
    assert (accused.suspect.cause, accused.suspect.ratio) == ("multiplier", 10)
    # The evidence: without what it accounts for, next to nothing is unexplained.
    assert len(accused.days) == 28
    assert sum(abs(left) for *_, left in accused.days) < 0.2 * sum(day[1] for day in accused.days)
    # The virtual channel itself has what is unexplained, exactly.
    while virtual.run(connection, now=NOW).taken:
        pass
    channel = [each.channel_id for each in balance.nodes(connection)]
    rows = connection.execute(
        "SELECT sum(v) FROM interval_block, unnest(\"values\") AS v WHERE channel_id = ANY(%s)"
        " AND starts_at = %s", [channel, FIRST],
    ).fetchall()  # fmt: skip
    assert abs(int(rows[0][0]) - whole.unexplained) <= Fraction(1, 2)


def test_a_meter_of_the_route_that_is_not_in_the_node_is_pointed_at(
    connection: Connection,
) -> None:
    feeder = planted.feeder(6, "clean", meters=12)
    recorded(connection, feeder)
    terms = ["F,,1,in,2026-01-01,", "F,,-0.02,loss,2026-01-01,"]
    terms += [f"M{n:02},,-1,out,2026-01-01," for n in range(11)]
    take(connection, lines(*terms, virtual="NODE", kind="balance", seconds=3600))
    told = balance.view(connection, balance.named(connection, "NODE"), now=NOW)
    (accused,) = told.accused
    assert (accused.usage_point, accused.suspect.cause) == ("M11", "unregistered")
    assert told.meters == 11
    connection.execute("UPDATE usage_point SET billing_group = 'Z' WHERE mrid = 'M11'")
    other = balance.view(connection, balance.named(connection, "NODE"), now=NOW)
    assert other.accused == ()
    assert other.unmetered


def test_a_clean_node_accuses_nobody(connection: Connection) -> None:
    recorded(connection, planted.feeder(4, "clean", meters=12))
    told = balance.view(connection, balance.named(connection, "NODE"), now=NOW)
    assert told.enough
    assert told.accused == ()


def test_a_meter_that_left_the_node_is_not_suspected(connection: Connection) -> None:
    feeder = planted.feeder(5, "clean", meters=12)
    recorded(connection, feeder)
    terms = [
        "F,,1,in,2026-01-01,",
        "F,,-0.02,loss,2026-01-01,",
        "M00,,-1,out,2026-01-01,2026-06-11",
    ]
    terms += [f"M{n:02},,-1,out,2026-01-01," for n in range(1, 12)]
    take(connection, lines(*terms, virtual="NODE", kind="balance", seconds=3600))
    told = balance.view(connection, balance.named(connection, "NODE"), now=NOW)
    assert "M00" not in {each.usage_point for each in told.accused}
    assert told.total.unexplained > 0


def test_what_cannot_be_shown_is_said(connection: Connection) -> None:
    with pytest.raises(BalanceError, match="no balance is named 'X'"):
        balance.named(connection, "X")
    put(connection, "F", [1] * 24, seconds=3600)
    for name in ("N1", "N2"):
        take(connection, lines("F,,1,,2026-01-01,", virtual=name, kind="balance", seconds=3600))
    with pytest.raises(BalanceError, match="name one of N1, N2"):
        balance.named(connection, "F")
    node = balance.named(connection, "N1")
    with pytest.raises(BalanceError, match="1 to 400 days"):
        balance.view(connection, node, now=NOW, first=date(2030, 1, 1))
    told = balance.view(connection, node, now=NOW)
    assert not told.enough


def test_every_statement_is_understood(connection: Connection) -> None:
    for name, body in statements.load("mdm", "balance.sql").items():
        record.prepare(connection, f"s_{name}", body)
