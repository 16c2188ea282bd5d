"""How the command shows things: tables, progress and problems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

out = Console()
err = Console(stderr=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose heading ends in ``]`` (a unit) or ``#`` are numbers."""
    shown = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        numeric = column.endswith(("]", "#"))
        shown.add_column(column.removesuffix(" #"), justify="right" if numeric else "left")
    for row in rows:
        shown.add_row(*("–" if cell is None else str(cell) for cell in row))
    out.print(shown)


def problem(text: str) -> None:
    """Say on standard error what went wrong."""
    err.print(text, style="red", highlight=False, soft_wrap=True, markup=False)


def done(text: str) -> None:
    """Say on standard output what was done."""
    out.print(text, highlight=False, soft_wrap=True, markup=False)
