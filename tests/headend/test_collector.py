from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headend import collector, coverage, devices, keys
from headend.capacity import Limits
from headend.collector import Collected
from headend.exchange import Order, Progress
from schemas import database, quality
from schemas.database import Connection
from schemas.period import Period
from tests.headend.line_meter import STEP, House, LineDriver, Meter, SamplingDriver, value
from tests.headend.registry import count, end_device, segment

NOW = datetime(2026, 6, 3, 0, 20, tzinfo=UTC)
FROM = datetime(2026, 6, 1, tzinfo=UTC)
DRIVERS = {"dlms": LineDriver(), "modbus": SamplingDriver()}
QUICK = Limits(timeout=0.5, lease_wait=0.3, flush_seconds=0.2)
ALL = ("identity", "clock", "registers", "register_history", "events", "intervals")


async def collect(
    url: str,
    ids: list[int],
    reads: tuple[str, ...] = ALL,
    *,
    now: datetime = NOW,
    limits: Limits = QUICK,
    reason: str = "schedule",
    listener: Any = None,
) -> Collected:
    async with collector.running(url, DRIVERS, limits) as reader:
        order = Order(tuple(ids), reads, reason)
        return await reader.collect(order, clock=lambda: now, listener=listener)


def meters(connection: Connection, house: House, number: int, **columns: Any) -> list[int]:
    ids = []
    for index in range(1, number + 1):
        host = f"127.9.{index // 250}.{index % 250 + 1}"
        house.meters[host] = Meter(serial=f"M{index}")
        ids.append(
            end_device(
                connection, f"M{index}", host=host, port=house.port, installed_from=FROM, **columns
            )
        )
    return ids


def status(connection: Connection, device: int) -> dict[str, Any]:
    cursor = connection.execute("SELECT * FROM device_status WHERE end_device_id = %s", [device])
    names = [column.name for column in cursor.description or ()]
    row = cursor.fetchone()
    assert row
    return dict(zip(names, row, strict=True))


def missing(connection: Connection, device: int, now: datetime = NOW) -> list[Period]:
    loaded = devices.load(connection, [device])
    return list(coverage.coverage(connection, loaded, now=now)[device].missing)


def stored(connection: Connection) -> dict[datetime, int]:
    """Every interval's value; a slot that stands twice is a failure."""
    rows = connection.execute("SELECT starts_at, value FROM raw_reading").fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


