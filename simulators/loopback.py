"""A socket on loopback for the receivers of bills."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

HOST: Final = "127.0.0.1"


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """Bind a socket that already takes connections: nobody has to wait for the server.

    Parameters
    ----------
    port : 0 for a free one
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(64)
        yield listener
