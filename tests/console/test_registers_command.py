"""``miqyas vee registers`` on a real database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headend import clock
from schemas import database
from tests.console.shell import Shell, shell
from tests.mdm import billing
from tests.mdm.billing import PERIOD


@pytest.fixture
def miqyas(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Shell]:
    with database.connect(database_url) as connection:
        clock.simulate(connection, billing.NOW)
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    with shell(monkeypatch, capsys) as run:
        yield run


def test_what_is_missing_is_estimated_and_counted(miqyas: Shell, database_url: str) -> None:
    with database.connect(database_url) as connection:
        point = billing.add_point(connection, "UP-1")
        silent = billing.add_point(connection, "UP-2", group="B")
        dial = {PERIOD.start: 5_000}
        billing.record_register(connection, point.register, point.installation, dial)
        billing.record_intervals(connection, point.interval, [100] * billing.SLOTS)
    assert silent.mrid == "UP-2"
    said = miqyas("vee", "registers", "--at", "2026-06-04")
    assert said.status == 0, said
    assert "2 register readings not there: 1 estimated, 1 of them new or changed" in said.out
    assert "of 1 too little is known" in said.out
    again = miqyas("vee", "registers", "--at", "2026-06-04", "--usage-point", "UP-1")
    assert "1 register reading not there: 1 estimated, 0 of them new" in again.out
    other = miqyas("vee", "registers", "--at", "2026-06-04", "--billing-group", "B")
    assert "1 register reading not there: 0 estimated" in other.out
    wrong = miqyas("vee", "registers", "--at", "2026-06-04", "--usage-point", "UP-9")
    assert wrong.status == 1
    assert "no usage point 'UP-9' in the registry" in wrong.err
