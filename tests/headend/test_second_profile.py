"""A meter's second load profile, with longer intervals than the registry's, is kept as it is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from drivers.dlms.session import DlmsDriver
from headend import steps
from headend.devices import Device
from headend.exchange import Request, Result
from schemas import quality
from schemas.period import Period
from tests.drivers.dlms.served import described, serving


async def test_slots_between_longer_intervals_are_not_missing(tmp_path: Path) -> None:
    fleet = described(tmp_path, "[group.options]\nload_profile_2 = 3600\n")
    async with serving(fleet) as one:
        day = Period(one.now - timedelta(days=1), one.now)
        device = Device(
            id=1, mrid="M00001", protocol="dlms", profile="generic", host="", port=1, address={},
            security="hls-gmac", interval_seconds=900, segment_id=None, segment_limit=0,
            commodity="electricity", installed=(day,), secrets={}, held=False, next_attempt=None,
            next_reads=(), failures=0, history_until=None, events_until=None,
        )  # fmt: skip
        request = Request(device, ("intervals",), intervals=(day,))
        result = Result(request, one.now, one.now)
        async with DlmsDriver().session(one.endpoint("M00001")) as session:
            for step in steps.steps(request, result, lambda: one.now, on_time=None):
                await step.ask(session)
    lengths = {block.reading_type: (block.interval_seconds, len(block)) for block in result.blocks}
    assert lengths["voltage_l1"] == (3600, 24)
    assert lengths["active_energy_import_interval"] == (900, 96)
    for block in result.blocks:
        assert block.quality is None or quality.MISSING not in block.quality
