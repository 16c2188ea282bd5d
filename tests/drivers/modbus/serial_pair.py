"""Two serial ports of this machine with a cable between them, made of pseudo-terminals."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Answer = Callable[[bytes], bytes]


@contextmanager
def cable() -> Iterator[tuple[str, str]]:
    """Join two pseudo-terminals, in a running loop; give their paths."""
    loop = asyncio.get_running_loop()
    with ExitStack() as open_files:
        (ours, client), (theirs, peer) = (_terminal(open_files) for _ in range(2))
        loop.add_reader(ours, lambda: _pass(ours, theirs))
        loop.add_reader(theirs, lambda: _pass(theirs, ours))
        open_files.callback(loop.remove_reader, ours)
        open_files.callback(loop.remove_reader, theirs)
        yield client, peer


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A port at whose other end bytes are answered; gives its path."""
    loop = asyncio.get_running_loop()
    with ExitStack() as open_files:
        far, path = _terminal(open_files)
        loop.add_reader(far, lambda: os.write(far, answer(os.read(far, 4096))))
        open_files.callback(loop.remove_reader, far)
        yield path


def _terminal(open_files: ExitStack) -> tuple[int, str]:
    """Open a pseudo-terminal that changes nothing; its far end stays open all the time."""
    far, near = os.openpty()
    open_files.callback(os.close, far)
    open_files.callback(os.close, near)
    tty.setraw(near)
    return far, os.ttyname(near)


def _pass(source: int, sink: int) -> None:
    os.write(sink, os.read(source, 4096))
