"""``miqyas vee reads``, and what following does of it by itself once a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from console import vee_commands
from headend import clock
from mdm import register_checks, vee, worklist
from schemas import database
from tests.console.shell import Shell
from tests.mdm import record

# Local midnights in Kuwait, a month of 31, 28 and 31 days between them.
MONTHS = [datetime(2025, 12, 31, 21, tzinfo=UTC) + timedelta(days=days) for days in (0, 31, 59, 90)]
DUE = MONTHS[-1] + timedelta(days=47)
"""Half as long again as the median of the months before."""


@pytest.fixture
def filled(database_url: str) -> str:
    with database.connect(database_url) as connection:
        for name in ("1", "2"):
            point = record.usage_point(connection, f"UP-{name}")
            record.installation(connection, point, f"M-{name}", multiplier="1", protocol="manual")
            reads = [(moment, 1_000 + 310_000 * step) for step, moment in enumerate(MONTHS)]
            record.land_registers(connection, f"M-{name}", reads, reading_type_id=1)
        while vee.run(connection, now=MONTHS[-1] + timedelta(days=1)).taken:
            pass
    return database_url


def at(url: str, now: datetime) -> None:
    with database.connect(url) as connection:
        clock.simulate(connection, now)


def test_reads_that_did_not_come_are_counted(
    miqyas: Shell, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each usage point is a part of its own here, and one alone can be asked for."""
    monkeypatch.setattr(register_checks, "_PART", 1)
    at(filled, DUE)
    one = miqyas("vee", "reads", "--usage-point", "UP-2")
    assert "1 register without intervals checked: 1 finding opened, 0 closed." in one.out
    every = miqyas("vee", "reads")
    assert "2 registers without intervals checked: 1 finding opened, 0 closed." in every.out
    wrong = miqyas("vee", "reads", "--usage-point", "UP-9")
    assert (wrong.status, "no usage point 'UP-9' in the registry" in wrong.err) == (1, True)


def test_who_follows_looks_once_a_day(filled: str) -> None:
    at(filled, DUE - timedelta(days=1))
    looked = vee_commands.look_for_reads(filled, None)
    at(filled, DUE - timedelta(hours=1))
    assert vee_commands.look_for_reads(filled, looked) == looked
    at(filled, DUE)
    assert vee_commands.look_for_reads(filled, looked) == DUE
    with database.connect(filled) as connection:
        found = {each.rule for each in worklist.findings(connection)}
    assert found == {"read_missing"}
