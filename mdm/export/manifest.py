"""The manifest that goes with an export: counts, sums, checksums and versions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from mdm import tariff as names
from mdm import tariff_declared as kinds
from mdm.export.record import Head, LeftOut, Record, instant, plain
from mdm.export.sheet import Sheet

FORMAT: Final = "miqyas-manifest/1"
NAME: Final = "manifest.json"
# Sums of readings, demands and ratios say nothing.
_ADDITIVE: Final = {
    names.CONSUMPTION, names.REGISTER_CONSUMPTION, names.INTERVAL_CONSUMPTION, names.TIME_OF_USE,
    kinds.ENERGY, kinds.NET_ENERGY, kinds.EXCESS_REACTIVE, kinds.REGISTERS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file's part of the manifest."""

    name: str
    media_type: str
    size: int
    sha256: str
    usage_points: int


@dataclass(frozen=True, slots=True)
class Made:
    """By what the determinants were made: programs, and names with digests of definitions."""

    software: Sequence[str]
    rule_sets: Sequence[str]
    tariffs: Sequence[str]
    calendars: Sequence[str]


class Tally:
    """Counts and sums of the records that went by."""

    def __init__(self) -> None:
        self._usage_points = 0
        self._corrections = 0
        self._determinants = 0
        self._sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        self._left_out: dict[LeftOut, int] = defaultdict(int)

    def add(self, records: Iterable[Record]) -> None:
        """Count records in."""
        for record in records:
            self._usage_points += 1
            self._corrections += record.corrects is not None
            self._determinants += len(record.lines)
            for line in record.lines:
                if line.name in _ADDITIVE and line.value is not None:
                    self._sums[line.name, line.part, line.unit] += line.value

    def add_sheet(self, sheet: Sheet) -> None:
        """Count the records of a sheet in."""
        self._usage_points += len(sheet.records)
        self._determinants += len(sheet.records) * len(sheet.headings)
        for heading, total in sheet.sums():
            if heading.name in _ADDITIVE:
                self._sums[heading.name, heading.part, heading.unit] += total

    def leave_out(self, of_one: Iterable[LeftOut]) -> None:
        """Count in what the format could not say of one usage point."""
        for each in set(of_one):
            self._left_out[each] += 1

    def manifest(self, head: Head, files: Sequence[FileEntry], made: Made) -> bytes:
        """Write the manifest; the same export gives the same bytes."""
        content: dict[str, object] = {
            "format": FORMAT,
            "export": head.export,
            "billing_group": head.billing_group,
            "starts_on": head.starts_on.isoformat(),
            "ends_on": head.ends_on.isoformat(),
            "prepared_at": instant(head.prepared_at),
            "usage_points": self._usage_points,
            "corrections": self._corrections,
            "determinants": self._determinants,
            "sums": [
                {"determinant": name, "part": part, "unit": unit, "value": plain(value)}
                for (name, part, unit), value in sorted(self._sums.items())
            ],
            "files": [
                {
                    "name": file.name,
                    "media_type": file.media_type,
                    "bytes": file.size,
                    "sha256": file.sha256,
                    "usage_points": file.usage_points,
                }
                for file in files
            ],
            "versions": {
                "exported_by": head.software,
                "computed_by": list(made.software),
                "rule_sets": list(made.rule_sets),
                "tariffs": list(made.tariffs),
                "calendars": list(made.calendars),
            },
        }
        if head.addressee:
            content["addressee"] = head.addressee
        if self._left_out:
            # Only then: manifests of formats that say everything stay as they were delivered.
            content["left_out"] = [
                {"what": one.what, "why": one.why, "usage_points": points}
                for one, points in sorted(self._left_out.items())
            ]
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()
