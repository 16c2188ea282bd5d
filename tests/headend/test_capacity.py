"""Places of conversations: the dead and slow leave theirs, a line is one, and the failing wait."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from drivers.modbus import rtu
from headend import dispatch, groups, jobs, plan, schedules
from headend.capacity import Capacity, Limits
from headend.devices import Device
from schemas import database
from schemas.database import Connection
from tests.drivers.modbus.serial_pair import answering
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 3, tzinfo=UTC)


def device(number: int) -> Device:
    return Device(
        number, f"M{number}", "modbus", "p", "h", 1, {}, "none", 60, None, 0, "electricity", (), {},
        False, None, (), 0, None, None,
    )  # fmt: skip


async def test_conversations_that_last_leave_their_places_to_others() -> None:
    capacity = Capacity(4, waiting=10, patience=0.05)
    done: list[float] = []
    began = time.monotonic()

    async def talk(number: int, seconds: float) -> None:
        async with capacity.slot(device(number)):
            await asyncio.sleep(seconds)
            done.append(time.monotonic() - began)

    dead = [asyncio.create_task(talk(number, 1.0)) for number in range(8)]
    await asyncio.sleep(0)
    await asyncio.gather(*(talk(number, 0.01) for number in range(8, 40)))
    assert max(done) < 0.8, "the quick wait for the dead"
    await asyncio.gather(*dead)


async def test_the_waiting_room_has_an_end_and_places_come_back() -> None:
    capacity = Capacity(2, waiting=1, patience=0.02)
    inside, most = 0, 0

    async def talk() -> None:
        nonlocal inside, most
        async with capacity.slot(device(1)):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.1)
            inside -= 1

    for _ in range(2):
        await asyncio.gather(*(talk() for _ in range(6)))
        assert most == 3


@dataclass
class Gateway:
    """Modbus units behind one address that takes one connection; some of them are dead."""

    dead: frozenset[int]
    connections: int = 0
    open_now: int = 0
    asked: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        if self.open_now == 1:
            while len(request := await reader.read(64)) == 12:
                self.asked.append(request[6])
                if request[6] not in self.dead:
                    words = 2 * int.from_bytes(request[10:12])
                    body = bytes([request[6], request[7], words]) + bytes(words)
                    writer.write(request[:4] + struct.pack(">H", len(body)) + body)
        self.open_now -= 1
        writer.close()


async def test_units_of_a_gateway_are_one_conversation_after_another(
    connection: Connection, database_url: str
) -> None:
    gateway = Gateway(dead=frozenset({2}))
    async with gateway.serving() as port:
        for unit in range(1, 13):
            end_device(
                connection, f"M{unit}", protocol="modbus", host="127.0.0.1", port=port,
                profile="eastron-sdm630", address=f'{{"unit": {unit}}}', interval_seconds=3600,
            )  # fmt: skip
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "hourly", group="all", reads=("registers",), now=NOW, cron="0 * * * *"
        )
        # One place for a process: all units share it.
        limits = Limits(sessions=1, waiting=0, timeout=0.3, lease_wait=0.2, flush_seconds=0.1)
        async with jobs.opened(database_url, limits=limits) as pool:
            first = await pool.drain(NOW.replace(hour=1))
            connections = gateway.connections
            second = await pool.drain(NOW.replace(hour=2))
    assert (first.ok, first.failed) == (11, 1)
    # One connection until the dead unit; its silence, twice, costs two.
    assert connections == 3
    assert (second.ok, second.failed) == (11, 1)
    # The second time the dead unit comes last.
    assert gateway.asked[-12:] == [1, *range(3, 13), 2]


async def test_meters_of_a_serial_line_are_read_by_the_schedule(
    connection: Connection, database_url: str
) -> None:
    asked: list[int] = []

    def bus(request: bytes) -> bytes:
        asked.append(request[0])
        words = 2 * int.from_bytes(request[4:6])
        said = request[:2] + bytes([words]) + bytes(words)
        return said + rtu.crc(said) if request[0] != 2 else b""

    with answering(bus) as path:
        for unit in (1, 2, 3):
            end_device(
                connection, f"M{unit}", protocol="modbus", host=None, profile="eastron-sdm630",
                interval_seconds=3600,
                address=f'{{"unit": {unit}, "line": "{path}", "baud": 19200, "timeout": "0.2"}}',
            )  # fmt: skip
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "hourly", group="all", reads=("registers",), now=NOW, cron="0 * * * *"
        )
        async with jobs.opened(database_url, limits=Limits(flush_seconds=0.1)) as pool:
            done = await pool.drain(NOW.replace(hour=1))
    assert (done.ok, done.failed, done.registers) == (2, 1, 8)
    assert asked == [1, 2, 2, 3]


def test_meters_that_failed_are_read_in_batches_of_their_own_behind_the_others(
    connection: Connection, database_url: str
) -> None:
    ids = [end_device(connection, f"M{n}", protocol="modbus", host=f"127.0.0.{n}") for n in (1, 2)]
    connection.execute(
        "INSERT INTO device_status (end_device_id, failing_since, consecutive_failures)"
        " VALUES (%s, %s, 3)",
        [ids[0], NOW],
    )
    groups.put(connection, "all", selector={})
    schedules.add(
        connection, "hourly", group="all", reads=("registers",), now=NOW, cron="0 * * * *"
    )
    with database.connect(database_url) as one:
        assert jobs.hand_over(one, NOW.replace(hour=1)) == 2
    rows = connection.execute(
        "SELECT b.end_device_ids, b.failing, j.priority FROM collection_batch b"
        " JOIN procrastinate_jobs j ON (j.args ->> 'batch_id')::bigint = b.id ORDER BY b.failing"
    ).fetchall()
    [(well, _, first), (failed, _, later)] = rows
    assert (well, failed) == ([ids[1]], [ids[0]])
    assert first > later
    # The failing batch is still at work when the next hour comes: the others are read all the same.
    with database.connect(database_url) as one:
        dispatch.finish(one, 1, now=NOW)
        jobs.hand_over(one, NOW.replace(hour=2))
    assert count(connection, "collection_batch", "finished_at IS NULL AND NOT failing") == 1


@pytest.mark.parametrize("size", [1, 3, 300])
def test_meters_of_one_line_are_never_in_two_batches(size: int) -> None:
    lines = {number: f"gateway {number % 4}" for number in range(1, 21)}
    made = plan.batches(((n, None) for n in range(1, 31)), NOW, size=size, lines=lines)
    assert sorted(n for batch in made for n in batch.end_device_ids) == list(range(1, 31))
    for line in set(lines.values()):
        own = {n for n, at in lines.items() if at == line}
        assert sum(bool(own & set(batch.end_device_ids)) for batch in made) == 1
