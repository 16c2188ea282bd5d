"""The census counts what judging every meter by itself would count."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from headend import census, overview
from schemas import database
from schemas.database import Connection
from tests.headend.registry import end_device
from tests.headend.test_on_demand_and_overview import NOW

METERS = 200
MOMENTS = (None, timedelta(0), timedelta(hours=71), timedelta(days=3), timedelta(days=9))
PROFILES = (("a", 900), ("b", 3600), ("c", None))


def at(choice: random.Random, *, after: timedelta = timedelta(0)) -> datetime | None:
    ago = choice.choice(MOMENTS)
    return None if ago is None else NOW - ago + after


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as opened:
        for digest, seconds in PROFILES:
            opened.execute(
                "INSERT INTO meter_profile (digest, offers, capture_seconds)"
                " VALUES (sha256(%s::bytea), '{}', %s)",
                [digest, seconds],
            )
        for number in range(METERS):
            add(opened, number, random.Random(number))
        opened.commit()
        yield opened


def add(opened: Connection, number: int, choice: random.Random) -> None:
    """Register a meter in some state; of some nothing is known yet."""
    name = f"M{number:03}"
    protocol = "manual" if number % 17 == 0 else "dlms"
    end_device(opened, name, protocol=protocol)
    if number % 5 == 0:
        return
    failing = at(choice)
    error = choice.choice([None, "WrongKey", "TimedOut", "AccessDenied"])
    opened.execute(
        "INSERT INTO device_status (end_device_id, last_attempt, last_ok, failing_since, error,"
        " message, consecutive_failures, clock_deviation, power_off_at)"
        " SELECT id, %s, %s, %s, %s, 'said', %s, %s, %s FROM end_device WHERE mrid = %s",
        [
            *(at(choice), at(choice), failing, error if failing is None else error or "Busy"),
            *(0 if failing is None else 2, choice.choice([None, 2, -60, 61, -500])),
            *(at(choice, after=timedelta(seconds=1)) if number % 4 == 1 else None, name),
        ],
    )
    if number % 3 == 0:
        opened.execute(
            "INSERT INTO end_device_profile (end_device_id, read_at, confirmed_at, digest)"
            " SELECT id, %(at)s, %(at)s, sha256(%(digest)s::bytea) FROM end_device"
            " WHERE mrid = %(name)s",
            {"at": NOW, "digest": choice.choice(PROFILES)[0], "name": name},
        )


def test_groups_count_what_each_meters_verdict_says(connection: Connection) -> None:
    judged = Counter(line.verdict.name for line in overview.fleet(connection, now=NOW).devices)
    assert len(judged) > 8
    counted: Counter[str] = Counter()
    for group in census.groups(connection, now=NOW):
        counted[group.verdict.name if group.verdict else "by hand"] += group.meters
    by_hand = counted.pop("by hand")
    assert counted == judged
    assert by_hand == sum(number % 17 == 0 for number in range(METERS))


def test_members_of_groups_are_those_that_the_verdict_names(connection: Connection) -> None:
    lines = {line.end_device_id: line for line in overview.fleet(connection, now=NOW).devices}
    for name in {line.verdict.name for line in lines.values()}:
        keys = {
            group.key
            for group in census.groups(connection, now=NOW)
            if group.verdict and group.verdict.name == name
        }
        found = census.members(connection, now=NOW, keys=keys, oldest=True, limit=METERS)
        assert {lines[number].verdict.name for number in found.ids} == {name}
        assert found.found == sum(line.verdict.name == name for line in lines.values())
        since = [lines[number].verdict.since for number in found.ids]
        if name in {"stale", "power_off", "wrong_key", "no_answer"}:
            assert since == sorted(since, key=lambda moment: moment or NOW)
    assert census.verdicts(connection, list(lines), now=NOW) == {
        number: line.verdict for number, line in lines.items()
    }


def test_members_are_found_by_text_and_page(connection: Connection) -> None:
    found = census.members(connection, now=NOW, text="m01", limit=4, offset=4)
    names = [line.mrid for line in overview.fleet(connection, now=NOW).devices]
    assert found.found == 10
    assert len(found.ids) == 4
    assert "M010" in names
    whole = census.everything(connection, now=NOW, limit=METERS)
    assert whole == census.members(connection, now=NOW, limit=METERS).ids
    assert whole[4:8] == census.everything(connection, now=NOW, limit=4, offset=4)
    assert len(whole) == METERS
    assert census.members(connection, now=NOW, text="nobody", limit=4) == census.Page((), 0)
