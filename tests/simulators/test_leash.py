"""What is started on the leash ends with its starter, even if that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulators import leash

_ROOT = Path(__file__).parents[2]
_STARTER = """
import time
from simulators import broker, control
with broker.running({kind!r}) as messages, control.running("small", broker=messages.url) as fleet:
    print(messages.port, fleet.control.rpartition(":")[2], flush=True)
    time.sleep(60)
"""
_PROGRAM = "import sys, time; print('up', flush=True); time.sleep(60)"


def _listens(port: int) -> bool:
    """Tell whether somebody listens on a port of loopback (Linux)."""
    lines = Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]
    return any(
        line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in lines
    )


def _wait_until_silent(ports: list[int]) -> list[int]:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and any(map(_listens, ports)):
        time.sleep(0.05)
    return [port for port in ports if _listens(port)]


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads listening ports of Linux")
@pytest.mark.parametrize("kind", [None, "amqtt"])
def test_broker_and_fleet_end_with_a_killed_starter(kind: str | None, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _STARTER.format(kind=kind)]
    # Who is killed cannot tidy up.
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, env=environment
    ) as starter:
        assert starter.stdout is not None
        ports = [int(port) for port in starter.stdout.readline().split()]
        assert len(ports) == 2
        assert all(map(_listens, ports))
        starter.kill()
        starter.wait()
        assert _wait_until_silent(ports) == []


def test_a_program_s_own_end_is_told() -> None:
    process = leash.start([sys.executable, "-c", "raise SystemExit(3)"])
    assert process.wait(10) == 3
    leash.stop(process)


def test_a_signal_reaches_the_program() -> None:
    process = leash.start([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    process.stdout.close()
    leash.stop(process)


def test_a_program_that_is_let_go_of_is_asked_to_stop() -> None:
    process = leash.start([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    leash.stop(process)
    assert process.returncode == 128 + signal.SIGTERM
    process.stdout.close()
