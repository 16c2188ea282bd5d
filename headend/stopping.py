"""Being asked to stop, by SIGINT or SIGTERM: the first time nicely, the second time as ever."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def asked() -> Iterator[asyncio.Event]:
    """Give an event that is set when the process is asked to stop, for the length of a block.

    Only the main thread hears signals; elsewhere the event is never set.
    """
    event = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def leave() -> None:
        for number, handler in before.items():
            if loop.remove_signal_handler(number):
                signal.signal(number, handler)

    def stop() -> None:
        leave()
        event.set()

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield event
    finally:
        leave()
