"""Sessions over lines that are dead, break, send in pieces, or are many at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.dlms.session import DlmsDriver
from drivers.errors import Broken, LinkError, Refused, TimedOut
from schemas.period import Period
from simulators import fleet as fleets
from tests.drivers.dlms import served as serving
from tests.drivers.dlms.intervals import ACTIVE, REACTIVE, of, read_day, truth, within


@pytest.mark.parametrize(
    ("mode", "kind"), [("refused", Refused), ("reset", Broken), ("silent", TimedOut)]
)
async def test_a_dead_line_is_told_from_a_meter_that_says_no(
    tmp_path: Path, mode: str, kind: type[LinkError]
) -> None:
    fault = f'[[fault]]\nkind = "dead_line"\nmeters = ["M00001"]\nlength = [0]\nmode = "{mode}"\n'
    fault += "at = 2026-06-01T00:00:00\n"
    async with serving.serving(serving.described(tmp_path, fault)) as served:
        endpoint = served.endpoint("M00001", timeout=0.5)
        with pytest.raises(kind, match="M00001"):
            await read_day(served, endpoint)


async def test_a_reset_in_mid_transfer_is_broken_and_the_next_attempt_reads(
    tmp_path: Path,
) -> None:
    fault = '[[fault]]\nkind = "reset_in_transfer"\nmeters = ["M00001"]\nlength = [0]\n'
    fault += "at = 2026-06-01T00:00:00\ntimes = 1\nafter = 1500\n"
    async with serving.serving(serving.described(tmp_path, fault)) as served:
        endpoint = served.endpoint("M00001")
        with pytest.raises(Broken, match="M00001"):
            await read_day(served, endpoint)
        assert len(await read_day(served, endpoint)) == 96


async def test_a_slow_line_that_sends_in_pieces_reads_the_same(tmp_path: Path) -> None:
    fault = '[[fault]]\nkind = "slow_line"\nmeters = ["M00001"]\nlength = [0]\n'
    fault += "at = 2026-06-01T00:00:00\nlatency = 0.01\nchunk = 7\n"
    async with serving.serving(serving.described(tmp_path, fault)) as served:
        expected = within(
            truth(served, "M00001", ACTIVE),
            Period(served.now - timedelta(days=1), served.now),
        )
        assert await read_day(served, served.endpoint("M00001")) == expected


async def test_the_smallest_pdu_reads_the_same(tmp_path: Path) -> None:
    text = "[group.options]\npdu_size = 128\n"
    async with serving.serving(serving.described(tmp_path, text)) as served:
        endpoint = served.endpoint("M00001")
        assert len(await read_day(served, endpoint)) == 96
        async with DlmsDriver().session(endpoint) as session:
            readings = await session.read_registers(
                ["active_energy_import", "active_energy_export", "reactive_energy_import",
                 "voltage_l1", "current_l1", "active_power_import"],
                now=served.now,
            )  # fmt: skip
    assert len(readings) == 6


async def test_many_sessions_at_once_do_not_mix() -> None:
    async with serving.serving(fleets.load("small")) as served:
        driver = DlmsDriver()
        day = Period(served.now - timedelta(days=1), served.now)
        chosen = ["M00001", "M00004", "M00005", "M00006", "M00007", "M00008"]

        async def read(mrid: str) -> dict[int, int]:
            async with driver.session(served.endpoint(mrid)) as session:
                return of(await session.read_intervals(day), REACTIVE)

        found = await asyncio.gather(*(read(mrid) for mrid in chosen))
        for mrid, values in zip(chosen, found, strict=True):
            assert values == within(truth(served, mrid, REACTIVE), day)
