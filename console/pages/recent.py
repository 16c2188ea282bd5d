"""Answers that take long to find and change slowly, kept for a short time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

_Answer = TypeVar("_Answer")
# What took a second to find is kept for at least fifty: finding it takes 2 % of the time at most.
_TIMES_ITS_COST: Final = 50


class Recent(Generic[_Answer]):
    """The last answer to one question, asked again when it is too old or about something else.

    Two requests at the same time may both ask: the answer is the same.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: tuple[Hashable, float, _Answer] | None = None

    def answer(self, about: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """Give the answer about something, a fresh one if need be."""
        kept, began = self._kept, time.monotonic()
        if kept and kept[0] == about and began < kept[1]:
            return kept[2]
        fresh = ask()
        ended = time.monotonic()
        until = ended + max(self._seconds, _TIMES_ITS_COST * (ended - began))
        self._kept = (about, until, fresh)
        return fresh
