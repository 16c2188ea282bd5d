"""Simulated fleets, and programs that are stopped."""

from __future__ import annotations

import csv
import io
import re
import signal
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.console.served import Town, free_port, one_row, registered
from tests.console.shell import Shell, process


def test_a_fleets_files(miqyas: Shell, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(miqyas("simulate", "registry", "small").out)))
    assert len(rows) == 13
    assert {row["port"] for row in rows} == {"4059"}
    keys = list(csv.DictReader(io.StringIO(miqyas("simulate", "keys", "small").out)))
    assert {row["kind"] for row in keys} == {"password", "encryption", "authentication", "master"}
    faults = list(csv.DictReader(io.StringIO(miqyas("simulate", "truth", "small", "--faults").out)))
    assert {"gap", "spike", "wrong_key", "meter_exchange"} <= {row["kind"] for row in faults}
    said = miqyas("simulate", "truth", "small", "--out", tmp_path / "truth.csv")
    assert "9,216 rows" in said.out


def test_a_simulated_time_is_refused_where_a_meter_may_be_real(town: Town, tmp_path: Path) -> None:
    registered(town.run, tmp_path, "UP-REAL", "REAL-7", "Asia/Kuwait")
    said = town.run("simulate", "clock", "small", "--control", town.control)
    assert said.status == 1
    assert "'REAL-7'" in said.err
    assert "machine's time again" in town.run("simulate", "clock", "small", "--off").out
    none = town.run("simulate", "clock", "small", "--control", free_port())
    assert none.status == 1
    assert "run it first: miqyas simulate run FLEET" in none.err


def test_a_fleet_that_is_stopped_leaves_nothing_running(tmp_path: Path) -> None:
    ports = ["--port", "0", "--modbus-port", "0", "--broker-port", "0", "--control", "0"]
    home = {"MIQYAS_HOME": str(tmp_path)}
    with process("simulate", "run", "small", *ports, environment=home) as running:
        assert running.stdout
        told = running.stdout.readline()
        addresses = re.search(r"broker mqtt://([\d.]+):(\d+) .* control (\S+),", told)
        assert addresses, told
        host, port, url = addresses.groups()
        assert httpx.get(f"{url}/status", trust_env=False).json()["meters"] == {"dlms": 13}
        socket.create_connection((host, int(port))).close()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/status", trust_env=False)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_worker_that_schedules_too_stops_when_asked(database_url: str, tmp_path: Path) -> None:
    where = {"MIQYAS_HOME": str(tmp_path), "MIQYAS_DATABASE_URL": database_url}
    with process("worker", "--with-scheduler", environment=where) as running:
        assert running.stdout
        assert running.stdout.readline() == "Working. Ctrl-C stops.\n"
        until = time.monotonic() + 20
        while one_row(database_url, "SELECT count(*) FROM procrastinate_workers") == (0,):
            assert time.monotonic() < until, "the worker does not ask for work"
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=20)
    assert (running.returncode, out) == (0, "Stopped.\n"), err
