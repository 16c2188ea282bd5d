"""``miqyas probe modbus`` as a person uses it, against a pyModbusTCP server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from drivers.modbus import register_map
from simulators import fleet as fleets
from simulators.clock import Clock
from simulators.modbus_bus import Bus
from tests.drivers.modbus.bank import serving
from tests.drivers.modbus.serial_pair import answering
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


async def test_a_meter_on_a_serial_line(tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(
        'seed = 3\nzone = "Asia/Kuwait"\nstart = 2026-06-01\ndays = 2\n[[group]]\nname = "bus"\n'
        'protocol = "modbus"\ncount = 1\nprofile = "abb-b23"\nfirst_address = "127.31.0.1"\n'
        "address = { unit = 3 }\n"
    )
    fleet = fleets.load(file)
    bus = Bus(fleet.meters, Clock(fleet.now + 86_400))
    with answering(bus.receive) as path:
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from console.command import main; main()", "probe", "modbus",
            path, "--unit", "3", "--baud", "19200", "--timeout", "0.5", "--pause", "0",
            cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, wrong = await asyncio.wait_for(asked.communicate(), 120)
    assert asked.returncode == 0, wrong.decode()
    told = " ".join(said.decode().split())
    assert f"profile abb-b23, unit=3;line={path};baud=19200;parity=N;stop=1" in told
