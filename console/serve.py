"""``miqyas serve``: the pages in the browser."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import signal
import socket
from typing import Annotated

import typer
import uvicorn

from console import show, store
from console.pages import application
from schemas import database

_FIRST_PORT = 8000
_TRIED_PORTS = 100
# A reader waits no longer than this for a database that does not answer [s].
_PATIENCE = 5.0


def serve(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; without it 8000, or the next one free."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; anybody who reaches it can read all pages.")
    ] = "127.0.0.1",
) -> None:
    """Show the fleet and each meter in the browser, until Ctrl-C.

    Example: miqyas serve --port 8080
    """
    with (
        store.url() as url,
        database.kept_open(url, patience=_PATIENCE, checked=True),
        _listening(host, port) as listener,
    ):
        number = listener.getsockname()[1]
        show.done(f"Miqyas is at http://{_in_address(host)}:{number}  (Ctrl-C ends it)")
        if not _is_loopback(host):
            show.problem(f"Anybody who can reach {host} can read these pages: no one logs in yet.")
        hosts = ("localhost", "127.0.0.1", host) if _is_loopback(host) else ()
        config = uvicorn.Config(
            application.application(url, hosts=hosts),
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=3,
        )
        # uvicorn raises the signal that ended it once more: by then as an exception, so that
        # the database is given back.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    show.done("Ended.")


def _listening(host: str, port: int | None) -> socket.socket:
    """Take a port: the one that was asked for, else the first free one from 8000 on."""
    wanted = [port] if port is not None else range(_FIRST_PORT, _FIRST_PORT + _TRIED_PORTS)
    for number in wanted:
        try:
            return _bound(host, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                show.problem(f"Cannot listen at {host} port {number}: {error.strerror}.")
                show.problem("What to do: choose another --host or --port.")
                raise typer.Exit(1) from error
    taken = f"Port {port} is" if port is not None else f"{_TRIED_PORTS} ports from 8000 on are"
    show.problem(f"{taken} taken by another program.")
    show.problem("What to do: choose another --port, or none to take the next one free.")
    raise typer.Exit(1)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
