"""``miqyas listen`` for DLMS pushes, and ``miqyas unknown``."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from headend import unknown_devices
from headend.unknown_devices import Stranger
from schemas import database
from simulators import control
from tests.console.shell import Shell, process, shell

FLEET = """
seed = 7
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2

[[group]]
name = "open"
protocol = "dlms"
count = 2
profile = "generic"
tariff = "kw-residential"
first_address = "127.12.0.1"
options = { push = "registers", push_seconds = 3600 }

[[group]]
name = "secured"
protocol = "dlms"
count = 2
profile = "generic"
security = "hls-gmac"
tariff = "kw-residential"
first_address = "127.12.1.1"
options = { push = "intervals" }

[[fault]]
kind = "dead_line"
mode = "power"
meters = ["M00003"]
at = 2026-06-01T02:00:00
length = [4]
"""


@pytest.fixture
def miqyas(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path))
    monkeypatch.delenv("MIQYAS_BROKER_URL", raising=False)
    with shell(monkeypatch, capsys) as run:
        yield run


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_a_fleet_pushes_to_the_command_over_tcp_and_is_known_when_it_is_registered(
    miqyas: Shell, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "pushing.toml"
    file.write_text(FLEET)
    assert miqyas("simulate", "registry", file, "--out", tmp_path / "meters.csv").status == 0
    assert miqyas("simulate", "keys", file, "--out", tmp_path / "keys.csv").status == 0
    text = (tmp_path / "meters.csv").read_text()
    assert "system_title=4d51530000000003" in text
    (tmp_path / "some.csv").write_text("".join(
        line for line in text.splitlines(keepends=True) if "M00001" not in line
    ))  # fmt: skip
    assert miqyas("import", "registry", tmp_path / "some.csv").status == 0
    assert miqyas("import", "keys", tmp_path / "keys.csv").status == 0
    port = _free_port()
    environment = {"MIQYAS_DATABASE_URL": database_url, "MIQYAS_HOME": str(tmp_path)}
    command = ("listen", f"tcp://127.0.0.1:{port}", f"udp://127.0.0.1:{port}")
    with process(*command, environment=environment) as listening:
        assert listening.stderr
        assert any("push.started" in line for line in listening.stderr)
        with control.running(file, push=f"tcp://127.0.0.1:{port}") as fleet:
            _move(fleet.control, datetime(2026, 6, 1, 6, tzinfo=UTC))
        listening.send_signal(signal.SIGTERM)
        out, err = listening.communicate(timeout=60)
    assert "Stopped." in out
    assert re.search(r"push.stopped .*pushes=", err)
    with psycopg.connect(database_url) as connection:
        counts = dict(connection.execute(
            "SELECT d.mrid, count(*) FROM end_device d JOIN raw_register_reading r"
            " ON r.end_device_id = d.id GROUP BY 1"
        ).fetchall())  # fmt: skip
        slots = dict(connection.execute(
            "SELECT end_device, count(*) FROM raw_reading GROUP BY 1"
        ).fetchall())  # fmt: skip
        events = connection.execute(
            "SELECT d.mrid, e.code FROM end_device_event e JOIN end_device d"
            " ON d.id = e.end_device_id ORDER BY occurred_at"
        ).fetchall()
    # Nine hours from the fleet's midnight, five registers each; quarter hours with two energies.
    assert counts == {"M00002": 50}
    assert slots["M00004"] == 72
    assert slots["M00003"] == 72 - 2 * 4
    assert events == [("M00003", 1), ("M00003", 2)]
    listed = miqyas("unknown", "list")
    assert any("name M00001 tcp 127.12.0.1" in line for line in listed.lines)
    assert "register the meter" in listed.out
    assert miqyas("import", "registry", tmp_path / "meters.csv").status == 0
    assert miqyas("quarantine", "replay").status == 0
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM raw_register_reading r JOIN end_device d"
            " ON d.id = r.end_device_id WHERE mrid = 'M00001'"
        ).fetchone()
    assert found == (50,)


def _move(address: str, to: datetime) -> None:
    answer = httpx.post(f"{address}/clock", json={"now": to.isoformat()}, timeout=60)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mqtt://a", "mqtt://b"], "one broker a process"),
        (["tcp://"], "no address such as tcp://0.0.0.0:4059"),
        (["udp://a:b"], "Port"),
        ([], "tcp://0.0.0.0:4059"),
    ],
)
def test_what_is_no_place_to_listen_at(miqyas: Shell, arguments: list[str], said: str) -> None:
    refused = miqyas("listen", *arguments)
    assert refused.status == 2
    assert said in " ".join(refused.err.replace("│", " ").split())


def test_an_address_that_is_taken_is_one_message(miqyas: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = miqyas("listen", f"tcp://127.0.0.1:{taken.getsockname()[1]}")
    assert refused.status == 1
    assert "choose another port" in refused.err
    assert "Traceback" not in refused.err


def test_unknown_devices_are_listed_with_what_to_do(miqyas: Shell, database_url: str) -> None:
    assert "none" in miqyas("unknown", "list").out
    seen = datetime(2026, 6, 1, tzinfo=UTC)
    with database.connect(database_url) as connection:
        for number in range(3):
            host = f"192.0.2.{number}"
            stranger = Stranger("host", host, host, "udp", seen, 5, "say")
            unknown_devices.note(connection, [stranger])
    said = miqyas("unknown", "list", "--limit", "2")
    assert "… and 1 more" in said.out
    assert "host 192.0.2.0 udp 192.0.2.0 2026-06-01 00:00 5 0" in said.lines
