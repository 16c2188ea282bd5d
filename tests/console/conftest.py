"""What tests of the commands share: the command, and a town of simulated meters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators import control
from tests.console import served
from tests.console.served import Town
from tests.console.shell import Shell, shell


@pytest.fixture
def miqyas(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path / "home"))
    with shell(monkeypatch, capsys) as run:
        yield run


@pytest.fixture
def town(miqyas: Shell, tmp_path: Path) -> Iterator[Town]:
    with control.running("small") as running:
        meters, keys = tmp_path / "meters.csv", tmp_path / "keys.csv"
        port = running.dlms_port
        assert miqyas("simulate", "registry", "small", "--port", port, "--out", meters).status == 0
        assert miqyas("simulate", "keys", "small", "--out", keys).status == 0
        assert miqyas("import", "registry", meters).status == 0
        assert miqyas("import", "keys", keys).status == 0
        made = Town(miqyas, running, tmp_path)
        moved = miqyas(
            "simulate", "clock", "small", "--to", served.DAY_AFTER, "--control", made.control
        )
        assert "It is 2026-06-04 21:30 UTC now" in moved.out
        yield made
