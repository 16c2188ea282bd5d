"""A program: listeners one after another, each of which kills itself at a moment of its own.

``python -m tests.headend.dying_listener DATABASE BROKER`` reads moments from standard input, one a
line, and answers each with how that listener ended: ``killed`` when it got there.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from paho.mqtt.client import Client

from drivers.mqtt.subscriber import Batch
from headend import publishers
from headend.listener import Listener


def main(url: str, broker: str) -> None:
    """Fork a listener for each moment: importing everything again would take most of the time."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # What it logs is no answer.
            os.dup2(2, 1)
            MOMENTS[line.strip()]()
            Listener(url, broker).run()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else f"ended {status}", flush=True)


def _die(*_: object, **__: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit("a dead process goes on")


def _received() -> None:
    """Before anything of a batch is in the database."""
    publishers.land = _die


def _landed() -> None:
    """When a batch is in the database and not committed."""
    publishers.land = _after(publishers.land)


def _committed() -> None:
    """When a batch is committed and nothing of it is acknowledged."""
    Batch.acknowledge = _die  # type: ignore[method-assign]


def _half_acknowledged() -> None:
    """When some messages of a committed batch are acknowledged, and the others are not."""
    real, count = Client.ack, 0

    def ack(client: Client, mid: int, qos: int) -> Any:
        nonlocal count
        count += 1
        return real(client, mid, qos) if count <= 7 else _die()

    Client.ack = ack  # type: ignore[method-assign,assignment]


def _after(run: Callable[..., object]) -> Callable[..., Any]:
    def wrapped(*arguments: Any, **named: Any) -> object:
        run(*arguments, **named)
        return _die()

    return wrapped


MOMENTS = {
    "received": _received,
    "landed": _landed,
    "committed": _committed,
    "half_acknowledged": _half_acknowledged,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
