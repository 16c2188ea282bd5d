"""What is left after thousands of failing sessions: open files, tasks, memory.

Every driver that asks meters talks to peers that refuse, reset, stay silent, send garbage, send
half a frame, hang up in the middle of one, or (DLMS) have another key, in turns, many at a time,
and every session has to fail. A first round warms up caches and pools; then everything is counted,
the rest of the sessions run, and everything is counted again.

The last line is one JSON object::

    {"files_left": …, "tasks_left": …,     after minus before
     "memory_grown_mb": …,                 resident, after minus before
     "sessions": …, "seconds": …, "failures": {class of error: sessions}}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from drivers import catalogue, errors
from drivers.driver import Driver, Endpoint
from simulators import dlms_meter, line
from simulators import fleet as fleets
from simulators.clock import Clock

_NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)
_AT_ONCE: Final = 50
_TIMEOUT: Final = 0.05
_KEYS: Final = ("authentication", "encryption")
_FLEET: Final = """
seed = 1
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
[[group]]
name = "locked"
protocol = "dlms"
count = 1
profile = "generic"
security = "hls-gmac"
first_address = "127.22.0.1"
"""

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Left:
    """What stands open at a moment."""

    files: int
    tasks: int
    resident_mb: float


@dataclass(frozen=True)
class Case:
    """A session that must fail: which driver, and with whom."""

    driver: Driver
    endpoint: Endpoint


async def measured(sessions: int, *, warm_up: int) -> dict[str, object]:
    """Let sessions fail; give the figures."""
    async with cases() as known:
        turns = itertools.cycle(known)
        await _fail(turns, warm_up)
        before = await _left()
        began = time.perf_counter()
        failures = await _fail(turns, sessions)
        seconds = time.perf_counter() - began
        after = await _left()
    return {
        "files_left": after.files - before.files,
        "tasks_left": after.tasks - before.tasks,
        "memory_grown_mb": round(after.resident_mb - before.resident_mb, 2),
        "sessions": sessions,
        "seconds": round(seconds, 1),
        "failures": dict(sorted(failures.items())),
    }


@asynccontextmanager
async def cases() -> AsyncIterator[list[Case]]:
    """Serve every peer, and give a case for each with each driver's framings."""
    drivers = catalogue.polled()
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(_served(peer)) for peer in _PEERS]
        ports.append(_nobodys_port())
        made = []
        for port in ports:
            made.append(Case(drivers["dlms"], _endpoint(port, "generic", {})))
            for framing in ("tcp", "rtu"):
                address = {"unit": 1, "framing": framing}
                made.append(Case(drivers["modbus"], _endpoint(port, "abb-b23", address)))
        locked = await stack.enter_async_context(_locked())
        yield [*made, Case(drivers["dlms"], locked)]


async def _fail(turns: itertools.cycle[Case], sessions: int) -> Counter[str]:
    """Run sessions, many at a time; count the errors that they end with."""
    failures: Counter[str] = Counter()

    async def work(count: int) -> None:
        for _ in range(count):
            failures[type(await _failure(next(turns))).__name__] += 1

    async with asyncio.TaskGroup() as tasks:
        for number in range(_AT_ONCE):
            tasks.create_task(work(len(range(number, sessions, _AT_ONCE))))
    return failures


async def _failure(case: Case) -> errors.DriverError:
    try:
        async with case.driver.session(case.endpoint) as session:
            await session.read_registers(["active_energy_import"], now=_NOW)
    except errors.DriverError as error:
        return error
    raise SystemExit(f"a session with {case.endpoint} did not fail")


async def _left() -> Left:
    """Count what stands open, once connections that were cut have gone."""
    for _ in range(20):
        await asyncio.sleep(0.01)
    gc.collect()
    return Left(_open_files(), len(asyncio.all_tasks()), _resident_mb())


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _is_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass


def _says(words: bytes, *, then_closes: bool) -> Peer:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            writer.write(words)
            if then_closes:
                return

    return peer


_PEERS: Final[Sequence[Peer]] = (
    _resets,
    _is_silent,
    _says(b"HTTP/1.1 400 Bad Request\r\n\r\n", then_closes=False),
    _says(b"\x00\x01\x00\x00\x00\x07", then_closes=False),
    _says(b"\x01\x03", then_closes=True),
    _says(b"", then_closes=True),
)


@asynccontextmanager
async def _served(peer: Peer) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await peer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _locked() -> AsyncIterator[Endpoint]:
    """Serve a simulated meter, and give an endpoint with keys that are not its own."""
    fleet = _one_meter()
    lines = await dlms_meter.serve(fleet.meters, Clock(fleet.now + 3600), port=0)
    counters = itertools.count(1, 1000)
    host, port = line.endpoint(fleet.meters[0], lines.port)
    try:
        yield Endpoint(
            fleet.meters[0].mrid, host, port, "generic", {}, 900, security="hls-gmac",
            secrets={kind: bytes(16) for kind in _KEYS}, timeout=1.0,
            reserve_counters=lambda _: next(counters),
        )  # fmt: skip
    finally:
        await lines.close()


def _one_meter() -> fleets.Fleet:
    with tempfile.TemporaryDirectory() as folder:
        described = Path(folder, "locked.toml")
        described.write_text(_FLEET, "utf-8")
        return fleets.load(described)


def _nobodys_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _endpoint(port: int, profile: str, address: Mapping[str, int | str]) -> Endpoint:
    return Endpoint("M1", "127.0.0.1", port, profile, address, 900, timeout=_TIMEOUT)


def main(arguments: Sequence[str] | None = None) -> int:
    """Let sessions fail and print what is left of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leak", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--warm-up", type=int, default=2_000)
    given = parser.parse_args(arguments)
    figures = asyncio.run(measured(given.sessions, warm_up=given.warm_up))
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
