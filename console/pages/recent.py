"""Answers that take long to find and change slowly, kept for a short time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

_Answer = TypeVar("_Answer")
# What took a second to find is kept for at least fifty: finding it takes 2 % of the time at most.
_TIMES_ITS_COST: Final = 50
_MOST: Final = 64


class Recent(Generic[_Answer]):
    """The last answers to one question, asked again when they are too old.

    Two requests at the same time may both ask: the answer is the same.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, _Answer]] = {}

    def answer(self, about: Hashable, ask: Callable[[], _Answer]) -> _Answer:
        """Give the answer about something, a fresh one if need be."""
        kept, began = self._kept.get(about), time.monotonic()
        if kept and began < kept[0]:
            return kept[1]
        fresh = ask()
        ended = time.monotonic()
        until = ended + max(self._seconds, _TIMES_ITS_COST * (ended - began))
        if len(self._kept) >= _MOST:
            self._kept = {}
        self._kept[about] = (until, fresh)
        return fresh