async def test_everything_asked_for_lands_and_is_written_down(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    done = await collect(database_url, [device])
    assert (done.ok, done.intervals, done.registers, done.events) == (1, 193, 1, 1)
    expected = {FROM + timedelta(seconds=STEP * i): None for i in range(193)}
    assert stored(connection) == {at: value(int(at.timestamp())) for at in expected}
    assert missing(connection, device) == []
    now = status(connection, device)
    assert (now["last_ok"], now["error"], now["next_attempt"]) == (NOW, None, None)
    assert (now["clock_deviation"], now["identity"]["serial"]) == (2.0, "M1")
    session = connection.execute(
        "SELECT outcome, message, intervals, attempts FROM collection_session"
    ).fetchone()
    assert session == ("ok", f"M1: no history of {Period(FROM, NOW)}", 193, 1)


async def test_the_next_session_asks_only_for_what_is_missing(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    await collect(database_url, [device], ("intervals",))
    later = NOW + timedelta(hours=1)
    done = await collect(database_url, [device], ("intervals",), now=later)
    assert done.intervals == 4
    assert missing(connection, device, later) == []


async def test_slots_that_the_meter_does_not_have_are_known_and_not_asked_again(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    hole = [int(FROM.timestamp()) + STEP * i for i in range(40, 50)]
    house.meters["127.9.0.2"].lacks.update(hole)
    await collect(database_url, [device], ("intervals",))
    await collect(database_url, [device], ("intervals",))
    assert house.meters["127.9.0.2"].requests == ["intervals"]
    assert list(stored(connection).values()).count(None) == 10
    assert count(connection, "raw_interval_block", f"quality[1] = {quality.MISSING}") == 1


async def test_a_slot_that_may_still_come_is_asked_again(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    newest = int(NOW.timestamp()) // STEP * STEP - STEP
    house.meters["127.9.0.2"].lacks.add(newest)
    await collect(database_url, [device], ("intervals",))
    start = datetime.fromtimestamp(newest, UTC)
    assert missing(connection, device) == [Period(start, start + timedelta(seconds=STEP))]
    house.meters["127.9.0.2"].lacks.clear()
    await collect(database_url, [device], ("intervals",))
    assert missing(connection, device) == []


async def test_what_was_read_before_a_break_stays_and_the_rest_is_fetched_oldest_first(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    connection.execute("UPDATE installation SET starts_at = '2026-05-01 00:00+00'")
    meter = house.meters["127.9.0.2"]
    meter.breaks_after = 1
    await collect(database_url, [device], ("intervals",), limits=QUICK)
    # The break costs one request: after it the conversation goes on within the session.
    assert missing(connection, device) == []
    assert meter.connections == 2
    assert count(connection, "collection_session", "attempts = 2 AND outcome = 'ok'") == 1


async def test_a_line_that_stays_broken_leaves_the_first_part_and_a_next_attempt(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    connection.execute("UPDATE installation SET starts_at = '2026-05-01 00:00+00'")
    slow = house.meters["127.9.0.2"]
    slow.pause = 0.4
    limits = Limits(timeout=5, budget=timedelta(seconds=1))
    done = await collect(database_url, [device], ("intervals",), limits=limits)
    assert (done.partial, done.failed) == (1, 0)
    left = missing(connection, device)
    assert left[0].start > datetime(2026, 5, 8, tzinfo=UTC)
    now = status(connection, device)
    assert (now["error"], now["failing_since"], now["consecutive_failures"]) == ("TimedOut", NOW, 1)
    assert NOW < now["next_attempt"] < NOW + timedelta(minutes=10)
    # Before its time a schedule leaves it alone, and what was due is added to the next attempt.
    waited = await collect(database_url, [device], ("registers",))
    assert (waited.waiting, status(connection, device)["next_reads"]) == (
        1,
        ["intervals", "registers"],
    )
    slow.pause = 0.0
    later = now["next_attempt"]
    done = await collect(database_url, [device], ("intervals",), now=later, reason="retry")
    now = status(connection, device)
    assert (done.ok, now["failing_since"]) == (1, None)
    assert missing(connection, device, later) == []


async def test_a_line_that_carries_short_answers_only_is_read_in_short_ones(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    connection.execute("UPDATE installation SET starts_at = '2026-05-20 00:00+00'")
    house.meters["127.9.0.2"].longest = 20
    reason, now = "schedule", NOW
    for _ in range(40):
        await collect(database_url, [device], ("intervals",), now=now, reason=reason)
        after = status(connection, device)
        if after["next_attempt"] is None:
            break
        now, reason = after["next_attempt"], "backlog" if after["backlog"] else "retry"
    assert missing(connection, device, now) == []
    assert (
        len(stored(connection)) == (now - datetime(2026, 5, 20, tzinfo=UTC)).total_seconds() // STEP
    )
    # Hours, not days: what is behind grows more slowly than it is fetched.
    assert now - NOW < timedelta(hours=12)


async def test_a_backlog_is_gone_on_with_at_once(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    connection.execute("UPDATE installation SET starts_at = '2026-05-01 00:00+00'")
    # Asked after a failure: the requests are short, and a session has two dozen.
    connection.execute(
        "INSERT INTO device_status (end_device_id, failing_since, consecutive_failures)"
        " VALUES (%s, %s, 9)",
        [device, NOW],
    )
    await collect(database_url, [device], ("intervals",))
    now = status(connection, device)
    assert missing(connection, device)[0].start == datetime(2026, 5, 4, tzinfo=UTC)
    assert (now["backlog"], now["next_attempt"], now["consecutive_failures"]) == (True, NOW, 0)
    await collect(database_url, [device], ("intervals",), reason="backlog")
    assert missing(connection, device) == []


async def test_dead_meters_do_not_slow_the_living(
    connection: Connection, database_url: str, house: House
) -> None:
    ids = meters(connection, house, 60)
    dumb = ids[:30]
    for index in range(1, 31):
        house.meters[f"127.9.0.{index + 1}"].mood = "dumb"
    seen: dict[str, float] = {}
    begun = time.monotonic()

    def listen(progress: Progress) -> None:
        if progress.step == "done":
            seen[str(len(seen))] = time.monotonic() - begun

    done = await collect(
        database_url, ids, ("intervals",), listener=listen, limits=Limits(timeout=3)
    )
    assert (done.ok, done.failed) == (30, len(dumb))
    # The dead take two waits of three seconds; the living have long been done by then.
    assert max(seen.values()) < 3
    # And their readings are in the store without waiting for the dead.
    row = connection.execute(
        "SELECT max(ended_at) FROM collection_session WHERE outcome = 'failed'"
    ).fetchone()
    assert row


async def test_a_segment_never_has_more_sessions_than_its_limit(
    connection: Connection, database_url: str, house: House
) -> None:
    narrow = segment(connection, "narrow", 2)
    ids = meters(connection, house, 8, segment_id=narrow)
    for meter in house.meters.values():
        meter.pause = 0.2
    open_now, most = 0, 0

    def listen(progress: Progress) -> None:
        nonlocal open_now, most
        open_now += {"connect": 1, "done": -1}.get(progress.step, 0)
        most = max(most, open_now)

    done = await collect(database_url, ids, ("clock",), listener=listen)
    assert (done.ok, most) == (8, 2)


async def test_two_collectors_never_talk_to_a_meter_at_the_same_time(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1)
    async with collector.running(database_url, DRIVERS, QUICK) as other:
        assert await other._leases.take(device)
        done = await collect(database_url, [device], ("clock",))
        assert (done.busy, done.ok, house.meters["127.9.0.2"].connections) == (1, 0, 0)
        # It is not forgotten: the next attempt stands in a minute.
        assert status(connection, device)["next_attempt"] == NOW + timedelta(minutes=1)
    # The lease ended with its connection, as it does when a process is killed.
    done = await collect(database_url, [device], ("clock",), now=NOW + timedelta(minutes=1))
    assert done.ok == 1


async def test_a_meter_that_refuses_the_key_is_asked_once_until_somebody_acts(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1, security="lls")
    meter = house.meters["127.9.0.2"]
    meter.mood = "locked"
    row = {"end_device": "M1", "kind": "password", "key_hex": "00112233"}
    keys.import_keys(connection, [row], now=NOW)
    for hours in range(48):
        at = NOW + timedelta(hours=hours)
        for reason in ("schedule", "retry"):
            await collect(database_url, [device], ("clock",), now=at, reason=reason)
    assert meter.requests == []
    assert meter.connections == 1
    assert status(connection, device)["held"]
    meter.mood = "well"
    keys.import_keys(connection, [{**row, "key_hex": "44556677"}], now=at)
    done = await collect(database_url, [device], ("clock",), now=at)
    assert (done.ok, status(connection, device)["held"]) == (1, False)


async def test_a_meter_without_its_keys_is_not_called_at_all(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1, security="hls-gmac")
    done = await collect(database_url, [device], ("clock",))
    assert (done.failed, house.meters["127.9.0.2"].connections) == (1, 0)
    now = status(connection, device)
    assert (now["error"], now["held"]) == ("WrongKey", True)
    assert "miqyas import keys" in now["message"]


async def test_a_meter_that_is_another_one_is_held(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1, address='{"serial": "OTHER"}')
    done = await collect(database_url, [device], ("identity", "intervals"))
    assert (done.intervals, status(connection, device)["error"]) == (0, "WrongMeter")
    assert status(connection, device)["held"]


async def test_samples_of_meters_without_a_memory_are_placed_on_the_grid(
    connection: Connection, database_url: str, house: House
) -> None:
    [device] = meters(connection, house, 1, protocol="modbus", interval_seconds=3600)
    for late in (5, 20 * 60 + 3600, 45 * 60 + 7200):
        at = FROM + timedelta(seconds=late)
        await collect(database_url, [device], ("registers", "intervals"), now=at)
    rows = connection.execute(
        "SELECT read_at, quality FROM raw_register_reading ORDER BY read_at"
    ).fetchall()
    assert rows == [
        (FROM, 0),
        (FROM + timedelta(hours=1), quality.LATE_SAMPLE),
        (FROM + timedelta(hours=2, minutes=45), 0),
    ]


async def test_a_batch_that_is_taken_up_again_goes_on_where_it_was(
    connection: Connection, database_url: str, house: House
) -> None:
    ids = meters(connection, house, 3)
    row = connection.execute(
        "INSERT INTO collection_batch (reason, end_device_ids, reads, due_at, not_before)"
        " VALUES ('schedule', %s, '{clock}', %s, %s) RETURNING id",
        [ids, NOW, NOW],
    ).fetchone()
    assert row
    async with collector.running(database_url, DRIVERS, QUICK) as reader:
        for asked, ok, before in ((ids[:2], 2, 0), (ids, 1, 2)):
            order = Order(tuple(asked), ("clock",), "schedule", row[0])
            done = await reader.collect(order, clock=lambda: NOW)
            assert (done.ok, done.already_read) == (ok, before)
    assert [meter.connections for meter in house.meters.values()] == [1, 1, 1]


async def test_an_answer_that_the_store_refuses_harms_no_other_meter(
    connection: Connection, database_url: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = meters(connection, house, 3)
    connection.execute(
        "ALTER TABLE raw_register_reading ADD CHECK (end_device_id <> %s)" % ids[1]  # noqa: UP031
    )
    done = await collect(database_url, ids, ("registers",))
    assert (done.ok, done.failed) == (2, 1)
    assert status(connection, ids[1])["error"] == "LocalProtocolError"
    assert count(connection, "quarantine") == 1
    with database.connect(database_url) as fresh:
        assert count(fresh, "raw_register_reading") == 2
