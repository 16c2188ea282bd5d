"""One private PostgreSQL cluster: made, started and shut down by this program alone.

It listens on a Unix socket in a folder that only its account may enter, so it needs no password and
nobody else on the machine or the network reaches it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from schemas.account import Account, identity
from schemas.postgresql import Build

DATABASE = "miqyas"
# A socket's path must fit in 104 bytes on the BSDs, 108 on Linux, its final zero included.
_LONGEST_SOCKET = 103
_SOCKET = ".s.PGSQL.5432"
# Recovery after a crash replays up to max_wal_size; a slow disk takes minutes over that.
_START_SECONDS = 600
_STOP_SECONDS = 120


class ServerError(RuntimeError):
    """A private server could not be found, started or stopped; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster's folder, the build that runs it, and the account it runs as.

    ``account`` is None for the account that runs this program; PostgreSQL refuses to run as root.
    """

    directory: Path
    build: Build
    account: Account | None

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the server and its tools have printed."""
        return self.directory / "server.log"

    @property
    def url(self) -> str:
        """Where the cluster's own database is reached while it runs."""
        folder = quote(self._written()[4].strip(), safe="/")
        return f"postgresql:///{DATABASE}?host={folder}&port=5432&user={DATABASE}"

    def ensure_running(self, settings: Mapping[str, str]) -> bool:
        """Make the cluster if it is new and start it if it is down; False if it was running.

        The caller holds the cluster's lock. ``settings`` come on top of the standing ones and count
        only where this call starts the server.

        Raises
        ------
        ServerError
            with the last lines of the server's log.
        """
        self._own(self.directory)
        if self._wait_until_settled():
            return False
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._configure(settings)
        self._own(self._socket_folder())
        self._start()
        return True

    def shut_down(self) -> None:
        """Stop the server; open connections are ended and their transactions rolled back."""
        if self._wait_until_settled():
            elsewhere = Path(self._written()[4].strip())
            self._run(
                "pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", _STOP_SECONDS
            )
            if elsewhere.parent != self.directory:
                elsewhere.rmdir()

    def _wait_until_settled(self) -> bool:
        """Tell whether the server is up, once it is neither starting nor stopping."""
        deadline = time.monotonic() + _START_SECONDS
        while (status := self._status()) not in ("ready", None):
            if time.monotonic() > deadline:
                raise ServerError(f"{self._who()} is still '{status}'; see {self.log}.")
            time.sleep(0.05)
        return status == "ready"

    def _status(self) -> str | None:
        """Read what a living server last wrote of itself; None if there is none.

        A file left by a server that was killed may name a process that is by now something else:
        that file would keep PostgreSQL from starting, so it goes.
        """
        lines = self._written()
        if not lines or not lines[0].strip().isdigit():
            return None
        process = int(lines[0])
        if not _alive(process):
            return None
        if not _serves(process, self.data):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            return None
        return lines[7].strip() if len(lines) > 7 else "starting"

    def _written(self) -> list[str]:
        """Read the lines of the server's own file: 1 its process, 5 its socket, 8 its state."""
        try:
            return (self.data / "postmaster.pid").read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _initialise(self) -> None:
        """Make the data directory under another name first: a half-made one is never taken up."""
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        # C.UTF-8 sorts by code point, alike on every machine; an index never depends on a locale.
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        self._run(
            "initdb", "-D", str(fresh), "-U", DATABASE, "--auth=trust", "--encoding=UTF8",
            f"--locale={locale}", "--data-checksums", "--no-instructions",
        )  # fmt: skip
        self._run(
            "postgres", "--single", "-D", str(fresh), "postgres", text=f"CREATE DATABASE {DATABASE}"
        )
        configuration = fresh / "postgresql.conf"
        configuration.write_text(
            "# miqyas.conf is written anew at each start; settings of your own go below it.\n"
            "include_if_exists = 'miqyas.conf'\n",
            "utf-8",
        )
        self._own(configuration)
        fresh.rename(self.data)

    def _configure(self, settings: Mapping[str, str]) -> None:
        file = self.data / "miqyas.conf"
        standing = {**_standing(self.build), "unix_socket_directories": str(self._socket_folder())}
        lines = (f"{name} = '{value}'\n" for name, value in {**standing, **settings}.items())
        file.write_text("".join(lines), "utf-8")
        self._own(file)

    def _start(self) -> None:
        """Start the server and wait until it takes connections.

        After a kill, the dead server's children can hold its shared memory for a moment longer.
        """
        for _ in range(40):
            before = self.log.stat().st_size
            try:
                self._run(
                    "pg_ctl", "start", "-D", str(self.data), "-w", "-t", _START_SECONDS,
                    "-l", str(self.log), "-s",
                )  # fmt: skip
            except ServerError:
                if b"still in use" not in self.log.read_bytes()[before:]:
                    raise
                time.sleep(0.25)
            else:
                return
        raise ServerError(f"{self._who()}: a killed server's processes do not end; see {self.log}.")

    def _socket_folder(self) -> Path:
        """Choose the socket's folder: beside the data, or in the temporary folder if too deep."""
        beside = self.directory / "run"
        if len(os.fsencode(beside / _SOCKET)) <= _LONGEST_SOCKET:
            return beside
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"miqyas-{name}"

    def _own(self, path: Path) -> None:
        """Give a folder or file to the account; a folder is made and closed to others."""
        if not path.exists():
            path.mkdir(mode=0o700, parents=True)
        ours = {os.geteuid()} | ({self.account.pw_uid} if self.account else set())
        if path.is_symlink() or path.stat().st_uid not in ours:
            raise ServerError(f"{path} belongs to another account; choose another MIQYAS_HOME.")
        if self.account:
            os.chown(path, self.account.pw_uid, self.account.pw_gid)

    def _run(self, program: str, *arguments: object, text: str = "") -> None:
        """Run one of PostgreSQL's programs as the account; what it prints goes to the log."""
        if not self.log.exists():
            self.log.touch(mode=0o600)
        self._own(self.log)
        command = [str(self.build.bin / program), *map(str, arguments)]
        with self.log.open("ab") as log:
            # A pipe would stay open in the server that pg_ctl leaves behind, and hang the reader.
            done = subprocess.run(
                command, input=text.encode(), stdout=log, stderr=log, cwd=self.directory,
                env=_environment(), check=False, **identity(self.account),
            )  # fmt: skip
        if done.returncode != 0:
            last = self.log.read_text("utf-8", errors="replace").splitlines()[-8:]
            raise ServerError(f"{self._who()}: {program} failed.\n" + "\n".join(last))

    def _who(self) -> str:
        return f"PostgreSQL {self.build.version} in {self.directory}"


def _environment() -> dict[str, str]:
    """Pass the environment on without libpq's variables, which would reach into the tools."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C.UTF-8" if sys.platform == "linux" else "C"}


def _standing(build: Build) -> dict[str, str]:
    """Settings for loading and reading large blocks on a machine shared with other programs."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    settings = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "200",
        "shared_buffers": f"{min(1024, max(128, memory // 8))}MB",
        "effective_cache_size": f"{max(256, memory // 2)}MB",
        "work_mem": "32MB",
        "maintenance_work_mem": "256MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        # Compiling a plan takes longer than most of these queries run.
        "jit": "off",
        # A query over a hypertable locks every chunk that it touches.
        "max_locks_per_transaction": "256",
    }
    if build.timescaledb:
        settings |= {
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            "timescaledb.max_background_workers": "8",
            "max_worker_processes": "24",
        }
    return settings


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _serves(process: int, data: Path) -> bool:
    """Tell whether a process is the PostgreSQL server of a data directory."""
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        # Without /proc the file is believed, as PostgreSQL itself believes it.
        return not Path("/proc/self").exists()
    arguments = command.split(b"\0")
    return b"postgres" in arguments[0] and os.fsencode(data) in arguments
