"""A served fleet that tests of the commands share, and how they look at what came of it."""

from __future__ import annotations

import csv
import socket
from dataclasses import dataclass
from pathlib import Path

import psycopg

from simulators import control
from simulators import fleet as fleets
from tests.console.shell import Shell

DAY_AFTER = "2026-06-05T00:30+03:00"


IMPORT = "active_energy_import_interval"


@dataclass(frozen=True)
class Town:
    """A served fleet whose registry and keys are in the database, at the fleet's own time."""

    run: Shell
    running: control.Running
    folder: Path

    @property
    def control(self) -> str:
        """The port of the control API."""
        return self.running.control.rpartition(":")[2]


def one_row(url: str, question: str) -> tuple[object, ...]:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    assert row
    return row


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def registered(run: Shell, folder: Path, usage_point: str, end_device: str, zone: str) -> None:
    """Register a meter that others read."""
    cells = {
        "usage_point": usage_point, "commodity": "electricity", "sector": "residential",
        "time_zone": zone, "tariff": "kw-residential", "billing_group": "monthly",
        "end_device": end_device, "manufacturer": "ACME", "model": "X", "protocol": "manual",
        "profile": "manual", "security": "none", "interval_seconds": "1800",
        "register_modulus": "1000000000", "multiplier": "1",
        "installed_from": "2004-01-01T00:00:00+00:00",
    }  # fmt: skip
    file = folder / f"{end_device}.csv"
    with file.open("w", newline="") as text:
        writer = csv.DictWriter(text, fleets.REGISTRY_COLUMNS)
        writer.writeheader()
        writer.writerow(cells)
    said = run("import", "registry", file)
    assert (said.status, said.err) == (0, "")
