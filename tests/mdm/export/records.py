"""What tests of export formats share: records made by hand, with names that need care."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np

from mdm.determinants.determinant import Counts
from mdm.export.record import Head, Line, Record, key
from mdm.export.series import Dial, Intervals, Meter, Series

# June 2026 of Kuwait, UTC+3.
START, END = datetime(2026, 5, 31, 21, tzinfo=UTC), datetime(2026, 6, 3, 21, tzinfo=UTC)
FIRST, UNTIL = date(2026, 6, 1), date(2026, 6, 4)
AWKWARD = "Flat 3, \"Noor\" شقة/7; <a&b> 'x'+y:z?"
IMPORT = "active_energy_import_interval"
HEAD = Head("A-1", "A", FIRST, UNTIL, datetime(2026, 6, 5, 6, 30, 15, tzinfo=UTC), "miqyas")


def line(
    name: str = "consumption", value: str | None = "28.800", unit: str = "kWh", part: str = "",
    **more: object,
) -> Line:  # fmt: skip
    whole: dict[str, object] = {
        "name": name, "reading_type": IMPORT, "part": part,
        "value": None if value is None else Decimal(value), "unit": unit,
        "starts_at": START, "ends_at": END, "counts": Counts(280, 0, 2, 5, 1),
        "rounding": "half_up to 3 decimals", "note": "" if value else "no readings",
        **more,
    }  # fmt: skip
    return Line(**whole)  # type: ignore[arg-type]


def record(
    usage_point: str = "UP-1", lines: Sequence[Line] | None = None, **more: object
) -> Record:
    version = int(more.pop("version", 1))  # type: ignore[call-overload]
    whole: dict[str, object] = {
        "key": key(usage_point, FIRST, UNTIL, version), "usage_point": usage_point,
        "commodity": "electricity", "sector": "residential", "tariff": "kw-residential",
        "time_zone": "Asia/Kuwait", "starts_at": START, "ends_at": END, "version": version,
        "corrects": None, "digest": "d" * 64, "lines": [line()] if lines is None else lines,
        **more,
    }  # fmt: skip
    return Record(**whole)  # type: ignore[arg-type]


def intervals(
    values: Sequence[int], codes: dict[int, int] | None = None, *,
    reading_type: str = IMPORT, seconds: int = 900, start: datetime = START,
) -> Intervals:  # fmt: skip
    quality = np.zeros(len(values), np.int16)
    for slot, code in (codes or {}).items():
        quality[slot] = code
    at = int(start.timestamp())
    return Intervals(reading_type, seconds, at, np.array(values, np.int64), quality)


def dial(
    moment: datetime, value: int, *, device: str = "M-1", code: int = 0, multiplier: str = "1",
    reading_type: str = "active_energy_import", modulus: int | None = 10**9,
) -> Dial:  # fmt: skip
    at = int(moment.timestamp())
    return Dial(reading_type, device, Decimal(multiplier), modulus, at, value, code)


def measured(
    of_one: Record, *series: Intervals, dials: Sequence[Dial] = (), meters: Sequence[Meter] = ()
) -> Record:
    known = tuple(meters) or (Meter("M-1", 0, 2**62),)
    return of_one._replace(series=Series(tuple(series), tuple(dials), known))
