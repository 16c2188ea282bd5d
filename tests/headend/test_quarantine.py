"""What is put aside stays with its reason, can be tried again, and lands once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from drivers.mqtt.payload import Message
from headend import publishers, quarantine, replayers
from headend.directory import Directory
from headend.quarantine import Aside
from schemas import database
from schemas.database import Connection
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 3, 12, 0, 20, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def water(name: str, serial: str, hour: int, total: float) -> Message:
    telegram = {
        "media": "water", "meter": "multical21", "name": name, "id": serial,
        "total_m3": total, "timestamp": f"2026-06-03T{hour:02}:00:05Z", "status": "OK",
    }  # fmt: skip
    return Message(f"wmbusmeters/{name}", json.dumps(telegram).encode(), NOW)


def water_meter(connection: Connection, mrid: str, address: str = "{}") -> int:
    return end_device(
        connection, mrid, protocol="mqtt", host=None, profile="wmbusmeters",
        interval_seconds=3600, address=address,
    )  # fmt: skip


def hear(connection: Connection, *messages: Message) -> publishers.Heard:
    with connection.transaction():
        return publishers.land(connection, messages, Directory.load(connection), now=NOW)


def replay(url: str, **only: object) -> replayers.Replayed:
    return replayers.replay(url, now=lambda: LATER, **only)  # type: ignore[arg-type]


def aside(payload: bytes = b"?", *, kind: str = "note", at: datetime = NOW) -> Aside:
    return Aside("mqtt", "a/b", payload, "unknown", at, kind=kind)


@pytest.mark.storage
def test_a_message_of_a_meter_that_comes_into_the_registry_later_lands_once(
    database_url: str,
) -> None:
    with database.connect(database_url, autocommit=True) as connection:
        heard = hear(connection, water("W1", "1", 9, 1.0), water("W2", "2", 9, 2.0))
        assert (heard.registers, heard.quarantined) == (0, 2)
        water_meter(connection, "W1")
        done = replay(database_url)
        assert (done.tried, dict(done.fates), done.staying.total()) == (2, {"landed": 1}, 1)
        first, second = quarantine.rows(connection, everything=True)
        assert (first.fate, first.resolved_at) == ("landed", LATER)
        assert first.resolution == "1 readings of W1, 1 of them new"
        assert (second.fate, second.replays, second.replayed_at) == (None, 1, LATER)
        assert second.latest_reason is not None
        assert "import it into the registry" in second.latest_reason
        assert count(connection, "raw_register_reading") == 1
        assert count(connection, "arrival") == 1
        # Again: what has its fate is left alone.
        assert replay(database_url).tried == 1
        assert count(connection, "raw_register_reading") == 1


def test_what_had_landed_before_is_told_apart(connection: Connection, database_url: str) -> None:
    message = water("W1", "1", 9, 1.0)
    hear(connection, message, water("W1", "1", 10, 1.1))
    water_meter(connection, "W1")
    hear(connection, message)
    done = replay(database_url)
    assert dict(done.fates) == {"landed": 1, "known": 1}
    assert count(connection, "raw_register_reading") == 2


def test_a_row_that_the_database_refuses_keeps_no_other_from_landing(
    connection: Connection, database_url: str
) -> None:
    hear(connection, *(water(f"W{n}", str(n), 9, n) for n in (1, 2, 3)))
    for n in (1, 2, 3):
        water_meter(connection, f"W{n}")
    odd = "ALTER TABLE raw_register_reading {} CONSTRAINT odd"
    connection.execute(f"{odd.format('ADD')} CHECK (value <> 2000) NOT VALID")  # type: ignore[arg-type]
    done = replay(database_url)
    assert dict(done.fates) == {"landed": 2}
    assert all("the database refuses it" in reason for reason in done.staying)
    connection.execute(odd.format("DROP"))  # type: ignore[arg-type]
    assert dict(replay(database_url).fates) == {"landed": 1}


def test_two_rows_that_say_the_same_land_once(connection: Connection, database_url: str) -> None:
    telegram = json.loads(water("W1", "1", 9, 1.0).payload)
    twice = [
        Message("wmbusmeters/W1", json.dumps(telegram | {"rssi": rssi}).encode(), NOW)
        for rssi in (-50, -60)
    ]
    hear(connection, *twice)
    water_meter(connection, "W1")
    done = replay(database_url)
    assert dict(done.fates) == {"landed": 1, "known": 1}
    assert count(connection, "raw_register_reading") == 1


def test_a_replay_can_be_narrowed(connection: Connection, database_url: str) -> None:
    hear(connection, *(water(f"W{n}", str(n), 9, n) for n in (1, 2, 3)))
    for n in (1, 2, 3):
        water_meter(connection, f"W{n}")
    assert replay(database_url, subject="wmbusmeters/W_").tried == 0
    assert replay(database_url, subject="*/W2").tried == 1
    assert replay(database_url, ids=[quarantine.rows(connection)[0].id]).tried == 1
    assert replay(database_url).tried == 1
    assert quarantine.count_open(connection) == 0


def test_a_replay_that_fails_changes_nothing(
    connection: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear(connection, water("W1", "1", 9, 1.0))
    water_meter(connection, "W1")

    def failing(*_: object) -> dict[int, quarantine.Outcome]:
        publishers.replay(*_)  # type: ignore[arg-type]
        raise ConnectionError("gone in the middle")

    monkeypatch.setattr(replayers, "REPLAYERS", {"mqtt": failing})
    with pytest.raises(ConnectionError):
        replay(database_url)
    assert quarantine.count_open(connection) == 1
    assert count(connection, "raw_register_reading") == 0


def test_the_same_is_kept_once_while_it_is_open(connection: Connection) -> None:
    quarantine.put(connection, [aside(), aside()])
    quarantine.put(connection, [aside(), aside(b"!")])
    rows = quarantine.rows(connection)
    assert [row.payload for row in rows] == [b"?", b"!"]
    assert quarantine.dismiss(connection, [rows[0].id], person="N", reason="x", now=NOW) == [
        rows[0].id
    ]
    quarantine.put(connection, [aside()])
    assert [row.payload for row in quarantine.rows(connection)] == [b"!", b"?"]
    assert len(quarantine.rows(connection, everything=True)) == 3
    assert [(one.reason, one.rows) for one in quarantine.causes(connection)] == [("unknown", 2)]


def test_long_and_odd_things_are_kept(connection: Connection) -> None:
    long = aside(b"x" * (quarantine.LARGEST + 1))
    reason = "r\0" * 9000 + "\ud800"
    odd = Aside("mqtt", "a\0" + "b" * 60_000, b"\0", reason, NOW, context={"peer": "ä"})
    quarantine.put(connection, [long, odd])
    first, second = quarantine.rows(connection)
    assert len(first.payload) == quarantine.LARGEST
    assert "of 65,537 bytes the first 65,536 are kept" in first.reason
    assert (second.payload, second.subject[:3], second.context) == (
        b"\0",
        "a\ufffdb",
        {"peer": "ä"},
    )


def test_rows_leave_by_age(connection: Connection) -> None:
    ages = (10, 100, 500)
    quarantine.put(connection, [aside(b"%d" % age, at=NOW - timedelta(days=age)) for age in ages])
    recent, old, ancient = (row.id for row in quarantine.rows(connection))
    assert quarantine.prune(connection, now=NOW) == 1
    quarantine.dismiss(
        connection, [recent, old, ancient], person="N", reason="x", now=NOW - timedelta(days=95)
    )
    assert quarantine.prune(connection, now=NOW) == 2
    assert quarantine.rows(connection, everything=True) == []


def test_there_is_no_such_row(connection: Connection) -> None:
    with pytest.raises(quarantine.UnknownRow, match="no row 7; `miqyas quarantine list`"):
        quarantine.row(connection, 7)


def test_a_message_of_another_registered_meter_is_not_landed_under_this_topic(
    connection: Connection,
) -> None:
    water_meter(connection, "W1")
    water_meter(connection, "W2", '{"serial": "2"}')
    mixed = Message("wmbusmeters/W1", water("W1", "2", 9, 2.0).payload, NOW)
    assert hear(connection, mixed).quarantined == 1
    [row] = quarantine.rows(connection)
    assert row.reason == (
        "the topic is that of W1, and the message is of W2 (serial '2'); correct the gateway, or"
        " the registry"
    )


def test_a_local_time_is_read_in_the_zone_of_the_meter_that_only_the_payload_names(
    connection: Connection,
) -> None:
    end_device(
        connection, "M1", protocol="mqtt", host=None, profile="tasmota-sml",
        interval_seconds=900, address='{"serial": "0A0B"}',
    )  # fmt: skip
    payload = {"Time": "2026-06-03T12:00:00", "SML": {"Total_in": 1.5, "Meter_Id": "0a0b"}}
    message = Message("tele/stranger/SENSOR", json.dumps(payload).encode(), NOW)
    assert hear(connection, message).registers == 1
    rows = connection.execute("SELECT read_at FROM raw_register_reading").fetchall()
    # Asia/Kuwait is three hours ahead.
    assert rows == [(datetime(2026, 6, 3, 9, tzinfo=UTC),)]


def test_rows_of_before_the_migration_are_taken_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = database.recreate(database_url, f"{_name(database_url)}_old")
    every = database._migrations()
    with monkeypatch.context() as before:
        older = [one for one in every if one[0] != "0008_quarantine"]
        before.setattr(database, "_migrations", lambda: older)
        database.migrate(url)
    with database.connect(url, autocommit=True) as connection:
        for subject, resolved in (("a/b", None), ("a/b", None), ("end device 1", None), ("c", NOW)):
            connection.execute(
                "INSERT INTO quarantine"
                " (source, subject, payload, reason, received_at, resolved_at)"
                " VALUES ('mqtt', %s, 'x', 'r', %s, %s)",
                [subject, NOW, resolved],
            )
        database.migrate(url)
        rows = quarantine.rows(connection, everything=True)
        assert [(row.kind, row.fate) for row in rows] == [
            ("mqtt", None),
            ("mqtt", "repeated"),
            ("note", None),
            ("mqtt", "dismissed"),
        ]
    with database.connect(database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {_name(database_url)}_old WITH (FORCE)")  # type: ignore[arg-type]


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]
