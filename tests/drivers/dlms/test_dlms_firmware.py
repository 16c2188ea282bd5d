"""Firmware is brought to a meter over sockets, verified and activated."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.control import ImageProgress
from drivers.dlms.session import DlmsDriver
from drivers.errors import Broken, LocalProtocolError, MeterRefused
from simulators import dlms_state
from tests.drivers.dlms.secured_meter import endpoint, fleet
from tests.drivers.dlms.served import Served, counters, described, serving

# --- firmware ---

IMAGE = dlms_state.signed(hashlib.sha256(b"firmware").digest() * 63)
IDENTIFIER = "Miqyas 2.0"


async def test_an_image_is_brought_verified_and_activated(served: Served) -> None:
    told: list[ImageProgress] = []
    async with DlmsDriver().session(endpoint(served)) as session:
        state = await session.transfer_image(IMAGE, IDENTIFIER, progress=told.append)
        assert (state.status, state.blocks, state.blocks_taken) == ("initiated", 8, 8)
        assert [one.blocks_taken for one in told] == list(range(1, 9))
        with pytest.raises(MeterRefused, match="only a verified one"):
            await session.activate_image()
        verified = await session.verify_image()
        assert verified.status == "verification_successful"
        assert verified.identifications == (IDENTIFIER,)
        assert (await session.activate_image()).status == "activation_successful"
        assert (await session.identify()).firmware == IDENTIFIER


async def test_an_image_is_activated_at_its_time(served: Served) -> None:
    at = served.now + timedelta(hours=3)
    async with DlmsDriver().session(endpoint(served)) as session:
        await session.transfer_image(IMAGE, IDENTIFIER)
        await session.verify_image()
        waiting = await session.activate_image(at)
        assert waiting.status == "verification_successful"
        assert (await session.identify()).firmware == "Miqyas 1.0"
        served.clock.seconds += 3 * 3600
        assert (await session.read_image_state()).status == "activation_successful"
        assert (await session.identify()).firmware == IDENTIFIER


async def test_a_verification_that_takes_long_is_awaited(tmp_path: Path) -> None:
    async with (
        serving(fleet(tmp_path, image_verify=3)) as one,
        DlmsDriver().session(endpoint(one)) as session,
    ):
        session.verify_pause = 0.01
        await session.transfer_image(IMAGE, IDENTIFIER)
        assert (await session.verify_image()).status == "verification_successful"


async def test_a_meter_that_restarts_to_activate_tells_later(tmp_path: Path) -> None:
    async with serving(fleet(tmp_path, image_activation="restart")) as one:
        async with DlmsDriver().session(endpoint(one)) as session:
            await session.transfer_image(IMAGE, IDENTIFIER)
            await session.verify_image()
            assert (await session.activate_image()).status == "activation_initiated"
        later = endpoint(one, reserve_counters=counters(500))
        async with DlmsDriver().session(later) as session:
            assert (await session.read_image_state()).status == "activation_successful"
            assert (await session.identify()).firmware == IDENTIFIER


async def test_a_wrong_image_is_not_verified(served: Served) -> None:
    async with DlmsDriver().session(endpoint(served)) as session:
        await session.transfer_image(IMAGE[:-1] + b"x", IDENTIFIER)
        assert (await session.verify_image()).status == "verification_failed"
        with pytest.raises(MeterRefused, match="verification_failed"):
            await session.activate_image()
        for image, name in ((b"", IDENTIFIER), (IMAGE, ""), (IMAGE, "x" * 65), (IMAGE, "ث")):
            with pytest.raises(LocalProtocolError):
                await session.transfer_image(image, name)


async def test_a_transfer_goes_on_where_the_line_broke(tmp_path: Path) -> None:
    text = '[[fault]]\nkind = "reset_in_transfer"\nmeters = ["M00001"]\nlength = [0]\n'
    text += "at = 2026-06-01T00:00:00\ntimes = 1\nafter = 500\n"
    async with serving(described(tmp_path, text)) as one:
        first: list[ImageProgress] = []
        with pytest.raises(Broken):
            async with DlmsDriver().session(endpoint(one)) as session:
                await session.transfer_image(IMAGE, IDENTIFIER, progress=first.append)
        assert 0 < len(first) < 8
        second: list[ImageProgress] = []
        known = endpoint(one, reserve_counters=counters(500))
        async with DlmsDriver().session(known) as session:
            broken_off = await session.read_image_state()
            assert broken_off.blocks_taken >= len(first)
            state = await session.transfer_image(IMAGE, IDENTIFIER, progress=second.append)
            assert len(second) == 8 - broken_off.blocks_taken
            assert state.blocks_taken == 8
            assert (await session.verify_image()).status == "verification_successful"
            anew = await session.transfer_image(IMAGE, IDENTIFIER, resume=False)
            assert anew.status == "initiated"
