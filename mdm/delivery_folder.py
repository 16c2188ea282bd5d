"""Delivery to a folder: all of an export appears there at once, or nothing of it."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import DeliveryError, Package
from mdm.export import manifest

ACKNOWLEDGEMENTS: Final = ("usage_point", "version", "outcome", "reason")
"""Columns of a CSV file in which a receiver without an address acknowledges."""


def sent(
    target: str, export: str, package: Package, _way: Way
) -> Iterator[Sequence[Acknowledgement]]:
    """Write an export to a folder; nobody acknowledges yet.

    Raises
    ------
    DeliveryError
        if the folder cannot be written, or holds another export of the same name.
    """
    put(Path(target), export, package)
    return iter(())


def put(folder: Path, name: str, package: Package) -> Path:
    """Write an export as a folder of its own; give its path.

    It is written under another name, brought to the disk and then renamed: a reader never sees a
    part of it, and a second delivery of the same export finds it there.

    Raises
    ------
    DeliveryError
        if the folder cannot be written, or holds another export of the same name.
    """
    files = {file.entry.name: file.content for file in package.files}
    files[manifest.NAME] = package.manifest
    final = folder / name
    try:
        if not final.exists():
            _write(folder / f".{name}.part", final, files)
        present = {entry.name: entry.read_bytes() for entry in final.iterdir()}
    except OSError as problem:
        raise DeliveryError(
            f"cannot write export {name} to {folder}: {problem.strerror}"
        ) from problem
    if any(present.get(file) != content for file, content in files.items()):
        raise DeliveryError(
            f"{final} is there with other content; move it away, then deliver again"
        )
    return final


def acknowledgements(file: Path) -> Iterator[Acknowledgement]:
    """Read acknowledgements from a CSV file: usage_point, version, outcome, reason.

    Raises
    ------
    DeliveryError
        with the line that is wrong.
    """
    needs = f"needs {', '.join(ACKNOWLEDGEMENTS)}"
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DeliveryError(f"{file.name} is not a CSV file in UTF-8; {needs}") from problem
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if not set(ACKNOWLEDGEMENTS) <= set(reader.fieldnames or ()):
        raise DeliveryError(f"{file.name}, line 1: the columns are not named; {needs}")
    try:
        for row in reader:
            yield Acknowledgement.of({**row, "version": _number(row["version"] or "")})
    except (KeyError, TypeError, ValueError, csv.Error) as problem:
        where = f"{file.name}, line {reader.line_num}"
        raise DeliveryError(f"{where}: {problem}; {needs}") from problem


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"version {text!r} is not a number")
    return int(text)


def _write(part: Path, final: Path, files: dict[str, bytes]) -> None:
    if part.exists():
        # Left by a delivery that died while it wrote.
        shutil.rmtree(part)
    part.mkdir(parents=True)
    for name, content in files.items():
        with (part / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    _sync(part)
    part.rename(final)
    _sync(final.parent)


def _sync(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
