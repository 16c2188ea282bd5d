from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from headend import groups, schedules
from headend.groups import GroupError
from headend.schedules import ScheduleError
from schemas.database import Connection
from tests.headend.registry import end_device, segment

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def members(connection: Connection, name: str) -> list[str]:
    rows = connection.execute(
        "SELECT d.mrid FROM end_device_group_membership m"
        " JOIN end_device d ON d.id = m.end_device_id"
        " JOIN end_device_group g ON g.id = m.group_id WHERE g.name = %s ORDER BY 1",
        [name],
    )
    return [row[0] for row in rows]


def test_a_group_is_its_members_and_what_its_selector_matches(connection: Connection) -> None:
    cell = segment(connection, "cell")
    end_device(connection, "D1", segment_id=cell)
    end_device(connection, "D2", billing_group="weekly")
    end_device(connection, "B1", protocol="modbus")
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"selector": {}}, ["B1", "D1", "D2"]),
        ({"selector": {"protocol": ["dlms"]}}, ["D1", "D2"]),
        ({"selector": {"protocol": ["dlms", "modbus"], "segment": ["cell"]}}, ["D1"]),
        ({"selector": {"billing_group": ["weekly", "daily"]}}, ["D2"]),
        ({"selector": {"segment": ["cell"]}, "members": ["B1"]}, ["B1", "D1"]),
        ({"members": ["D2", "D2"]}, ["D2"]),
        ({"selector": {"model": ["other"]}}, []),
    ]
    for options, expected in cases:
        group = groups.put(connection, "g", **options)
        assert (members(connection, "g"), group.end_devices) == (expected, len(expected))


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("g", {"selector": {"color": ["red"]}}, "selector 'color' cannot be used"),
        (" ", {}, "an empty name"),
        ("g", {"members": ["M1", "M9", "M8"]}, "no end device 'M8' in the registry (and 1 more)"),
    ],
)
def test_a_group_that_cannot_be_is_refused_in_words(
    connection: Connection, name: str, options: dict[str, Any], words: str
) -> None:
    end_device(connection, "M1")
    with pytest.raises(GroupError) as caught, connection.transaction():
        groups.put(connection, name, **options)
    assert words in str(caught.value)
    assert groups.groups(connection) == []


def test_a_group_that_a_schedule_reads_cannot_be_removed(connection: Connection) -> None:
    groups.put(connection, "g", selector={})
    schedules.add(connection, "s", group="g", reads=["clock"], now=NOW, cron="0 0 * * *")
    with pytest.raises(GroupError, match="read by schedule 's'"):
        groups.remove(connection, "g")
    schedules.remove(connection, "s")
    groups.remove(connection, "g")
    with pytest.raises(GroupError, match="there is no group"):
        groups.remove(connection, "g")


def test_a_schedule_comes_back_as_it_was_given(connection: Connection) -> None:
    groups.put(connection, "g", selector={})
    added = schedules.add(
        connection, "s", group="g", reads=["clock", "intervals", "clock"], now=NOW,
        interval_seconds=900, time_zone="Asia/Kuwait", stagger_seconds=60, misfire="skip",
        grace_seconds=5, enabled=False,
    )  # fmt: skip
    assert schedules.find(connection, "s") == added
    assert (added.reads, added.interval_seconds, added.enabled) == (
        ("clock", "intervals"),
        900,
        False,
    )
    schedules.enable(connection, "s", enabled=True, now=NOW)
    assert [one.enabled for one in schedules.schedules(connection)] == [True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cron": "0 25 * * *"}, "field 2 (hour) is '25'"),
        ({"cron": "0 0 31 2 *"}, "never comes"),
        ({}, "either a cron expression or an interval"),
        ({"cron": "0 0 * * *", "interval_seconds": 5}, "either a cron expression or an interval"),
        ({"interval_seconds": 0}, "interval 0 s; it must be positive"),
        ({"cron": "0 0 * * *", "time_zone": "Kuwait City"}, "no time zone 'Kuwait City'"),
        ({"cron": "0 0 * * *", "time_zone": "../etc"}, "no time zone"),
        ({"cron": "0 0 * * *", "reads": ["everything"]}, "reads ['everything']; choose from"),
        ({"cron": "0 0 * * *", "misfire": "never"}, "misfire 'never'; choose from"),
        ({"cron": "0 0 * * *", "stagger_seconds": -1}, "stagger and grace"),
        ({"cron": "0 0 * * *", "group": "none"}, "there is no group 'none'; make it first"),
        ({"cron": "0 0 * * *", "name": "taken"}, "exists already"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_in_words(
    connection: Connection, options: dict[str, Any], words: str
) -> None:
    groups.put(connection, "g", selector={})
    schedules.add(connection, "taken", group="g", reads=["clock"], now=NOW, cron="0 0 * * *")
    given = {"name": "s", "group": "g", "reads": ["clock"], "now": NOW, **options}
    with pytest.raises(ScheduleError) as caught:
        schedules.add(connection, **given)
    assert words in str(caught.value)
    assert len(schedules.schedules(connection)) == 1


def test_an_unknown_schedule_is_named_beside_those_there_are(connection: Connection) -> None:
    for act in (
        lambda: schedules.remove(connection, "x"),
        lambda: schedules.enable(connection, "x", enabled=True, now=NOW),
    ):
        with pytest.raises(ScheduleError, match="there are: none yet"):
            act()
