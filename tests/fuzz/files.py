"""Decoders of files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Final

from drivers.files import interval_csv, nem12
from drivers.files.parsed import Parsed
from tests.fuzz.target import Target


def _files(parse: Callable[[bytes], Parsed]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        parsed = parse(data)
        for one in parsed.blocks:
            assert len(one.block.values) > 0
            assert one.block.start.tzinfo is not None
        assert all(len(one.value) <= 40 for one in parsed.rejected)

    return run


_NEM12: Final = (
    b"100,NEM12,202607010000,A,B\n200,NMI1,E1,E1,E1,N1,SN1,kWh,30,\n300,20260601,"
    + b",".join([b"1.5"] * 48)
    + b",A,,,20260602000000,\n400,1,48,F52,71,\n500,O,S1,,\n900\n"
)


def _zipped(text: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.csv"), text)
    return memory.getvalue()


_CSV: Final = (
    b"end_device,reading_type,unit,interval_seconds,starts_at,value,quality\n"
    b"M1,active_energy_import_interval,kWh,900,2026-06-01T00:00:00Z,1.25,valid\n"
)


TARGETS: Final[Mapping[str, Target]] = {
    "nem12": Target(_files(nem12.parse), (_NEM12, _zipped(_NEM12))),
    "interval_csv": Target(_files(interval_csv.parse), (_CSV,)),
}
