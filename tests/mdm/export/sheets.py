"""Sheets of any content, for the formats that write them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mdm.export.sheet import Heading, Sheet
from tests.mdm.export.records import AWKWARD, record

TEXTS = st.sampled_from(["", "kWh", "30 min", AWKWARD, 'a"b', "a,b", "a\nb", "100 %s %", "٣"])
HEADINGS = st.builds(
    Heading,
    name=st.sampled_from(["consumption", "a,b"]),
    reading_type=st.just("active_energy_import_interval"),
    part=TEXTS,
    unit=st.sampled_from(["kWh", "1", "%", 'm"']),
    places=st.integers(0, 9),
    rounding=TEXTS,
    note=TEXTS,
    of_device=st.just(value=False),
    absent=st.just(value=False),
)
UNITS = st.one_of(st.integers(0, 10**15), st.integers(-(10**15), 10**15), st.sampled_from([0, 7]))
NAMES = ["UP-1", "UP%d", AWKWARD, "UP,2", "a\\b", "ü\u2028"]
ZONES = st.sampled_from(["Asia/Kuwait", "America/New_York", "Pacific/Apia"])
SECONDS = st.integers(1_700_000_000, 1_900_000_000)


@st.composite
def sheets(draw: st.DrawFn, *, wide: bool = False) -> Sheet:
    headings = draw(st.lists(HEADINGS, min_size=1, max_size=3))
    if wide:
        headings = [
            heading._replace(of_device=draw(st.booleans()), absent=draw(st.booleans()))
            for heading in headings
        ]
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    shape = len(names), len(headings)

    def table(of: st.SearchStrategy[int], *size: int) -> np.ndarray:
        flat = draw(st.lists(of, min_size=(k := int(np.prod(size))), max_size=k))
        return np.array(flat, np.int64).reshape(size)

    return Sheet(
        records=[
            record(name, [], version=1 + n, time_zone=draw(ZONES)) for n, name in enumerate(names)
        ],
        headings=headings,
        units=table(UNITS, *shape),
        starts_at=table(SECONDS, *shape),
        ends_at=table(SECONDS, *shape),
        counts=table(st.integers(0, 2**31 - 1), *shape, 5).astype(np.int32),
        end_devices=[draw(st.sampled_from(NAMES)) for _ in names],
    )
