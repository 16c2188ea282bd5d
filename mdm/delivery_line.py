"""A thread beside the one that writes files, for what is asked of the database meanwhile.

PostgreSQL works by itself and needs Python to wait for it only: so files are written while the next
ones are read. One thing is asked after the other, so that a transaction stays what it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Line:
    """What was asked, in order; each is done when those before it are."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._told: deque[Future[Any]] = deque()

    def asked(self, what: Callable[_P, _T], *given: _P.args, **named: _P.kwargs) -> Future[_T]:
        """Ask something; the answer is fetched later."""
        return self._thread.submit(what, *given, **named)

    def answered(self, question: Future[_T]) -> _T:
        """Wait for an answer.

        Raises
        ------
        Exception
            what was raised in giving it or, before that, in doing what was told.
        """
        wait([question])
        while self._told and self._told[0].done():
            self._told.popleft().result()
        return question.result()

    def told(self, what: Callable[_P, None], *given: _P.args, **named: _P.kwargs) -> None:
        """Have something done; who asks or leaves next learns what went wrong."""
        self._told.append(self._thread.submit(what, *given, **named))

    def finish(self) -> None:
        """Wait until everything is done that was told."""
        while self._told:
            self._told.popleft().result()


@contextmanager
def opened() -> Iterator[Line]:
    """Open a line for the length of a block; at its end all is done, or given up."""
    thread = ThreadPoolExecutor(1, "delivery")
    try:
        line = Line(thread)
        yield line
        line.finish()
    finally:
        thread.shutdown(cancel_futures=True)
