"""Running a fleet: one process, a clock moved over HTTP, and how to start it from elsewhere.

``POST /clock {"now": "2026-07-01T00:00:00Z"}`` moves the fleet's clock; it answers when every
meter has done what became due; with ``"wait": false`` it does not wait for the MQTT broker, and the
next move does. ``GET /status`` tells how things stand. Loopback only.
"""

from __future__ import annotations

import asyncio
import json
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators import leash, line, serving
from simulators.clock import Clock
from simulators.meter import Meter
from simulators.serving import Serving

_HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 60.0


class FleetError(RuntimeError):
    """The fleet's process did not start; the message shows what it printed."""


@dataclass(frozen=True)
class Running:
    """A fleet that another process serves."""

    control: str
    dlms_port: int
    modbus_port: int
    process: subprocess.Popen[str]


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals to the fleet, which has to stop its meters too."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(
    meters: Sequence[Meter],
    *,
    now: int,
    ports: Mapping[str, int],
    broker: str | None,
    serial_folder: Path = line.SERIAL_FOLDER,
    push: str | None = None,
) -> None:
    """Serve meters until SIGTERM or SIGINT; print one JSON line when all is ready.

    Parameters
    ----------
    now : where the clock stands first [Unix s]
    ports : of ``control``, ``dlms`` and ``modbus``; 0 takes a free one
    broker : URL of the MQTT broker; without it MQTT meters stay silent
    serial_folder : where serial ports appear
    push : where DLMS meters push to, tcp:// or udp://; without it none does

    Raises
    ------
    OSError
        if a port is taken.
    """
    asyncio.run(_serve(meters, now, ports, broker, serial_folder, push=push))


def application(served: Serving) -> Starlette:
    """Make the control API of a fleet that is being served."""

    async def clock(request: Request) -> JSONResponse:
        try:
            asked = await request.json()
            to, wait = datetime.fromisoformat(asked["now"]), asked.get("wait", True) is not False
        except (ValueError, KeyError, TypeError):
            return _refused(400, 'send {"now": "2026-07-01T00:00:00Z"}')
        if to.tzinfo is None:
            return _refused(400, f"{to} needs its offset from UTC, such as +03:00 or Z")
        try:
            published = await served.move(to, wait=wait)
        except ValueError as backwards:
            return _refused(409, f"{backwards}: it cannot go back to {to}")
        return JSONResponse({"now": served.clock.now.isoformat(), "published": published})

    async def status(_: Request) -> JSONResponse:
        return JSONResponse(served.status())

    return Starlette(routes=[Route("/clock", clock, methods=["POST"]), Route("/status", status)])


@contextmanager
def running(
    fleet: str | Path,
    *,
    broker: str | None = None,
    push: str | None = None,
    dlms_port: int = 0,
    modbus_port: int = 0,
    control_port: int = 0,
    now: datetime | None = None,
    meters: int | None = None,
    serial_folder: Path = line.SERIAL_FOLDER,
) -> Iterator[Running]:
    """Serve a fleet in a process of its own for the length of a block.

    Parameters
    ----------
    fleet : TOML file or name, as ``simulators.fleet.load`` takes it
    push : where DLMS meters push to, tcp:// or udp://
    dlms_port, modbus_port, control_port : 0 takes free ones
    now : where the clock stands first, instead of the file's
    meters : how many meters the first group has
    serial_folder : where serial ports appear

    Raises
    ------
    FleetError
        if it does not become ready within a minute.
    """
    command = [sys.executable, "-m", "simulators.fleet", str(fleet)]
    command += ["--control", str(control_port), "--serial-folder", str(serial_folder)]
    command += ["--port", str(dlms_port), "--modbus-port", str(modbus_port)]
    command += ["--broker", broker] if broker else []
    command += ["--push", push] if push else []
    command += ["--now", now.isoformat()] if now else []
    command += ["--meters", str(meters)] if meters is not None else []
    process = leash.start(command, stdout=subprocess.PIPE, text=True)
    try:
        yield _ready(process)
    finally:
        leash.stop(process)


async def _serve(
    meters: Sequence[Meter],
    now: int,
    ports: Mapping[str, int],
    broker: str | None,
    serial_folder: Path,
    *,
    push: str | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    served = await serving.start(
        meters, Clock(now), ports=ports, broker=broker, serial_folder=serial_folder, push=push
    )
    try:
        await _controlled(served, ports["control"], stop)
    finally:
        await served.close()


async def _controlled(served: Serving, port: int, stop: asyncio.Event) -> None:
    """Serve the control API until told to stop."""
    listener = socket.create_server((_HOST, port))
    settings = uvicorn.Config(application(served), log_level="warning", lifespan="off")
    server = _Server(settings)
    task = asyncio.create_task(server.serve([listener]))
    await server.listening.wait()
    print(json.dumps(_announcement(served, listener.getsockname()[1])), flush=True)  # noqa: T201
    await stop.wait()
    server.should_exit = True
    await task


def _announcement(served: Serving, control: int) -> dict[str, object]:
    return {
        "ready": True,
        "control": f"http://{_HOST}:{control}",
        "dlms_port": served.port("dlms"),
        "modbus_port": served.port("modbus"),
        "meters": dict(Counter(meter.protocol for meter in served.meters)),
    }


def _refused(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status)


def _ready(process: subprocess.Popen[str]) -> Running:
    """Wait for the line that says that the fleet is ready."""
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None  # noqa: S101  # it was opened as a pipe
    threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True).start()
    try:
        said = lines.get(timeout=_START_SECONDS)
        facts = json.loads(said)
    except queue.Empty:
        raise FleetError(f"the fleet was not ready within {_START_SECONDS:.0f} s") from None
    except ValueError:
        raise FleetError(f"the fleet did not start: {said or 'see its messages above'}") from None
    return Running(facts["control"], facts["dlms_port"], facts["modbus_port"], process)


def _forward(stream: IO[str], lines: queue.Queue[str]) -> None:
    lines.put(stream.readline())
    for _ in stream:  # keep the pipe empty
        pass
