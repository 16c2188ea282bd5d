"""Finds a PostgreSQL server, and runs a private one for whoever has none.

In this order: the server that ``MIQYAS_DATABASE_URL`` names; a private cluster with TimescaleDB,
where this machine has it; a private cluster on the embedded PostgreSQL that came with the Python
packages. A home folder that already holds a cluster stays with that one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from schemas import account, postgresql
from schemas.cluster import Cluster, ServerError
from schemas.postgresql import Build
from schemas.settings import Settings

Private = Literal["timescaledb", "embedded"]
Kind = Literal["external", Private]

_PRIVATE: tuple[Private, ...] = ("timescaledb", "embedded")
# Files beside a cluster's folder: one locked to start or stop it, one by each process that uses it.
_LOCK, _USERS = "lock", "users"
# Where root keeps what PostgreSQL's account could not reach under root's own folders.
_STATE = Path("/var/lib/miqyas")


@dataclass(frozen=True, slots=True)
class Location:
    """Which server would be used, and ``reason``, a sentence for people.

    ``url`` is set for an external server, ``directory`` and ``build`` for a private one.
    """

    kind: Kind
    reason: str
    url: str | None = field(default=None, repr=False)
    directory: Path | None = None
    build: Build | None = None


@dataclass(frozen=True, slots=True)
class Server:
    """A server that this process uses, for as long as this object lives or until ``stop``.

    ``url`` is its database; ``started`` tells whether this call started it or found it running.
    """

    url: str = field(repr=False)
    kind: Kind
    directory: Path | None = None
    started: bool = False
    cluster: Cluster | None = field(default=None, repr=False)
    use: BinaryIO | None = field(default=None, repr=False, compare=False)


def locate(home: Path, prefer: Kind | None = None) -> Location:
    """Tell which server ``start`` would use for a home folder, and why; touches nothing.

    ``prefer`` names the kind to use, whatever else is there.

    Raises
    ------
    ServerError
        if there is none, or the one that the home folder's data needs is not on this machine.
    """
    if prefer == "external" or (prefer is None and Settings().database_url):
        return _external()
    held = [kind for kind in _PRIVATE if _major(_directory(home, kind)) is not None]
    wanted = [prefer] if prefer else held[:1] or _PRIVATE
    found = (_private(home, kind) for kind in wanted)
    location = next((location for location in found if location is not None), None)
    if location is None:
        raise ServerError(_missing(home, wanted[0]))
    return location


def start(
    home: Path, prefer: Kind | None = None, *, settings: Mapping[str, str] | None = None
) -> Server:
    """Start the server of a home folder, or use the one that runs there already.

    Two processes may call this at once. A private server outlives the process that started it,
    and comes back by itself from an unclean end. ``settings`` are PostgreSQL's, in addition to the
    standing ones, and count where this call starts the server.

    Raises
    ------
    ServerError
        as ``locate``, and if the server does not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    location = locate(home, prefer)
    if location.directory is None or location.build is None:
        return Server(url=location.url or "", kind=location.kind)
    runs_as = account.unprivileged(location.directory)
    build = _reachable(location.build, runs_as)
    cluster = Cluster(location.directory, build, runs_as)
    with _alone(cluster):
        started = cluster.ensure_running(settings or {})
        use = _opened(cluster, _USERS)
        fcntl.flock(use, fcntl.LOCK_SH)
    return Server(cluster.url, location.kind, location.directory, started, cluster, use)


def stop(server: Server) -> bool:
    """Give a server up, and stop it if it is a private one that no other process uses.

    Returns
    -------
    whether it was stopped
    """
    if server.cluster is None or server.use is None or server.use.closed:
        return False
    with _alone(server.cluster), server.use:
        return _stop_unused(server.cluster, server.use)


def stop_all(home: Path) -> list[Private]:
    """Stop the private servers of a home folder that no process uses, and name those in use."""
    in_use: list[Private] = []
    for kind in _PRIVATE:
        location = _private(home, kind) if _major(_directory(home, kind)) is not None else None
        if location is None or location.directory is None or location.build is None:
            continue
        runs_as = account.unprivileged(location.directory)
        cluster = Cluster(location.directory, _reachable(location.build, runs_as), runs_as)
        with _alone(cluster), _opened(cluster, _USERS) as use:
            if not _stop_unused(cluster, use):
                in_use.append(kind)
    return in_use


