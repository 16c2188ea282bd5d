"""DLMS sessions over every line, with simulated meters: what is read is what truly flowed."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.dlms.session import DlmsDriver
from drivers.driver import Endpoint
from drivers.errors import (
    Broken,
    DriverError,
    LocalProtocolError,
    Refused,
    TimedOut,
    Unreachable,
)
from schemas.period import Period
from simulators import fleet as fleets
from tests.drivers.dlms.served import Served, serving

FLEET = fleets.load("lines")
DAY = timedelta(days=1)


def address_of(endpoint: Endpoint, **changes: int | str) -> Endpoint:
    return replace(endpoint, address={**endpoint.address, **changes})


async def read_a_day(served: Served, endpoint: Endpoint) -> None:
    """Read a meter's last day and compare it with what flowed."""
    meter = served.meter(endpoint.end_device)
    async with DlmsDriver().session(endpoint) as session:
        assert (await session.identify()).serial == meter.mrid
        blocks = await session.read_intervals(Period(served.now - DAY, served.now))
    [active] = [one for one in blocks if one.reading_type == "active_energy_import_interval"]
    truth = meter.true_intervals("active_energy_import")[-96:]
    assert list(active.values) == truth.tolist()


@pytest.mark.parametrize("group", sorted({meter.group for meter in FLEET.meters}))
async def test_a_day_is_read_over_every_line(group: str, tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        for meter in FLEET.meters:
            if meter.group == group:
                seconds = 0.9 if group.startswith("noisy") else 5.0
                endpoint = served.endpoint(meter.mrid, timeout=seconds)
                await read_a_day(served, address_of(endpoint, retries=5))


@pytest.mark.parametrize(
    ("frame", "window", "pdu"), [(16, 1, 65_535), (2030, 7, 65_535), (64, 3, 128)]
)
async def test_hdlc_agrees_on_whatever_size_is_proposed(
    frame: int, window: int, pdu: int, tmp_path: Path
) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00001")
        await read_a_day(served, address_of(endpoint, frame=frame, window=window, pdu=pdu))


async def test_long_answers_come_over_udp_in_blocks(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        [datagrams] = [one for one in served.lines._datagrams if one._head.mrid == "M00004"]
        endpoint = served.endpoint("M00004")
        await read_a_day(served, endpoint)
        alone = datagrams.requests
        await read_a_day(served, address_of(endpoint, pdu=300))
        assert datagrams.requests - alone > alone


@pytest.mark.parametrize("mrid", ["M00004", "M00001"])
async def test_after_a_failure_the_next_session_is_as_good(mrid: str, tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint(mrid)
        with pytest.raises(ZeroDivisionError):
            async with DlmsDriver().session(endpoint):
                raise ZeroDivisionError
        await read_a_day(served, endpoint)


async def test_a_hdlc_connection_is_left_even_if_the_association_is_refused(
    tmp_path: Path,
) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00018")
        other = address_of(served.endpoint("M00017"), client=3)
        with pytest.raises(DriverError):
            async with DlmsDriver().session(other):
                pass
        # On the same bus the first meter would still be connected with that client.
        await read_a_day(served, served.endpoint("M00017"))
        await read_a_day(served, endpoint)


@pytest.mark.parametrize("group", ["bus", "concentrator", "gateway", "serial"])
async def test_meters_behind_one_endpoint_take_turns(group: str, tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        behind = [served.endpoint(one.mrid) for one in FLEET.meters if one.group == group]
        driver = DlmsDriver()
        assert len({driver.line_of(one) for one in behind}) == 1

        async def read(endpoint: Endpoint) -> str:
            async with driver.session(endpoint) as session:
                return (await session.identify()).serial

        serials = await asyncio.gather(*map(read, behind))
        assert serials == [one.end_device for one in behind]
        assert served.lines.turned_away == 0


async def test_a_place_in_the_line_is_free_again_after_a_failure(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        driver, good = DlmsDriver(), served.endpoint("M00011")
        wrong = replace(served.endpoint("M00012"), secrets=good.secrets)
        for _ in range(2):
            with pytest.raises(DriverError):
                async with driver.session(wrong):
                    pass
            async with driver.session(good) as session:
                await session.identify()
        assert not driver._turns._lines


async def test_another_client_s_connection_is_named(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00017")
        with pytest.raises(Refused, match="another program"):
            async with DlmsDriver().session(endpoint), DlmsDriver().session(endpoint):
                pass


async def test_who_is_not_behind_a_gateway_is_told(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00014", timeout=0.2)
        with pytest.raises(DriverError, match="not possible"):
            async with DlmsDriver().session(address_of(endpoint, device="ff")):
                pass
        straight = {"client": 1, "server": 9}
        with pytest.raises(TimedOut):
            async with DlmsDriver().session(replace(endpoint, address=straight)):
                pass


async def test_a_wrong_baud_rate_and_a_wrong_address_are_named(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00017", timeout=0.2)
        with pytest.raises(TimedOut, match="baud rate"):
            async with DlmsDriver().session(address_of(endpoint, baud=19200)):
                pass
        with pytest.raises(TimedOut, match="no UA"):
            async with DlmsDriver().session(address_of(endpoint, physical=9)):
                pass
        with pytest.raises(Unreachable, match="no serial port"):
            async with DlmsDriver().session(address_of(endpoint, line=str(tmp_path / "none"))):
                pass


async def test_nobody_at_an_optical_port_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.dlms.hdlc_line._REACTION_SECONDS", -2.0)
    async with serving(FLEET, tmp_path) as served:
        endpoint = address_of(served.endpoint("M00019"), sign_on="OTHER", retries=0)
        with pytest.raises(TimedOut, match="names itself"):
            async with DlmsDriver().session(endpoint):
                pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ({"framing": "token-ring"}, "framing=token-ring"),
        ({"framing": "hdlc", "client": 200}, "client=200"),
        ({"framing": "hdlc", "address_size": 3}, "address_size=3"),
        ({"framing": "hdlc", "address_size": 1, "physical": 5}, "no place"),
        ({"framing": "hdlc", "frame": 4000}, "frame=4000"),
        ({"framing": "hdlc", "window": 8}, "window=8"),
        ({"framing": "hdlc", "start": "mode-e"}, "needs line="),
        ({"line": "x", "framing": "udp"}, "serial lines speak hdlc"),
        ({"line": "x", "parity": "M"}, "parity=M"),
        ({"device": "xy"}, "device=xy"),
        ({"retries": 99}, "retries=99"),
    ],
)
async def test_wrong_settings_are_told_before_anything_is_sent(
    address: dict[str, int | str], said: str
) -> None:
    endpoint = Endpoint("M1", "127.0.0.1", 9, "generic", address, 900)
    with pytest.raises(LocalProtocolError, match=said):
        async with DlmsDriver().session(endpoint):
            pass


@pytest.mark.parametrize("sent", [0, 1, 9, 30])
async def test_a_peer_that_closes_at_any_byte_is_named_and_leaves_nothing_open(sent: int) -> None:
    told = bytes.fromhex(
        "7ea01e0323736e4881801205018006018007040000000108040000000153 3b7e".replace(" ", "")
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(told[:sent])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        address: dict[str, int | str] = {"framing": "hdlc", "physical": 17}
        endpoint = Endpoint("M1", host, port, "generic", address, 900, timeout=1.0)
        driver, before = DlmsDriver(), None
        for _ in range(30):
            with pytest.raises(Broken):
                async with driver.session(endpoint):
                    pass
            await asyncio.sleep(0)
            before = before or len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before + 2  # noqa: PTH208


async def test_failing_serial_sessions_leave_the_port_free(tmp_path: Path) -> None:
    async with serving(FLEET, tmp_path) as served:
        endpoint = served.endpoint("M00017", timeout=0.02)
        driver = DlmsDriver()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(30):
            with pytest.raises(TimedOut):
                async with driver.session(address_of(endpoint, physical=9)):
                    pass
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
        await read_a_day(served, replace(endpoint, timeout=5.0))
