"""Answers that take long to find and change slowly, kept for a short time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")


class Recent(Generic[_Answer]):
    """The last answer to one question, asked again when it is too old or about something else.

    Two requests at the same time may both ask: the answer is the same.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: tuple[Hashable, float, _Answer] | None = None

    def answer(self, about: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """Give the answer about something, a fresh one if need be."""
        kept, now = self._kept, time.monotonic()
        if kept and kept[0] == about and now - kept[1] < self._seconds:
            return kept[2]
        fresh = ask()
        self._kept = (about, now, fresh)
        return fresh
