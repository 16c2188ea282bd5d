"""CSV byte by byte: what Python's csv module writes of the same cells."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mdm.export import csv_
from mdm.export.record import Record, instant, plain
from tests.mdm.export.records import AWKWARD, HEAD, line, record

TEXTS = st.sampled_from(["", "kWh", "30 min", AWKWARD, 'a"b', "a,b", "a\nb", "a\rb", " x ", "٣"])


def written(records: list[Record]) -> bytes:
    """Write records the slow and obvious way."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_.COLUMNS)
    for of in records:
        first = [HEAD.export, of.key, of.usage_point, of.commodity, of.sector, of.tariff]
        first += [HEAD.billing_group, of.time_zone, instant(of.starts_at), instant(of.ends_at)]
        for one in of.lines:
            cells = [one.name, one.reading_type, one.part, plain(one.value), one.unit]
            cells += [instant(one.starts_at), instant(one.ends_at), *map(str, one.counts)]
            cells += [one.rounding, one.note, plain(one.previous), plain(one.difference)]
            writer.writerow([*first, of.version, of.corrects, of.digest, *cells])
    return text.getvalue().encode()


@given(
    texts=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=4),
    value=st.sampled_from([None, "0.000000", "-0.5", "1E+3", "12.50"]),
    corrects=st.sampled_from([None, 1]),
)
def test_bytes_are_those_of_the_csv_module(
    texts: list[tuple[str, str, str]], value: str | None, corrects: int | None
) -> None:
    by = None if corrects is None else Decimal("-0.10")
    lines = [
        line(value=value, part=part, unit=unit, note=note, previous=by, difference=by)
        for part, unit, note in texts
    ]
    records = [record("UP-1", lines, corrects=corrects), record(AWKWARD, lines)]
    assert csv_.render(HEAD, records) == written(records)


def test_the_first_bytes_as_they_always_were() -> None:
    head, row, end = csv_.render(HEAD, [record()]).split(b"\n")
    assert head.startswith(b"export,key,usage_point,commodity,")
    assert end == b""
    assert row == (
        b"A-1,UP-1/2026-06-01/2026-06-04/1,UP-1,electricity,residential,kw-residential,A,"
        b"Asia/Kuwait,2026-05-31T21:00:00Z,2026-06-03T21:00:00Z,1,," + b"d" * 64 + b","
        b"consumption,active_energy_import_interval,,28.800,kWh,2026-05-31T21:00:00Z,"
        b"2026-06-03T21:00:00Z,280,0,2,5,1,half_up to 3 decimals,,,"
    )
