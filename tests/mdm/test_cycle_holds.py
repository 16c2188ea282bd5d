"""The worklist of bills on a real database: reasons, persons, bulk decisions, undo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import psycopg
import pytest

from mdm import cycle, cycle_holds, delivery
from mdm.cycle import Cycle, CycleError
from mdm.cycle_holds import Item, Wanted
from mdm.delivery_http import Acknowledgement
from schemas import database, quality, statements
from schemas.database import Connection
from tests.mdm import billing, record
from tests.mdm.billing import NOW, SLOTS, add_point, add_whole, june, later
from tests.mdm.test_cycle_waiting import states


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


@pytest.fixture
def town(connection: Connection) -> Cycle:
    """Four usage points: whole, silent, two with a quarter and more estimated."""
    add_whole(connection, "UP-whole")
    add_point(connection, "UP-silent")
    for name in ("UP-one", "UP-two"):
        point = add_point(connection, name)
        codes = dict.fromkeys(range(80), quality.ESTIMATED_LIKE_DAY)
        billing.record_intervals(connection, point.interval, [100] * SLOTS, codes)
    this = june(connection)
    cycle.run(connection, this, now=NOW)
    return this


def by_name(connection: Connection, wanted: Wanted | None = None) -> dict[str, Item]:
    found = cycle_holds.items(connection, wanted or Wanted())
    return {item.usage_point: item for item in found}


def test_what_waits_with_reasons_and_age(connection: Connection, town: Cycle) -> None:
    found = by_name(connection)
    assert set(found) == {"UP-silent", "UP-one", "UP-two"}
    one, silent = found["UP-one"], found["UP-silent"]
    assert (one.state, one.since, one.gates) == ("held", NOW, ("estimated",))
    assert one.details == ("80 of 288 intervals (27.78 %) are estimated, at most 25 % may be",)
    assert (one.value, one.unit) == (Decimal("28.800"), "kWh")
    assert silent.gates == ("consumption", "missing")
    assert silent.value is None
    causes = cycle_holds.causes(connection)
    assert [(c.gate, c.sets, c.oldest) for c in causes] == [
        ("estimated", 2, NOW), ("consumption", 1, NOW), ("missing", 1, NOW),
    ]  # fmt: skip
    assert cycle_holds.causes(connection, "B") == []
    assert set(by_name(connection, Wanted(gate="missing"))) == {"UP-silent"}
    assert by_name(connection, Wanted(billing_group="B")) == {}
    assert by_name(connection, Wanted(starts_on=date(2026, 7, 1))) == {}
    assert [i.usage_point for i in cycle_holds.items(connection, limit=1, offset=2)] == ["UP-two"]
    assert town.billing_group == one.billing_group


def test_bulk_decisions_and_undo(connection: Connection, town: Cycle) -> None:
    estimated = [i.id for i in by_name(connection, Wanted(gate="estimated")).values()]
    (silent,) = (i.id for i in by_name(connection, Wanted(gate="missing")).values())
    cycle_holds.assign(connection, estimated, "Noura", person="Salem", now=later(1))
    assert set(by_name(connection, Wanted(assigned_to="Noura"))) == {"UP-one", "UP-two"}
    said = {"person": "Noura", "reason": "storm", "now": later(2)}
    cycle_holds.release(connection, estimated, **said)  # type: ignore[arg-type]
    cycle_holds.reject(connection, [silent], **said)  # type: ignore[arg-type]
    assert states(connection) == {
        "UP-whole": "ready", "UP-one": "released", "UP-two": "released", "UP-silent": "rejected",
    }  # fmt: skip
    refused = by_name(connection)["UP-silent"]
    assert refused.gates == ("consumption", "missing", "refused")
    assert refused.details[-1] == "Noura: storm"
    assert refused.since == later(2)
    assert ("refused", 1) in [(c.gate, c.sets) for c in cycle_holds.causes(connection)]
    cycle_holds.undo(connection, [silent, estimated[0]], person="Noura", reason="no", now=later(3))
    assert states(connection)["UP-silent"] == "held"
    assert states(connection)["UP-one"] == "held"
    assert by_name(connection)["UP-silent"].gates == ("consumption", "missing")
    assert [e.kind for e in cycle_holds.history(connection, estimated[0])] == [
        "assigned", "released", "undone",
    ]  # fmt: skip
    # Once taken back it may be decided again, and what is exported is only what was released.
    cycle_holds.release(connection, [silent], **said)  # type: ignore[arg-type]
    assert states(connection)["UP-silent"] == "released"
    assert town.starts_on == date(2026, 6, 1)


def test_what_is_unsettled_is_listed_and_nothing_else(connection: Connection, town: Cycle) -> None:
    def listed() -> list[str]:
        rows = connection.execute(
            "SELECT s.state FROM determinant_unsettled u"
            " JOIN determinant_set s ON s.id = u.determinant_set_id ORDER BY 1"
        )
        return [row[0] for row in rows]

    assert listed() == ["held", "held", "held"]
    one = by_name(connection)["UP-one"]
    cycle_holds.release(connection, [one.id], person="Amal", reason="seen", now=later(1))
    assert listed() == ["held", "held"]
    cycle_holds.undo(connection, [one.id], person="Amal", reason="not yet", now=later(2))
    assert listed() == ["held", "held", "held"]
    cycle_holds.reject(connection, [one.id], person="Amal", reason="wrong", now=later(3))
    assert listed() == ["held", "held", "rejected"]


def test_all_or_nothing(connection: Connection, town: Cycle) -> None:
    held = [item.id for item in by_name(connection).values()]
    (ready,) = connection.execute("SELECT id FROM determinant_set WHERE state = 'ready'")
    said = {"person": "Noura", "reason": "storm", "now": later(1)}
    for decide, ids, message in (
        (cycle_holds.release, [*held, ready[0]], r"UP-whole in cycle A .* cannot be released"),
        (cycle_holds.reject, [*held, ready[0]], "only what is held can"),
        (cycle_holds.undo, held, "only what is released or rejected can"),
        (cycle_holds.release, [*held, 99_999], "there is no held usage point 99999"),
    ):  # fmt: skip
        with pytest.raises(CycleError, match=message):
            decide(connection, ids, **said)  # type: ignore[arg-type]
    for person, reason in (("", "storm"), ("Noura", " ")):
        with pytest.raises(CycleError, match="needs a person and a reason"):
            cycle_holds.reject(connection, held, person=person, reason=reason, now=later(1))
    assert sorted(states(connection).values()) == ["held", "held", "held", "ready"]
    assert town.closes_on is None


def test_what_the_invoicing_system_rejected_is_in_the_same_list(
    connection: Connection, town: Cycle, tmp_path: object
) -> None:
    sent = delivery.prepare(connection, town, file_format="csv", target=str(tmp_path), now=later(1))
    assert sent is not None
    answer = Acknowledgement("UP-whole", 1, "rejected", "no such account")
    delivery.acknowledge(connection, sent, [answer], now=later(5))
    whole = by_name(connection)["UP-whole"]
    assert (whole.state, whole.gates, whole.details) == (
        "rejected", ("rejected",), ("no such account",),
    )  # fmt: skip
    assert whole.since == later(5)
    assert ("rejected", 1, later(5)) in cycle_holds.causes(connection)
    said = {"person": "Noura", "reason": "account opened", "now": later(6)}
    with pytest.raises(CycleError, match="the invoicing system rejected it"):
        cycle_holds.undo(connection, [whole.id], **said)  # type: ignore[arg-type]
    cycle_holds.release(connection, [whole.id], **said)  # type: ignore[arg-type]
    assert "UP-whole" not in by_name(connection)
    again = delivery.prepare(
        connection, town, file_format="csv", target=str(tmp_path), now=later(7)
    )
    assert again is not None
    assert again.items == 1


def test_the_database_wants_a_person_behind_each_move(connection: Connection, town: Cycle) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation, match="needs a person and a reason"):
        connection.execute("UPDATE determinant_set SET state = 'rejected' WHERE state = 'held'")
    assert town.id


@pytest.mark.storage
@pytest.mark.parametrize("file", ["cycle_holds.sql"])
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    for name, text in statements.load("mdm", file).items():
        record.prepare(connection, name, text)
