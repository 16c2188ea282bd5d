"""Delivery to a folder: all of an export appears there at once, or nothing of it."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mdm import answer_rows
from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import DeliveryError, Package

# Files that are written and brought to the disk, or read again, at a time.
_DISK: Final = 4

ANSWERS: Final = "acknowledgements"
"""The folder beside the exports in which a receiver leaves files with acknowledgements."""

ACKNOWLEDGEMENTS: Final = ("usage_point", "version", "outcome", "reason")
"""Columns of a CSV file in which a receiver without an address acknowledges."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A file with acknowledgements that a receiver left.

    Attributes
    ----------
    export : that it is of; None if its name is that of none
    problem : why it could not be read; empty if it could
    """

    export: str | None
    name: str
    content: bytes = b""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Sought:
    """Of which exports files are wanted: of those that wait, and of those that nobody knows.

    Attributes
    ----------
    waiting, known : names of exports that wait for acknowledgements, and of all to this target
    """

    waiting: Collection[str]
    known: Collection[str]

    def named(self, names: Iterable[str]) -> list[tuple[str, str | None]]:
        """Choose the files that are wanted; give each with its export."""
        found = []
        for name in sorted(names):
            if name.endswith(".csv"):
                export = answered(name, self.known)
                if export is None or export in self.waiting:
                    found.append((name, export))
        return found


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

    It is written under another name, brought to the disk, read again and then renamed: a reader
    never sees a part of it, and a second delivery of the same export finds it there and holds it
    against its own.

    Raises
    ------
    DeliveryError
        if the folder cannot be written, gives something else back than was written, or holds
        another export of the same name.
    """
    final = folder / name
    try:
        if not final.exists():
            _write(folder / f".{name}.part", final, package)
        elif _each(package, lambda file, content: _holds(final / file, content)):
            raise DeliveryError(
                f"{final} is there with other content; move it away, then deliver again"
            )
    except OSError as problem:
        raise DeliveryError(
            f"cannot write export {name} to {folder}: {problem.strerror}"
        ) from problem
    return final


def answers(target: str, sought: Sought, _way: Way) -> list[Answer]:
    """Read the files with acknowledgements that are in the folder beside the exports.

    Raises
    ------
    DeliveryError
        if the folder cannot be read; of a file that cannot be, the answer says so.
    """
    folder = Path(target) / ANSWERS
    try:
        names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    except OSError as problem:
        raise DeliveryError(f"cannot read {folder}: {problem.strerror}") from problem
    return [_answer(folder, name, export) for name, export in sought.named(names)]


def _answer(folder: Path, name: str, export: str | None) -> Answer:
    try:
        with (folder / name).open("rb") as file:
            return Answer(export, name, file.read(answer_rows.LARGEST + 1))
    except OSError as problem:
        return Answer(export, name, problem=f"{name} cannot be read: {problem.strerror}")


def answered(file: str, exports: Collection[str]) -> str | None:
    """Tell which export a file with acknowledgements is of: EXPORT.csv or EXPORT-….csv."""
    name = file.removesuffix(".csv")
    # An export's own name has these signs in it, too: the longest that is one counts.
    ends = [len(name), *(n for n in range(len(name) - 1, 0, -1) if name[n] in "-.")]
    return next((name[:end] for end in ends if name[:end] in exports), None)


def acknowledgements(name: str, content: bytes) -> Iterator[Acknowledgement]:
    """Read acknowledgements from CSV: usage_point, version, outcome, reason.

    Raises
    ------
    DeliveryError
        with the line that is wrong.
    """
    return answer_rows.read(name, content, ACKNOWLEDGEMENTS, _acknowledgement)


def _acknowledgement(row: answer_rows.Row, _line: int) -> Acknowledgement:
    return Acknowledgement.of({**row, "version": _number(row["version"])})


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"version {text!r} is not a number")
    return int(text)


def _holds(file: Path, content: bytes) -> bool:
    return file.is_file() and file.read_bytes() == content


def _write(part: Path, final: Path, package: Package) -> None:
    if part.exists():
        # Left by a delivery that died while it wrote.
        shutil.rmtree(part)
    part.mkdir(parents=True)
    if wrong := _each(package, lambda file, content: _kept(part / file, content)):
        raise DeliveryError(
            f"{part / wrong[0]} reads otherwise than it was written: look at the disk, then "
            "deliver again"
        )
    _sync(part)
    part.rename(final)
    _sync(final.parent)


def _each(package: Package, done: Callable[[str, bytes], bool]) -> list[str]:
    """Do something with every file, a few at a time; give those with which it went wrong.

    No more than these few are in memory: a town's intervals do not fit there.
    """
    under_way: deque[tuple[str, Future[bool]]] = deque()
    wrong = []
    with ThreadPoolExecutor(_DISK) as disk:
        for name, content in package.contents():
            under_way.append((name, disk.submit(done, name, content)))
            if len(under_way) == _DISK:
                first, right = under_way.popleft()
                wrong += [] if right.result() else [first]
        wrong += [name for name, right in under_way if not right.result()]
    return wrong


def _kept(file: Path, content: bytes) -> bool:
    """Write a file and bring it to the disk; tell whether it reads as it was written."""
    file.write_bytes(content)
    _sync(file)
    return _holds(file, content)


def _sync(path: Path) -> None:
    """Bring a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