def remove(home: Path) -> None:
    """Delete the private clusters of a home folder, with all their data.

    Raises
    ------
    ServerError
        if a process uses one of them; nothing is deleted then.
    """
    if in_use := stop_all(home):
        raise ServerError(f"The {in_use[0]} server of {home} is in use. Nothing was deleted.")
    for kind in _PRIVATE:
        directory = _directory(home, kind)
        if directory.exists():
            shutil.rmtree(directory)
        for suffix in (_LOCK, _USERS):
            _beside(directory, suffix).unlink(missing_ok=True)


@contextmanager
def running(
    home: Path, prefer: Kind | None = None, *, settings: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Use the server of a home folder for the length of a block."""
    server = start(home, prefer, settings=settings)
    try:
        yield server
    finally:
        stop(server)


def _external() -> Location:
    url = Settings().database_url
    if url is None:
        raise ServerError(
            "No server is named. Set MIQYAS_DATABASE_URL=postgresql://user@host/name."
        )
    return Location("external", "MIQYAS_DATABASE_URL names it", url.get_secret_value())


def _private(home: Path, kind: Private) -> Location | None:
    """Pair a home folder's cluster with a build that runs its data; None without one."""
    directory = _directory(home, kind)
    major = _major(directory)
    fitting = [build for build in _builds(kind) if major in (None, build.major)]
    if not fitting:
        return None
    return Location(kind, _reason(fitting[0], kind), directory=directory, build=fitting[0])


def _builds(kind: Private) -> list[Build]:
    if kind == "timescaledb":
        return [build for build in postgresql.installed() if build.timescaledb]
    build = postgresql.embedded()
    return [build] if build else []


def _reason(build: Build, kind: Private) -> str:
    if kind == "timescaledb":
        return f"TimescaleDB {build.timescaledb} on PostgreSQL {build.version} is installed here"
    return f"PostgreSQL {build.version}, which came with the Python packages"


def _missing(home: Path, kind: Private) -> str:
    """Say what is not there, and what to do."""
    directory = _directory(home, kind)
    major = _major(directory)
    remedy = {"timescaledb": "As root: make timescaledb.", "embedded": "Run: make setup."}[kind]
    if major is None:
        name = {"timescaledb": "TimescaleDB", "embedded": "the embedded PostgreSQL"}[kind]
        return f"This machine has not got {name}. {remedy}"
    return (
        f"{directory} holds data of PostgreSQL {major} ({kind}), which this machine has not got. "
        f"{remedy} Or choose another folder with MIQYAS_HOME."
    )


def _directory(home: Path, kind: Private) -> Path:
    """Choose the cluster's folder: in the home folder, unless its account cannot get there."""
    home = home.resolve()
    inside = home / kind
    runs_as = account.unprivileged(inside)
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if inside.exists() or account.may_reach(runs_as, nearest):
        return inside
    return _STATE / f"{kind}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def _major(directory: Path) -> int | None:
    """Read which PostgreSQL a cluster's data belongs to; None if there is no cluster."""
    try:
        return int((directory / "data" / "PG_VERSION").read_text("ascii"))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise ServerError(
            f"{directory} belongs to another account. Choose another folder with MIQYAS_HOME."
        ) from error


def _reachable(build: Build, runs_as: account.Account | None) -> Build:
    """Copy a build out of root's own folders if the account it will run as cannot get there."""
    if account.may_reach(runs_as, build.bin / "postgres"):
        return build
    packages = build.bin.parents[2]
    target = _STATE / f"postgresql-{build.version}"
    copied = target / build.bin.relative_to(packages)
    if not copied.exists():
        shutil.rmtree(target, ignore_errors=True)
        fresh = Path(f"{target}.{os.getpid()}")
        # Its libraries are found beside it: the folder next to the package has the same name.
        for part in packages.glob(f"{build.bin.parents[1].name}*"):
            if not part.name.endswith(".dist-info"):
                shutil.copytree(part, fresh / part.name)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        fresh.rename(target)
    return Build(copied, build.version, build.timescaledb)


@contextmanager
def _alone(cluster: Cluster) -> Iterator[None]:
    """Let one process at a time start or stop a cluster; a killed one lets go by itself."""
    with _opened(cluster, _LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beside(directory: Path, suffix: str) -> Path:
    return directory.with_name(f"{directory.name}.{suffix}")


def _opened(cluster: Cluster, suffix: str) -> BinaryIO:
    path = _beside(cluster.directory, suffix)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except PermissionError as error:
        raise ServerError(
            f"{path} belongs to another account. Choose another folder with MIQYAS_HOME."
        ) from error


def _stop_unused(cluster: Cluster, use: BinaryIO) -> bool:
    """Stop a cluster if nobody but the holder of ``use`` has its file of users locked."""
    try:
        fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    cluster.shut_down()
    return True
