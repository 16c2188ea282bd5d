"""The files of an export, made from the database: the same export gives the same bytes."""

from __future__ import annotations

import hashlib
import itertools
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final

from mdm import delivery_line, delivery_records, uncollected
from mdm.cycle import Cycle
from mdm.delivery_records import Found
from mdm.delivery_series import SeriesError
from mdm.export import formats, manifest
from mdm.export.formats import Format
from mdm.export.manifest import FileEntry, Made, Tally
from mdm.export.record import Head, Record
from schemas import binary_copy, database, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")
# A month of a thousand quarter-hour channels is 3 M intervals: some 60 MB at a time.
_TOGETHER: Final = 1000
# Files that are read ahead, each by a connection of its own.
_READERS: Final = 2


class DeliveryError(RuntimeError):
    """An export could not be delivered; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """One file of an export, with the determinant sets that it tells of.

    Its content waits on the disk: intervals of a whole town do not fit into memory.
    """

    entry: FileEntry
    sets: Sequence[int]
    store: IO[bytes]
    place: int

    @property
    def content(self) -> bytes:
        """The file, read from the disk."""
        self.store.seek(self.place)
        return self.store.read(self.entry.size)


@dataclass(frozen=True, slots=True, eq=False)
class Package:
    """All files of an export and the manifest."""

    files: Sequence[File]
    manifest: bytes

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Give every file by its name, one after the other, the manifest last."""
        for file in self.files:
            yield file.entry.name, file.content
        yield manifest.NAME, self.manifest


def packed(
    connection: Connection,
    head: Head,
    format_: str,
    parts: Sequence[tuple[str, Sequence[int]]],
    *,
    keep: Callable[[File], None] = lambda _file: None,
    tell: Callable[[int], None] = lambda _sets: None,
    committed: bool = False,
) -> Package:
    """Write the files of an export.

    While one is written, the database reads the next and keeps what came of the one before: files
    are written by one core and read by another.

    Parameters
    ----------
    parts : name of each file and the determinant sets that go in it
    keep : given each file as it is done; from another thread, which alone uses the connection then
    tell : told how many sets each file that is done has
    committed : whether the sets are: then several files are read by connections of their own
    """
    kind, tally, files = formats.named(format_), Tally(), list[File]()
    # Without a name; it is gone as soon as nobody has it any more, however the program ends.
    store = tempfile.TemporaryFile()  # noqa: SIM115  # its files are read after this has ended
    with ExitStack() as open_:
        line = open_.enter_context(delivery_line.opened())
        readers = [(line, connection)]
        if committed and len(parts) > 1:
            readers = []
            for _ in range(_READERS):
                # Whatever goes wrong, a line ends before its connection does.
                another = open_.enter_context(database.again(connection))
                readers.append((open_.enter_context(delivery_line.opened()), another))
        asked = (
            (reading, reading.asked(_read, reader, head, kind, sets))
            for (_, sets), (reading, reader) in zip(parts, itertools.cycle(readers), strict=False)
        )
        coming = deque(itertools.islice(asked, len(readers)))
        for name, sets in parts:
            reading, answer = coming.popleft()
            found = reading.answered(answer)
            coming += itertools.islice(asked, 1)
            content = _written(kind, head, found)
            _counted(tally, kind, found)
            digest = hashlib.sha256(content).hexdigest()
            entry = FileEntry(name, kind.media_type, len(content), digest, len(found))
            files.append(File(entry, list(sets), store, store.tell()))
            store.write(content)
            line.told(keep, files[-1])
            tell(len(sets))
    whole = tally.manifest(head, [f.entry for f in files], _made(connection, files))
    return Package(files, whole)


def _read(connection: Connection, head: Head, kind: Format, sets: Sequence[int]) -> Found:
    days = head.starts_on, head.ends_on
    try:
        with uncollected.uncollected():
            return delivery_records.read(connection, sets, *days, with_series=kind.series)
    except SeriesError as gone:
        raise DeliveryError(str(gone)) from gone


def _written(kind: Format, head: Head, found: Found) -> bytes:
    """Write a file; its usage points stand in order."""
    with uncollected.uncollected():
        if kind.of_sheets is None:
            return kind.render(head, found.whole())
        sheets = [page.sheet for page in found.paged]
        return kind.of_sheets(head, found.records.values(), sheets)


def _counted(tally: Tally, kind: Format, found: Found) -> None:
    """Count what went into a file, and what the format could not say of it."""
    tally.add(found.records.values())
    for _, sheet in found.paged:
        tally.add_sheet(sheet)
    if not kind.says_all:
        for _, record in _seen(kind, found):
            tally.leave_out(kind.omissions(record))


def _seen(kind: Format, found: Found) -> Iterator[tuple[int, Record]]:
    """Give sets as a format must see them to tell what it cannot say.

    One that writes sheets need not see the figures: all of a sheet have its first one's lines.
    """
    if kind.of_sheets is None:
        yield from found.numbered().items()
        return
    yield from found.records.items()
    for sets, sheet in found.paged:
        lines = sheet.lines(0)
        for number, record in zip(sets, sheet.records, strict=True):
            yield number, record._replace(lines=lines)


def refusals(
    connection: Connection, head: Head, format_: str, sets: Sequence[int]
) -> dict[int, str]:
    """Say which sets cannot be written in a format at all, and why: they stay to be delivered."""
    kind = formats.named(format_)
    if not kind.refuses:
        return {}
    found: dict[int, str] = {}
    for first in range(0, len(sets), _TOGETHER):
        read = _read(connection, head, kind, sets[first : first + _TOGETHER])
        for number, record in _seen(kind, read):
            reason = kind.refusal(record)
            if reason is not None:
                found[number] = f"{record.usage_point}: {reason}"
    return found


def head(cycle: Cycle, name: str, prepared_at: datetime, software: str) -> Head:
    """Give what the records of an export of a cycle share."""
    group, first, last = cycle.billing_group, cycle.starts_on, cycle.ends_on
    return Head(name, group, first, last, prepared_at, software, cycle.addressee)


def _made(connection: Connection, files: Sequence[File]) -> Made:
    sets = binary_copy.array(number for file in files for number in file.sets)
    rows = connection.execute(_SQL["made_by"], {"sets": sets}).fetchall()
    return Made(
        software=sorted({row[0] for row in rows}),
        rule_sets=sorted({rule_set for row in rows for rule_set in row[1]}),
        tariffs=sorted({row[2] for row in rows}),
        calendars=sorted({row[3] for row in rows}),
    )
