"""Work that makes values by the hundred thousand, none of which refers to itself in a circle."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the collector of circles away for the length of a block; it comes back afterwards.

    It would look at each value again and again and find nothing: of a thousand usage points'
    bills that took a tenth of a second, of an export's lines a quarter of its time.
    """
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
