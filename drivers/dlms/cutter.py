"""What every cutter of a byte stream into frames is: a buffer of bytes that are in no frame yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

F = TypeVar("F")


class Cutter(ABC, Generic[F]):
    """Cuts a stream of bytes into frames of a kind, in whatever pieces they come."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that came and are in no frame yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come."""
        self._buffer += data

    @abstractmethod
    def next(self) -> F | None:
        """Give the next whole frame, None while it has not come whole."""
