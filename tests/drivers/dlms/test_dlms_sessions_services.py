"""Sessions by short names and with general block transfer, over every line that may matter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.dlms.session import DlmsDriver
from drivers.dlms.settings import Settings
from drivers.errors import LocalProtocolError
from schemas.period import Period
from simulators import fleet as fleets
from tests.drivers.dlms.served import Served, serving

LINES = fleets.load("lines")
SMALL = fleets.load("small")
DAY = timedelta(days=1)
WAYS = {
    "short names": {"referencing": "sn"},
    "parts": {"gbt": "6"},
    "both": {"referencing": "sn", "gbt": "2"},
}


async def read_a_day(served: Served, mrid: str, **address: Any) -> None:
    """Read a meter's last day and more, and compare it with what flowed."""
    endpoint = served.endpoint(mrid)
    endpoint = replace(endpoint, address={**endpoint.address, **address})
    meter = served.meter(mrid)
    day = Period(served.now - DAY, served.now)
    async with DlmsDriver().session(endpoint) as session:
        assert (await session.identify()).serial == mrid
        blocks = await session.read_intervals(day)
        registers = await session.read_registers(["active_energy_import"], now=served.now)
        history = await session.read_register_history(day)
    [active] = [one for one in blocks if one.reading_type == "active_energy_import_interval"]
    truth = meter.true_intervals("active_energy_import")[-96:]
    assert list(active.values) == truth.tolist()
    assert registers[0].value == meter.register_at(
        "active_energy_import", int(served.now.timestamp())
    )
    dial = [one.value for one in history if one.reading_type == "active_energy_import"]
    assert dial[-1] - dial[0] == truth.sum()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mrid", ["M00001", "M00004", "M00007"])
async def test_a_day_is_read_over_tcp(mrid: str, way: str) -> None:
    async with serving(SMALL) as served:
        await read_a_day(served, mrid, **WAYS[way])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("group", ["hdlc", "udp", "bus", "gateway", "serial"])
async def test_a_day_is_read_over_other_lines(group: str, way: str, tmp_path: Path) -> None:
    mrid = next(meter.mrid for meter in LINES.meters if meter.group == group)
    async with serving(LINES, tmp_path) as served:
        await read_a_day(served, mrid, **WAYS[way])


async def test_what_a_meter_offers_is_the_same_by_short_names() -> None:
    offered = []
    async with serving(SMALL) as served:
        for address in ({}, {"referencing": "sn", "gbt": "6"}):
            endpoint = served.endpoint("M00001")
            endpoint = replace(endpoint, address={**endpoint.address, **address})
            async with DlmsDriver().session(endpoint) as session:
                found = await session.read_channels()
            offered.append((found.profiles, found.registers, len(found.objects)))
    assert offered[0] == offered[1]
    assert offered[0][0]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ({"referencing": "xn"}, "neither ln nor sn"),
        ({"gbt": 64}, "0 … 63"),
        ({"referencing": "sn", "framing": "udp"}, "without ciphering"),
        ({"gbt": 2, "framing": "udp"}, "without ciphering"),
    ],
)
async def test_settings_that_make_no_sense_are_named(address: dict[str, Any], why: str) -> None:
    async with serving(SMALL) as served:
        endpoint = served.endpoint("M00001")
    with pytest.raises(LocalProtocolError, match=rf"M00001: address .*{why}"):
        Settings.of(replace(endpoint, address={**endpoint.address, **address}))
