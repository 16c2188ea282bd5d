"""How the command shows things: tables, progress and problems."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import psycopg
import structlog
from procrastinate.exceptions import ConnectorException
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CHATTY = ("psycopg.pool", "apscheduler")

out = Console()
err = Console(stderr=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table, or say that there is nothing to show.

    Columns whose heading ends in ``]`` (a unit) or ``#`` are numbers.
    """
    # Text, not markup: "[kWh]" is a unit, not a style.
    # Without lines between columns a terminal of 80 characters holds what people come for.
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in columns:
        numeric = column.endswith(("]", "#"))
        heading = Text(column.removesuffix(" #"))
        shown.add_column(heading, justify="right" if numeric else "left")
    for row in rows:
        shown.add_row(*(Text("–" if cell is None else str(cell)) for cell in row))
    if not shown.row_count:
        done(f"{title}: none.")
        return
    # A title of the table's own would be broken at the table's width.
    out.print(Text(title, style="bold"), soft_wrap=True)
    out.print(shown)


def problem(text: str) -> None:
    """Say on standard error what went wrong."""
    err.print(text, style="red", highlight=False, soft_wrap=True, markup=False)


def done(text: str) -> None:
    """Say on standard output what was done."""
    out.print(text, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def until_stopped(text: str) -> Iterator[None]:
    """Say what goes on for the length of a block, and that Ctrl-C ends it, which is no failure."""
    done(f"{text} Ctrl-C stops.")
    with suppress(KeyboardInterrupt):
        yield
    done("Stopped.")


def count(number: int, thing: str) -> str:
    """Say how many there are of something: ``1 line``, ``1,200 lines``."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def log_events(level: int = logging.INFO) -> None:
    """Log programs' events on standard error; standard output is for what a command says."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Leave out what libraries say each second while the database is away: we say it once."""
    if record.name.startswith(_CHATTY) and record.levelno < logging.ERROR:
        return False
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ConnectorException | psycopg.OperationalError)
