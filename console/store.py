"""The database that a command works on: started if need be, and brought to the newest schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import typer

from console import show
from headend import clock
from schemas import database, server
from schemas.database import Connection
from schemas.settings import Settings

DEMO_DATABASE: Final = "miqyas_demo"


@dataclass(slots=True)
class _Choice:
    demo: bool = False


_choice = _Choice()


def use_demo() -> None:
    """Make this process's commands work on the demonstration's database."""
    _choice.demo = True


@contextmanager
def url() -> Iterator[str]:
    """Give the address of the database, with the schema up to date."""
    with server.running(Settings().home) as running:
        address = _demo(running.url) if _choice.demo else running.url
        database.migrate(address)
        yield address


@contextmanager
def connection() -> Iterator[Connection]:
    """Open a connection to the database; commit when the block ends well."""
    with url() as address, database.connect(address) as open_connection:
        yield open_connection


def now(open_connection: Connection) -> datetime:
    """Tell the time: a demonstration's own while one is in force, else the real one."""
    return clock.now(open_connection)


def _demo(server_url: str) -> str:
    if not database.exists(server_url, DEMO_DATABASE):
        show.problem("There is no demonstration yet. What to do: run `make demo`.")
        raise typer.Exit(1)
    return database.beside(server_url, DEMO_DATABASE)
