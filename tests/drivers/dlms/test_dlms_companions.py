"""Companion profiles: facts of each, and sessions with meters that follow them."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.dlms import companion
from drivers.dlms.session import DlmsDriver
from drivers.errors import NotOffered
from schemas import facts, quality
from schemas.period import Period
from tests.drivers.dlms.served import Served, described, serving

CATEGORIES = {
    "power", "clock", "tamper", "configuration", "communication", "quality", "switch",
}  # fmt: skip


def fleet(folder: Path, **options: Any) -> Any:
    written = "\n".join(f"{name} = {value!r}" for name, value in options.items())
    return described(folder, f"[group.options]\n{written}\n")


def test_there_are_the_profiles_that_the_field_has() -> None:
    assert companion.names() == ["dsmr", "generic", "idis-1", "idis-2"]


@pytest.mark.parametrize("name", companion.names())
def test_a_profile_names_what_sessions_ask_for(name: str) -> None:
    one = companion.named(name)
    for needed in ("clock", "serial", "firmware", "logical_device_name", "association"):
        assert one.object(needed).index == 2
    for what in (*one.intervals, *one.registers, *one.billing):
        assert one.objects[what].class_id == 7
    assert one.objects["switch"].class_id == 70
    for log in one.event_logs:
        assert (log.buffer.class_id, log.code.class_id) == (7, 1)
        assert {category for category, _ in log.events.values()} <= CATEGORIES
    words = Path(facts.__file__).parent.parent / "console" / "words.csv"
    known = {row["key"] for row in csv.DictReader(words.open(encoding="utf-8"))}
    assert {f"category:{category}" for category in CATEGORIES} <= known


@pytest.mark.parametrize("name", companion.names())
def test_status_bits_say_what_the_standards_say(name: str) -> None:
    one = companion.named(name)
    for bit, code in (
        (0, quality.METER_DOUBTS),
        (1, quality.CLOCK_INVALID),
        (2, quality.METER_DOUBTS),
        (3, quality.VALID),
        (5, quality.CLOCK_SHIFTED),
        (7, quality.POWER_DOWN),
    ):
        assert one.status_quality[1 << bit] == code, bit
    assert one.clock_quality.tolist() == companion.named("generic").clock_quality.tolist()
    assert np.count_nonzero(one.clock_quality == quality.CLOCK_INVALID) == 128


@pytest.mark.parametrize(
    ("profile", "code", "meaning"),
    [
        ("idis-2", 62, ("switch", "Remote disconnection")),
        ("idis-1", 40, ("tamper", "Terminal cover removed")),
        ("idis-2", 76, ("quality", "Undervoltage L1")),
        ("dsmr", 77, ("quality", "Short voltage sag L1")),
        ("dsmr", 47, ("configuration", "One or more parameters changed")),
    ],
)
def test_event_codes_mean_what_their_standard_says(
    profile: str, code: int, meaning: tuple[str, str]
) -> None:
    assert companion.named(profile).event_logs[0].events[code] == meaning


async def test_an_idis_meter_gives_steps_of_registers_and_every_log(tmp_path: Path) -> None:
    async with serving(fleet(tmp_path, load_profile="registers")) as one:
        endpoint = one.endpoint("M00001", profile="idis-2")
        day = Period(one.now - timedelta(days=1), one.now)
        async with DlmsDriver().session(endpoint) as session:
            blocks = await session.read_intervals(day)
            await session.switch("disconnect")
            await session.adjust_clock(10, now=one.now)
            events = await session.read_events(Period(day.start, one.now + timedelta(minutes=5)))
            registers = await session.read_register_history(day)
    true = one.fleet.meters[0].true_intervals("active_energy_import")[-96:].tolist()
    (active,) = (b for b in blocks if b.reading_type == "active_energy_import_interval")
    assert active.values.tolist() == true
    assert [event.code for event in events if event.category == "switch"] == [62]
    assert {event.code for event in events if event.category == "clock"} == {4, 5}
    assert {reading.read_at for reading in registers} == {day.start, day.end}


async def test_a_profile_asks_for_what_its_meters_lack_in_vain_and_in_words(
    served: Served,
) -> None:
    async with DlmsDriver().session(served.endpoint("M00001", profile="idis-1")) as session:
        with pytest.raises(NotOffered, match="profile idis-1 have no push setup"):
            await session.read_push_setup()
        with pytest.raises(NotOffered, match="no invocation counter"):
            await session.read_invocation_counter()


@pytest.fixture
async def served(tmp_path: Path) -> Any:
    async with serving(fleet(tmp_path)) as one:
        yield one
