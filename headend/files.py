"""Lands interval data that others have read, from files; by the same path as polled data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from drivers.files import interval_csv, nem12
from drivers.files.parsed import Parsed, Rejected, Source
from headend import landing
from headend.landing_rows import Answer
from schemas import statements
from schemas.database import Connection
from schemas.reading import IntervalBlock, RegisterReading

_SQL = statements.load("headend", "files.sql")

FORMATS: Final[Mapping[str, Callable[[bytes], Parsed]]] = {
    "csv": interval_csv.parse,
    "nem12": nem12.parse,
}


class UnknownFormat(ValueError):
    """A file format that is not in the table; the message says which are."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """What importing a file did.

    Attributes
    ----------
    intervals, registers : values that are new in the raw store
    already_there : values that had landed before
    end_devices : how many meters the file has data of
    rejected : every row that was not taken, by line
    """

    name: str
    intervals: int
    registers: int
    already_there: int
    end_devices: int
    rejected: tuple[Rejected, ...]


@dataclass(slots=True)
class _Places:
    """Which end devices the registry has for the names in a file."""

    by_name: dict[str, int]
    by_usage_point: dict[str, list[tuple[datetime, datetime | None, int]]]
    registers: dict[tuple[int, str], str] = field(default_factory=dict)

    def place(self, source: Source, reading_type: str, at: datetime, line: int) -> int | Rejected:
        """Find the end device that data belongs to, or say why there is none."""
        device = self.by_name.get(source.end_device)
        if device is None:
            device = self._installed(source.usage_point, at)
        if device is None:
            name = source.end_device or source.usage_point
            what = "end_device" if source.end_device else "usage_point"
            return Rejected(
                line, what, name,
                f"is not in the registry for {at:%Y-%m-%d}; import it first (protocol manual)",
            )  # fmt: skip
        # Two registers of one quantity at one meter would be two truths about the same time.
        first = self.registers.setdefault((device, reading_type), source.register)
        if first != source.register:
            return Rejected(
                line, "register", source.register,
                f"is a second {reading_type} of the same meter, beside {first}; register an end"
                " device of its own for it",
            )  # fmt: skip
        return device

    def _installed(self, usage_point: str, at: datetime) -> int | None:
        stretches = self.by_usage_point.get(usage_point, ())
        return next(
            (device for start, end, device in stretches if start <= at and (not end or at < end)),
            None,
        )


def import_readings(
    connection: Connection, data: bytes, *, file_format: str, name: str, now: datetime
) -> FileReport:
    """Land a file's readings: every good row lands, every other one is reported.

    Rows name their meter by mRID or serial, or by the usage point where it was installed then.
    Importing the same file again changes nothing. The caller owns the transaction.

    Parameters
    ----------
    data : the file's bytes
    file_format : a key of ``FORMATS``
    name : the file's name; its data has the source ``file:NAME``

    Raises
    ------
    UnknownFormat
    """
    if file_format not in FORMATS:
        known = ", ".join(FORMATS)
        raise UnknownFormat(f"no file format {file_format!r}; there are: {known}")
    parsed = FORMATS[file_format](data)
    rejected = list(parsed.rejected)
    sources = [one.source for one in parsed.blocks] + [one.source for one in parsed.readings]
    places = _places(connection, sources)
    answers = _answers(parsed, places, rejected)
    landed = landing.land(connection, answers, source=f"file:{name}", now=now)
    intervals = sum(one.intervals for one in landed.values())
    registers = sum(one.registers for one in landed.values())
    values = sum(
        len(answer.registers) + sum(len(block) for block in answer.blocks) for answer in answers
    )
    return FileReport(
        name, intervals, registers, values - intervals - registers, len(answers),
        tuple(sorted(rejected, key=lambda one: one.line)),
    )  # fmt: skip


def _answers(parsed: Parsed, places: _Places, rejected: list[Rejected]) -> list[Answer]:
    blocks: dict[int, list[IntervalBlock]] = defaultdict(list)
    readings: dict[int, list[RegisterReading]] = defaultdict(list)
    for one in sorted(parsed.blocks, key=lambda found: found.line):
        device = places.place(one.source, one.block.reading_type, one.block.start, one.line)
        if isinstance(device, Rejected):
            rejected.append(device)
        else:
            blocks[device].append(one.block)
    for other in parsed.readings:
        kind = other.reading.reading_type
        device = places.place(other.source, kind, other.reading.read_at, other.line)
        if isinstance(device, Rejected):
            rejected.append(device)
        else:
            readings[device].append(other.reading)
    return [
        Answer(device, blocks.get(device, ()), readings.get(device, ()))
        for device in sorted({*blocks, *readings})
    ]


def _places(connection: Connection, sources: Iterable[Source]) -> _Places:
    found = list(sources)
    names = _distinct(source.end_device for source in found)
    points = _distinct(source.usage_point for source in found)
    by_name: dict[str, int] = {}
    rows = connection.execute(_SQL["devices_by_name"], {"names": names}).fetchall()
    # A serial number is somebody else's name only where no mRID is.
    by_name |= {serial: number for number, _, serial in rows if serial}
    by_name |= {mrid: number for number, mrid, _ in rows}
    installed: dict[str, list[tuple[datetime, datetime | None, int]]] = defaultdict(list)
    for point, start, end, device in connection.execute(
        _SQL["devices_by_usage_point"], {"names": points}
    ):
        installed[point].append((start, end, device))
    return _Places(by_name, dict(installed))


def _distinct(names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name})
