"""The table of export formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from mdm.export import csv_, json_
from mdm.export.record import Head, Record


@dataclass(frozen=True, slots=True)
class Format:
    """A way to write records."""

    suffix: str
    media_type: str
    render: Callable[[Head, Iterable[Record]], bytes]


FORMATS: Final = {
    "csv": Format("csv", "text/csv", csv_.render),
    "json": Format("json", "application/json", json_.render),
}


def named(name: str) -> Format:
    """Find a format.

    Raises
    ------
    KeyError
        with the known names, if there is none.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise KeyError(f"no export format {name!r}; known: {', '.join(FORMATS)}") from None
