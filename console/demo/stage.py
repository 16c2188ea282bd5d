"""Everything that the demonstration needs to run: database, broker, fleet, listener."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from console import store
from headend import keys, listener
from headend.listener import Listener
from mdm import registry
from schemas import database, server
from schemas.database import About
from schemas.settings import Settings
from simulators import broker, control
from simulators.broker import Broker
from simulators.control import Running
from simulators.fleet import Fleet


@dataclass(slots=True)
class Watch:
    """The simulated time, for whoever asks by calling it."""

    now: datetime

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


@dataclass(frozen=True)
class Stage:
    """What is running."""

    url: str
    about: About
    server_kind: str
    broker: Broker
    fleet: Running
    listener: Listener
    watch: Watch


@contextmanager
def set_up(fleet: Fleet) -> Iterator[Stage]:
    """Run all of it for the length of a block, on a database that is made anew."""
    watch = Watch(fleet.period.start)
    with ExitStack() as stack:
        private = stack.enter_context(server.running(Settings().home))
        url = database.recreate(private.url, store.DEMO_DATABASE)
        database.migrate(url)
        with database.connect(url) as connection:
            about = database.about(connection)
        stack.enter_context(database.kept_open(url))
        messages = stack.enter_context(broker.running())
        meters = stack.enter_context(control.running(fleet.name, broker=messages.url))
        heard = stack.enter_context(listener.running(url, messages.url, clock=watch))
        yield Stage(url, about, private.kind, messages, meters, heard, watch)


class RegistryRefusedError(RuntimeError):
    """The fleet's own registry was not taken whole; the message shows the first line."""


def import_fleet(stage: Stage, fleet: Fleet) -> int:
    """Bring the fleet into the registry, and its keys into the key store; give the installations.

    Raises
    ------
    RegistryRefusedError
        if a line is refused.
    """
    rows = fleet.registry(
        dlms_port=stage.fleet.dlms_port,
        modbus_port=stage.fleet.modbus_port,
        broker=stage.broker.url,
    )
    with database.connect(stage.url) as connection:
        done = registry.import_rows(connection, rows)
        sealed = keys.import_keys(connection, fleet.keys(), now=stage.watch.now)
    for rejected in (*done.rejected, *sealed.rejected):
        raise RegistryRefusedError(str(rejected))
    return len(rows)


def describe(stage: Stage) -> str:
    """Say which database is in use."""
    about = stage.about
    extension = (
        f" with TimescaleDB {about.timescaledb} ({about.edition} edition)"
        if about.timescaledb
        else ", without TimescaleDB"
    )
    where = {"external": "MIQYAS_DATABASE_URL's", "timescaledb": "private", "embedded": "embedded"}
    return f"{where[stage.server_kind]} PostgreSQL {about.server_version}{extension}"
