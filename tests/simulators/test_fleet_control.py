"""The fleet as a process: ready line, clock, status, clean end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from simulators import control

ROOT = Path(__file__).parents[2]


def test_clock_moves_forward_only() -> None:
    with control.running("small", now=datetime(2026, 6, 1, tzinfo=UTC)) as running:
        status = httpx.get(f"{running.control}/status").json()
        assert status["now"] == "2026-06-01T00:00:00+00:00"
        assert status["meters"] == {"dlms": 13}
        assert status["ports"]["dlms"] == running.dlms_port
        assert "gap" not in status["faults_active"]
        moved = httpx.post(f"{running.control}/clock", json={"now": "2026-06-02T10:00:00+03:00"})
        assert moved.json() == {"now": "2026-06-02T07:00:00+00:00", "published": 0}
        assert httpx.get(f"{running.control}/status").json()["faults_active"]["gap"] == 1
        back = httpx.post(f"{running.control}/clock", json={"now": "2026-06-01T00:00:00Z"})
        assert back.status_code == 409
        assert "2026-06-02T07:00:00Z" in back.json()["error"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"now": 3}', '{"now": "2026-06-05T00:00:00"}'])
def test_clock_says_what_to_send(body: str) -> None:
    with control.running("small") as running:
        answer = httpx.post(f"{running.control}/clock", content=body)
    assert answer.status_code == 400
    assert "2026-" in answer.json()["error"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly_and_leaves_its_port(number: signal.Signals) -> None:
    with control.running("small") as running:
        with socket.create_connection(("127.11.0.1", running.dlms_port)) as line:
            running.process.send_signal(number)
            assert running.process.wait(10) == 0
            line.settimeout(5)
            with pytest.raises(ConnectionResetError):
                line.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.11.0.1", running.dlms_port))


def test_wrong_fleet_is_told_on_the_command_line() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "simulators.fleet", "nothing"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 2
    assert "fleets known by name" in said.stderr
    with pytest.raises(control.FleetError), control.running("nothing"):
        pytest.fail("started")


def test_port_that_is_taken_is_told_on_the_command_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = subprocess.run(
            [
                *(sys.executable, "-m", "simulators.fleet", "small"),
                *("--port", "0", "--control", str(taken.getsockname()[1])),
            ],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert said.returncode == 1
    assert "in use" in said.stderr
    assert "Traceback" not in said.stderr
