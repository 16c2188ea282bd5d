"""``miqyas probe modbus`` as a person uses it, against a pyModbusTCP server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from drivers.modbus import register_map
from tests.drivers.modbus.bank import serving
from tests.drivers.modbus.test_modbus_maps import IMAGES

ROOT = Path(__file__).parents[2]


def probe(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [
            sys.executable, "-c", "from console.command import main; main()",
            "probe", "modbus", "127.0.0.1", "--port", str(port), "--pause", "0", *options,
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_says_what_to_write_into_the_registry_and_why() -> None:
    with serving(IMAGES["siemens-pac3200"][0]) as (port, writes):
        said = probe(port, "--unit", "3")
    assert said.returncode == 0, said.stderr
    assert "profile siemens-pac3200, unit=3" in said.stdout
    assert "Voltage L1: 230.0 V" in said.stdout
    assert "Supply frequency: 50.000 Hz" in said.stdout
    assert writes.count == 0


def test_a_meter_that_no_map_fits() -> None:
    with serving({}) as (port, _):
        said = probe(port)
    assert said.returncode == 1
    assert (
        f"127.0.0.1:{port}, unit 1: it answers, and none of the register maps fits" in said.stderr
    )
    assert "What to do" in said.stderr
    assert any(f"The nearest: {name}" in said.stdout for name in register_map.names())


def test_nobody_there() -> None:
    with serving({}) as (port, _):
        pass
    said = probe(port)
    assert said.returncode == 1
    assert said.stderr.startswith(f"nobody listens at 127.0.0.1:{port}; check the port")


def test_the_other_framing_is_told_from_this_one() -> None:
    with serving(IMAGES["eastron-sdm72"][0]) as (port, _):
        said = probe(port, "--framing", "rtu", "--timeout", "0.2")
    assert said.returncode == 1
    assert f"127.0.0.1:{port} " in said.stderr
    assert "before a byte came" in said.stderr
    assert "Traceback" not in said.stderr
