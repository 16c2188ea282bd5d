"""What a person can do about findings, on a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from mdm import vee, worklist
from mdm.intake_layout import Weeks
from mdm.worklist_days import WorklistError
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.mdm import record
from tests.mdm.record import NOW

DAY = datetime(2026, 6, 1, 21, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
LATER = NOW + timedelta(hours=1)
WEEKS = Weeks()
CURVE = [100 + (7 * i) % 40 for i in range(96)]
WHO = {"person": "Mona", "reason": "seen on site", "now": LATER}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A usage point whose day has a spike that nobody can explain, and a gap."""
    with database.connect(database_url) as connection:
        point = record.usage_point(connection)
        record.installation(connection, point, "M-1")
        record.land(connection, "M-1", DAY, [*CURVE[:10], 90_000, *CURVE[11:40]])
        record.land(connection, "M-1", DAY + 42 * QUARTER, CURVE[42:])
        vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=record.RULES)
        yield connection


def found(connection: Connection, rule: str) -> worklist.Item:
    (item,) = worklist.findings(connection, rule=rule)
    return item


def test_findings_by_what_they_are(connection: Connection) -> None:
    spike = found(connection, "spike")
    assert (spike.usage_point, spike.reading_type) == ("UP-1", "active_energy_import_interval")
    assert (spike.starts_at, spike.ends_at) == (DAY + 10 * QUARTER, DAY + 11 * QUARTER)
    assert (spike.severity, spike.action, spike.observed) == ("issue", "suspect", 90_000)
    assert spike.local_date.isoformat() == "2026-06-02"
    rules = [item.rule for item in worklist.findings(connection)]
    assert rules == ["spike", "gap"]
    assert [i.rule for i in worklist.findings(connection, severity="info")] == ["gap"]
    assert [i.rule for i in worklist.findings(connection, limit=1, offset=1)] == ["gap"]
    assert worklist.findings(connection, usage_point="UP-2") == []
    assert worklist.findings(connection, state="accepted") == []
    noon = Period(DAY + 30 * QUARTER, DAY + 60 * QUARTER)
    assert [i.rule for i in worklist.findings(connection, period=noon)] == ["gap"]


def test_findings_by_cause(connection: Connection) -> None:
    groups = worklist.groups(connection)
    assert [(g.rule, g.severity, g.findings, g.usage_points) for g in groups] == [
        ("spike", "issue", 1, 1),
        ("gap", "info", 1, 1),
    ]
    assert groups[0].first == DAY + 10 * QUARTER


def test_an_accepted_value_stands(connection: Connection) -> None:
    spike = found(connection, "spike")
    assert record.final(connection).quality[0, 10] == quality.SUSPECT
    assert worklist.accept(connection, [spike.id], **WHO) == 1
    table = record.final(connection)
    assert (table.version[0], table.values[0, 10]) == (2, 90_000)
    assert table.quality[0, 10] == quality.ACCEPTED
    assert table.quality[0, 40] == quality.ESTIMATED_LINEAR
    assert table.origin is not None
    assert len(set(table.origin[0].tolist())) == 2
    person = connection.execute(
        "SELECT kind, person, reason FROM provenance WHERE id = %s", [int(table.origin[0, 10])]
    ).fetchone()
    assert person == ("accept", "Mona", "seen on site")
    (item,) = worklist.findings(connection, state="accepted")
    assert (item.decided_by, item.decided_at, item.reason) == ("Mona", LATER, "seen on site")
    # Validation does not bring it up again.
    worklist.rerun(connection, [spike.id], now=LATER, weeks=WEEKS, rule_sets=record.RULES)
    assert [i.rule for i in worklist.findings(connection)] == ["gap"]
    assert record.final(connection).version[0] == 2


def test_a_decision_cannot_be_taken_twice(connection: Connection) -> None:
    spike = found(connection, "spike")
    worklist.accept(connection, [spike.id], **WHO)
    with pytest.raises(WorklistError, match=rf"finding {spike.id} at UP-1 is accepted, not open"):
        worklist.accept(connection, [spike.id], **WHO)
    with pytest.raises(WorklistError, match="no finding 77, 78"):
        worklist.accept(connection, [77, 78], **WHO)
    with pytest.raises(WorklistError, match="no findings given"):
        worklist.accept(connection, [], **WHO)


