"""What could not be placed is seen, tried again and resolved from the command line and the page."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from drivers.mqtt.payload import Message
from headend import publishers, quarantine
from headend.directory import Directory
from schemas import database
from tests.console import town
from tests.console.shell import Shell
from tests.headend.registry import end_device

NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)
QUANTITY = b'{"value": 1250.0, "timestamp": 1780484400, "obis": "1.8.0"}'


@pytest.fixture
def miqyas(miqyas: Shell, database_url: str) -> Shell:
    """The command, where a good message and a broken one are in quarantine."""
    with database.connect(database_url) as connection:
        messages = [
            Message("smartmeter/M1/ACTIVE_ENERGY_P", QUANTITY, NOW),
            Message("smartmeter/M1/ACTIVE_ENERGY_P", b"\x00\xff", NOW),
        ]
        publishers.land(connection, messages, Directory(()), now=NOW)
    return miqyas


def test_from_a_stranger_to_a_landed_reading(miqyas: Shell, database_url: str) -> None:
    said = miqyas("quarantine", "list", "--kind", "mqtt")
    assert said.status == 0
    assert "Open rows by reason" in said.out
    with database.connect(database_url) as connection:
        good, broken = (row.id for row in quarantine.rows(connection))
        end_device(connection, "M1", protocol="mqtt", host=None, profile="smartmeter")
    shown = miqyas("quarantine", "show", good)
    assert "subject: smartmeter/M1/ACTIVE_ENERGY_P" in shown.out
    assert '"value": 1250.0' in shown.out
    assert "00 ff" in miqyas("quarantine", "show", broken).out
    tried = miqyas("quarantine", "replay")
    assert (tried.status, tried.lines[0]) == (
        1, "2 rows tried: 1 landed, 0 had landed before, 1 stay",
    )  # fmt: skip
    assert "not JSON" in tried.out
    after = miqyas("quarantine", "show", good)
    assert "fate: landed, " in after.out
    assert "1 readings of M1, 1 of them new" in after.out


def test_a_person_resolves_what_nobody_needs(miqyas: Shell, database_url: str) -> None:
    with database.connect(database_url) as connection:
        numbers = [row.id for row in quarantine.rows(connection)]
    decided = ("--by", "Noura", "--reason", "a test device")
    assert miqyas("quarantine", "dismiss", *numbers, *decided).out == "2 rows dismissed\n"
    assert "fate: dismissed by Noura" in miqyas("quarantine", "show", numbers[0]).out
    again = miqyas("quarantine", "dismiss", *numbers, *decided)
    assert (again.status, f"not open: {numbers[0]}, {numbers[1]}" in again.err) == (1, True)
    assert "Rows: none." in miqyas("quarantine", "list").out
    assert "dismissed" in miqyas("quarantine", "list", "--all").out
    assert miqyas("quarantine", "prune").out == "0 rows deleted\n", "resolved today"


def test_what_is_wrong_is_said(miqyas: Shell) -> None:
    missing = miqyas("quarantine", "show", 999)
    assert (missing.status, "no row 999" in missing.err) == (1, True)
    assert miqyas("quarantine", "replay", "--kind", "nosuch").status == 2


def test_the_page_counts_it(miqyas: Shell, database_url: str) -> None:
    assert miqyas("quarantine", "list").status == 0
    with town.served(database_url) as address:
        page = httpx.get(address, timeout=30).text
    assert (
        '<span class="figure">2</span> <span class="label">messages and values in quarantine'
        in page
    )
