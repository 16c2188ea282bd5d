"""``miqyas import``: the registry, meter keys and interval data from files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from console import show, store
from headend import files, keys
from mdm import billing_terms, csv_rows, registry, virtual_import
from mdm.billing_terms import Imported
from mdm.csv_rows import HeadingError

# No table of people's has a longer one; a file without line ends is one line.
_LONGEST_LINE: Final = 1_000_000
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")

app = typer.Typer(
    no_args_is_help=True, help="Bring in the registry, meter keys, or readings from files."
)

RegistryFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="one line a meter")
]

KeysFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="one line a key")
]

VirtualFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="one line a term")
]

ChangesFile = Annotated[
    Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help="one line a change")
]

ReadingsFile = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False)]


@app.command("registry")
def import_registry(file: RegistryFile) -> None:
    """Bring in usage points, end devices and installations.

    All good lines land; each bad one is reported with line, column, value and reason, and the
    exit status is 1. Importing the same file again changes nothing.

    Example: miqyas import registry meters.csv
    """
    with (
        store.connection() as connection,
        opened(file) as lines,
        show.out.status("importing…") as status,
    ):
        report = registry.import_registry(
            connection,
            lines,
            progress=lambda count: status.update(f"{count:,} lines seen…"),
            refuse=lambda rejected: show.problem(f"{file}: {rejected}"),
        )
    show.table(
        f"{file}: {show.count(report.lines, 'line')}",
        ["", "new #", "changed #", "unchanged #"],
        [
            (what.replace("_", " ") + "s", report.added[what], report.changed[what],
             report.unchanged[what])
            for what in ("usage_point", "end_device", "installation")
        ],
    )  # fmt: skip
    _end(report.refused, report.lines)


@app.command("keys")
def import_keys(file: KeysFile) -> None:
    """Bring in meters' keys and seal them in the database.

    Columns: end_device, kind (password, encryption, authentication), key_hex. The file holds
    secrets: delete it afterwards. Keys are never shown again.

    Example: miqyas import keys keys.csv
    """
    with store.connection() as connection, opened(file) as lines:
        rows = ((row.line, _whole(row)) for row in csv_rows.rows(lines, keys.COLUMNS))
        report = keys.import_numbered(connection, rows, now=store.now(connection))
    taken = report.added + report.changed + report.unchanged
    show.done(
        f"{file}: {report.added} keys new, {report.changed} changed, {report.unchanged} unchanged"
    )
    for rejected in report.rejected:
        show.problem(f"{file}: {rejected}")
    _end(len(report.rejected), taken + len(report.rejected))


def _whole(row: csv_rows.Row) -> dict[str, str]:
    """Give a row of keys; where cells are left over it is unknown which of them is the key."""
    return row.cells | {"key_hex": "surplus cells"} if row.surplus else row.cells


@app.command("virtual")
def import_virtual(file: VirtualFile) -> None:
    """Bring in virtual usage points: sums and differences of others' channels.

    One line is one term: another usage point times a signed factor, from a day until a day. A
    virtual usage point is taken whole or not at all, in place of what it was; terms that are not
    in the file any more are withdrawn. See docs/operations.md for the columns.

    Example: miqyas import virtual feeders.csv
    """
    with store.connection() as connection, opened(file) as lines:
        report = virtual_import.import_definitions(connection, lines, now=store.now(connection))
    show.done(
        f"{file}: {show.count(report.channels, 'virtual usage point')}; terms: {report.added:,} "
        f"new, {report.withdrawn:,} withdrawn, {report.unchanged:,} unchanged"
    )
    if report.added or report.withdrawn:
        show.done("Their days are computed by the next `miqyas vee run`.")
    for rejected in report.rejected:
        show.problem(f"{file}: {rejected}")
    _end(len(report.rejected), report.added + report.unchanged + len(report.rejected))


@app.command("terms")
def import_terms(file: ChangesFile) -> None:
    """Bring in from which day on a usage point has another tariff or consumer.

    Columns: usage_point, starts_on, tariff, account (may be empty). A cycle in which such a day
    lies is billed in parts, each by its own tariff; see docs/billing.md.

    Example: miqyas import terms moves.csv
    """
    with store.connection() as connection, opened(file) as lines:
        report = billing_terms.import_terms(connection, lines)
    _tell(file, report, "term")


@app.command("losses")
def import_losses(file: ChangesFile) -> None:
    """Bring in usage points' own loss factors, by the day from which they count.

    Columns: usage_point, name (as the tariff's), effective_from, factor.

    Example: miqyas import losses dlf-2026.csv
    """
    with store.connection() as connection, opened(file) as lines:
        report = billing_terms.import_losses(connection, lines)
    _tell(file, report, "loss factor")


def _tell(file: Path, report: Imported, what: str) -> None:
    lines = report.changed + report.unchanged + len(report.rejected)
    show.done(
        f"{file}: {show.count(report.changed, what)} new or changed, {report.unchanged:,} unchanged"
    )
    for rejected in report.rejected:
        show.problem(f"{file}: {rejected}")
    _end(len(report.rejected), lines)


@app.command("readings")
def import_readings(
    file: ReadingsFile,
    file_format: Annotated[
        str, typer.Option("--format", help=f"One of: {', '.join(files.FORMATS)}.")
    ],
) -> None:
    """Bring in interval data and register readings that others have read.

    All good rows land, by the same path as polled data; each other one is reported and the exit
    status is 1. The formats are described in docs/formats.md.

    Example: miqyas import readings NEM12.csv --format nem12
    """
    with store.connection() as connection:
        report = files.import_readings(
            connection,
            file.read_bytes(),
            file_format=file_format,
            name=file.name,
            now=store.now(connection),
        )
    show.done(
        f"{file}: {show.count(report.end_devices, 'meter')}, {report.intervals:,} new intervals, "
        f"{report.registers:,} new register readings, {report.already_there:,} already there"
    )
    for rejected in report.rejected:
        show.problem(f"{file}: {rejected}")
    if report.rejected:
        show.problem(f"Not taken: {show.count(len(report.rejected), 'row')}.")
        raise typer.Exit(1)


def _end(rejected: int, lines: int) -> None:
    if rejected:
        show.problem(f"Not taken: {rejected:,} of {show.count(lines, 'line')}.")
        raise typer.Exit(1)


@contextmanager
def opened(file: Path) -> Iterator[Iterator[str]]:
    """Open a text file of people's; what is no such file is refused in words."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            yield _lines(text)
    except HeadingError as error:
        raise HeadingError(f"{file}: {error}{_advice(file)}") from error
    except UnicodeDecodeError as error:
        raise HeadingError(
            f"{file} is not a CSV file in UTF-8 ({_undecodable(file)}); nothing was taken. "
            "What to do: save it as CSV with the encoding UTF-8."
        ) from error
    except csv.Error as error:
        raise HeadingError(f"{file} is not a CSV file ({error}); nothing was taken.") from error
    except KeyboardInterrupt:
        show.problem(f"Stopped: nothing of {file} was taken.")
        raise


def _lines(text: TextIO) -> Iterator[str]:
    """Give lines; one that no table has is refused before it fills the memory."""
    number = 0
    while line := text.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise csv.Error(f"line {number} has more than {_LONGEST_LINE:,} characters")
        yield line


def _undecodable(file: Path) -> str:
    """Say where a file stops being UTF-8."""
    with file.open("rb") as data:
        if data.read(2) in _UTF_16:
            return "it is in UTF-16"
        data.seek(0)
        for number, line in enumerate(iter(lambda: data.readline(_LONGEST_LINE), b""), 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f"line {number} has the byte 0x{line[error.start]:02x}, which is none of it"
    return "it ends within a letter"


def _advice(file: Path) -> str:
    """Say what to do where spreadsheets of another country or encoding wrote the file."""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        first = lines.readline(_LONGEST_LINE)
    if "\0" in first:
        return ". What to do: save it in the encoding UTF-8; this is UTF-16 or no text."
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if mark in first and "," not in first:
            return f". What to do: save it with commas between the columns; these are {name}."
    return ""