@pytest.mark.parametrize(
    "missing", [{"person": " "}, {"reason": ""}], ids=["no person", "no reason"]
)
def test_a_decision_needs_somebody_and_a_reason(
    connection: Connection, missing: dict[str, str]
) -> None:
    spike = found(connection, "spike")
    with pytest.raises(WorklistError, match="a decision needs a"):
        worklist.accept(connection, [spike.id], **{**WHO, **missing})
    with pytest.raises(WorklistError, match="a decision needs a"):
        worklist.edit(connection, spike.channel_id, {DAY: 1}, **{**WHO, **missing})


def test_an_edit_changes_exactly_its_slots(connection: Connection) -> None:
    spike = found(connection, "spike")
    before = record.final(connection)
    moment = DAY + 10 * QUARTER
    assert worklist.edit(connection, spike.channel_id, {moment: 123}, **WHO) == 1
    table = record.final(connection)
    changed = (table.values != before.values) | (table.quality != before.quality)
    assert changed.nonzero()[1].tolist() == [10]
    assert (table.values[0, 10], table.quality[0, 10]) == (123, quality.EDITED)
    assert [i.rule for i in worklist.findings(connection, state="edited")] == ["spike"]
    assert [i.rule for i in worklist.findings(connection)] == ["gap"]
    assert worklist.edit(connection, spike.channel_id, {moment: 123}, **WHO) == 0
    worklist.rerun(connection, [spike.id], now=LATER, weeks=WEEKS, rule_sets=record.RULES)
    assert record.final(connection).values[0, 10] == 123
    worklist.rerun(
        connection, [spike.id], now=LATER, weeks=WEEKS, rule_sets=record.RULES, over_people=True
    )
    assert record.final(connection).values[0, 10] == 90_000


def test_a_finding_is_edited_only_when_all_of_it_is(connection: Connection) -> None:
    gap = found(connection, "gap")
    worklist.edit(connection, gap.channel_id, {DAY + 40 * QUARTER: 5}, **WHO)
    assert found(connection, "gap").id == gap.id
    both = {DAY + 40 * QUARTER: 5, DAY + 41 * QUARTER: 6}
    worklist.edit(connection, gap.channel_id, both, **WHO)
    assert [i.id for i in worklist.findings(connection, state="edited")] == [gap.id]


def test_an_edit_of_what_is_not_there_says_so(connection: Connection) -> None:
    channel = found(connection, "spike").channel_id

    def edit(moment: datetime, value: int = 1, number: int = channel) -> None:
        worklist.edit(connection, number, {DAY: 1, moment: value}, **WHO)

    with pytest.raises(WorklistError, match="no interval starts at 2026-06-01 21:05"):
        edit(DAY + timedelta(minutes=5))
    with pytest.raises(WorklistError, match=r"the day of 2026-06-02 21:00.* is not in the record"):
        edit(DAY + timedelta(days=1))
    with pytest.raises(WorklistError, match="does not fit into 32 bits"):
        edit(DAY + QUARTER, 2**31)
    with pytest.raises(WorklistError, match="no channel 999"):
        edit(DAY + QUARTER, number=999)
    with pytest.raises(WorklistError, match="no values"):
        worklist.edit(connection, channel, {}, **WHO)
    assert record.final(connection).version.tolist() == [1]


def test_what_is_found_again_keeps_its_identity(connection: Connection) -> None:
    gap = found(connection, "gap")
    # One of the two missing slots comes late: the finding shrinks and is still the same one.
    record.land(connection, "M-1", DAY + 41 * QUARTER, [CURVE[41]])
    vee.run(connection, now=LATER, weeks=WEEKS, rule_sets=record.RULES)
    smaller = found(connection, "gap")
    assert smaller.id == gap.id
    assert smaller.found_at == gap.found_at
    assert (smaller.starts_at, smaller.ends_at) == (DAY + 40 * QUARTER, DAY + 41 * QUARTER)


def test_what_is_found_elsewhere_supersedes(connection: Connection) -> None:
    gap = found(connection, "gap")
    record.land(connection, "M-1", DAY + 40 * QUARTER, [CURVE[40]])
    vee.run(connection, now=LATER, weeks=WEEKS, rule_sets=record.RULES)
    assert found(connection, "gap").starts_at == DAY + 41 * QUARTER
    (old,) = worklist.findings(connection, state="superseded")
    assert (old.id, old.decided_by) == (gap.id, None)
    assert old.reason
    assert "another stretch" in old.reason
