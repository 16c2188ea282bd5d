"""What a fuzzing target is, and what targets share.

A target lets through what its decoder's documentation promises: a value, or one of the errors named
there. Anything else that comes out of it is a finding. Where a checksum would stop nearly all
bytes, a target also gives the decoder the same bytes with their checksum put right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

NOW: Final = datetime(2026, 7, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder.

    Attributes
    ----------
    run : takes any bytes; an exception is a finding
    seeds : inputs from which to begin
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def pieces(data: bytes) -> list[bytes]:
    """Cut bytes as a line may deliver them."""
    return [data[at : at + 37] for at in range(0, len(data), 37)]


def allowing(run: Callable[[], object], *kinds: type[Exception]) -> None:
    try:
        run()
    except kinds:
        return


def only(run: Callable[[bytes], None], *kinds: type[Exception]) -> Callable[[bytes], None]:
    """Let through the errors that the decoder's documentation names, and nothing else."""
    return lambda data: allowing(lambda: run(data), *kinds)
