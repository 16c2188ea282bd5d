"""Sessions with simulated meters: every security, every reading, every fault of the line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.dlms.session import DlmsDriver
from drivers.dlms.wrapper_line import Wrapped
from drivers.driver import Endpoint
from drivers.errors import (
    AccessDenied,
    CounterOutOfSync,
    LocalProtocolError,
    NotOffered,
    WrongKey,
    WrongMeter,
)
from schemas.period import Period
from simulators import fleet as fleets
from simulators.fleet import Fleet
from tests.drivers.dlms import served as serving
from tests.drivers.dlms.intervals import ACTIVE, REACTIVE, of, truth, within
from tests.drivers.dlms.served import Served

PUBLIC = {"client": 16}


@pytest.fixture(scope="module")
def small() -> Fleet:
    return fleets.load("small")


@pytest.fixture
async def served(small: Fleet) -> AsyncIterator[Served]:
    async with serving.serving(small) as running:
        yield running


@pytest.mark.parametrize("mrid", ["M00001", "M00004", "M00007"])
async def test_every_security_reads_the_true_intervals(served: Served, mrid: str) -> None:
    day = Period(served.now - timedelta(days=2), served.now - timedelta(days=1))
    async with DlmsDriver().session(served.endpoint(mrid)) as session:
        blocks = await session.read_intervals(day)
    for name in (ACTIVE, REACTIVE):
        expected = within(truth(served, mrid, name), day)
        assert len(expected) == 96
        assert of(blocks, name) == expected
    assert all(block.quality is None for block in blocks)


async def test_a_session_reads_all_that_a_meter_offers(served: Served) -> None:
    whole = served.fleet.period
    async with DlmsDriver().session(served.endpoint("M00007")) as session:
        identity = await session.identify()
        registers = {
            one.reading_type: one
            for one in await session.read_registers(
                ["active_energy_import", "voltage_l1", "frequency"], now=served.now
            )
        }
        history = await session.read_register_history(whole)
        events = await session.read_events(whole)
        clock = await session.read_clock(now=served.now)
    assert (identity.serial, identity.manufacturer) == ("M00007", "MQS")
    assert identity.firmware
    meter = served.meter("M00007")
    present = meter.register_at("active_energy_import", int(served.now.timestamp()))
    assert registers["active_energy_import"].value == present
    assert 2000 < registers["voltage_l1"].value < 2700
    # The meter has no frequency register: left out, not an error.
    assert set(registers) == {"active_energy_import", "voltage_l1"}
    assert {one.reading_type for one in history} == {
        "active_energy_import",
        "reactive_energy_import",
    }
    assert history[-1].read_at == whole.end
    assert next(
        one.value for one in history
        if (one.read_at, one.reading_type) == (whole.end, "active_energy_import")
    ) == present  # fmt: skip
    occurred = [one.occurred_at for one in events]
    assert occurred == sorted(occurred)
    assert {one.category for one in events} <= {"power", "clock", "configuration"}
    assert clock.deviation == timedelta(0)


async def test_registers_ask_for_their_scale_once_a_session(served: Served) -> None:
    async with DlmsDriver().session(served.endpoint("M00007")) as session:
        first = await session.read_registers(["voltage_l1"], now=served.now)
        again = await session.read_registers(["voltage_l1"], now=served.now)
    assert first == again


async def test_a_gap_is_in_no_block(served: Served) -> None:
    whole = served.fleet.period
    async with DlmsDriver().session(served.endpoint("M00002")) as session:
        found = of(await session.read_intervals(whole), ACTIVE)
    true = truth(served, "M00002", ACTIVE)
    [fault] = served.meter("M00002").having("gap")
    missing = {start for start in true if fault.starts_at <= start < fault.ends_at}
    assert len(missing) == 3
    assert set(true) - set(found) == missing


async def test_a_stamp_that_is_there_twice_is_in_two_blocks(served: Served) -> None:
    async with DlmsDriver().session(served.endpoint("M00003")) as session:
        blocks = await session.read_intervals(served.fleet.period)
    active = [block for block in blocks if block.reading_type == ACTIVE]
    assert sum(len(block) for block in active) == 4 * 96 + 1
    assert of(blocks, ACTIVE) == truth(served, "M00003", ACTIVE)
    [fault] = served.meter("M00003").having("duplicate")
    extra = min(active, key=len)
    assert (len(extra), int(extra.start.timestamp())) == (1, fault.starts_at)


async def test_a_drifting_clock_shows_and_its_stamps_are_kept(served: Served) -> None:
    async with DlmsDriver().session(served.endpoint("M00010")) as session:
        clock = await session.read_clock(now=served.now)
        blocks = await session.read_intervals(served.fleet.period)
    assert clock.deviation == timedelta(minutes=10)
    active = of(blocks, ACTIVE)
    assert len(active) >= 4 * 96 - 1
    assert sum(len(block) for block in blocks if block.reading_type == ACTIVE) == len(active)


async def test_a_wrong_key_is_told_as_such_and_never_shown(served: Served) -> None:
    endpoint = served.endpoint("M00009")
    with pytest.raises(WrongKey) as refusal:
        async with DlmsDriver().session(endpoint):
            pass
    assert "M00009" in str(refusal.value)
    for secret in endpoint.secrets.values():
        assert secret.hex() not in str(refusal.value)


async def test_a_wrong_password_is_a_wrong_key(served: Served) -> None:
    endpoint = served.endpoint("M00004", secrets={"password": b"12345678"})
    with pytest.raises(WrongKey):
        async with DlmsDriver().session(endpoint):
            pass


async def test_a_counter_that_was_used_is_out_of_sync(served: Served) -> None:
    endpoint = served.endpoint("M00008", reserve_counters=serving.counters(1000))
    async with DlmsDriver().session(endpoint) as session:
        await session.identify()
    with pytest.raises(CounterOutOfSync, match="at least 10"):
        async with DlmsDriver().session(replace(endpoint, reserve_counters=serving.counters(5))):
            pass
    public = replace(endpoint, security="none", address=PUBLIC, secrets={})
    async with DlmsDriver().session(public) as session:
        seen = await session.read_invocation_counter()
    assert 1000 < seen < 1100
    async with DlmsDriver().session(
        replace(endpoint, reserve_counters=serving.counters(seen + 1))
    ) as session:
        assert (await session.identify()).serial == "M00008"


async def test_the_public_client_does_not_see_the_registers(served: Served) -> None:
    endpoint = served.endpoint("M00008", security="none", address=PUBLIC, secrets={})
    async with DlmsDriver().session(endpoint) as session:
        with pytest.raises((AccessDenied, NotOffered)):
            await session.read_intervals(served.fleet.period)
        # A refusal ends a request, not the session.
        assert await session.read_invocation_counter() >= 0


async def test_another_serial_number_is_another_meter(served: Served) -> None:
    right = served.endpoint("M00007", address={"serial": "M00007"})
    async with DlmsDriver().session(right):
        pass
    with pytest.raises(WrongMeter, match="M00099"):
        async with DlmsDriver().session(replace(right, address={"serial": "M00099"})):
            pass


@pytest.mark.parametrize(
    "changes",
    [
        {"profile": "fantasia"},
        {"security": "sealing-wax"},
        {"secrets": {}},
        {"address": {"client": 0}},
        {"address": {"server": "one"}},
        {"address": {"deviation": "soon"}},
        {"secrets": {"encryption": b"short", "authentication": b"short"}},
    ],
)
async def test_a_wrong_setting_is_named_before_the_meter_is_called(
    served: Served, changes: dict[str, object]
) -> None:
    before = served.lines.connections
    with pytest.raises(LocalProtocolError, match="M00007"):
        async with DlmsDriver().session(served.endpoint("M00007", **changes)):
            pass
    assert served.lines.connections == before


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until_closed(served: Served) -> None:
    """Wait until the fleet has no connection open; at most two seconds."""
    for _ in range(200):
        if not served.lines._open:
            return
        await asyncio.sleep(0.01)
    pytest.fail("a connection stays open")


async def fail_inside(endpoint: Endpoint) -> None:
    async with DlmsDriver().session(endpoint) as session:
        await session.identify()
        raise ZeroDivisionError


async def test_failing_sessions_leave_nothing_open(served: Served) -> None:
    wrong = served.endpoint("M00009")
    right = served.endpoint("M00007")
    await until_closed(served)
    before = open_files()
    for _ in range(30):
        with pytest.raises(ZeroDivisionError):
            await fail_inside(right)
        with pytest.raises(WrongKey):
            await fail_inside(wrong)
    await until_closed(served)
    assert open_files() == before
    async with DlmsDriver().session(right) as session:
        assert (await session.identify()).serial == "M00007"


async def test_a_cancelled_session_closes_its_connection(served: Served) -> None:
    reading = asyncio.Event()

    async def read() -> None:
        async with DlmsDriver().session(served.endpoint("M00007")) as session:
            while True:
                await session.read_clock(now=served.now)
                reading.set()

    task = asyncio.create_task(read())
    await reading.wait()
    assert served.lines._open
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_closed(served)


async def test_what_the_last_meter_captured_is_only_a_guess(served: Served) -> None:
    """A wrong guess costs a request, and changes no reading."""
    day = Period(served.now - timedelta(days=1), served.now)
    driver = DlmsDriver()
    found = []
    for guess in ("nothing", "the last meter's", "something else"):
        if guess == "something else":
            for key, captured in driver.captured.items():
                driver.captured[key] = (*captured[:-2], captured[-1], captured[-2])
        async with driver.session(served.endpoint("M00001")) as session:
            found.append(await session.read_intervals(day))
    for blocks in found[1:]:
        assert of(blocks, ACTIVE) == of(found[0], ACTIVE)
        assert of(blocks, REACTIVE) == of(found[0], REACTIVE)


async def test_an_empty_period_has_no_blocks(served: Served) -> None:
    later = Period(served.now + timedelta(days=1), served.now + timedelta(days=2))
    async with DlmsDriver().session(served.endpoint("M00007")) as session:
        assert await session.read_intervals(later) == []
        assert await session.read_register_history(later) == []
        assert await session.read_events(later) == []


async def test_what_a_session_is_for_is_asked_of_the_meter_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    exchange = Wrapped.exchange

    async def counted(self: Wrapped, apdu: bytes) -> bytes:
        asked.append(apdu)
        return await exchange(self, apdu)

    monkeypatch.setattr(Wrapped, "exchange", counted)
    day = Period(served.now - timedelta(days=2), served.now - timedelta(days=1))
    driver = DlmsDriver()

    async def read(*expected: str) -> tuple[int, list[object]]:
        endpoint = replace(served.endpoint("M00001"), expected=frozenset(expected))
        async with driver.session(endpoint) as session:
            asked.clear()
            found: list[object] = [*await session.read_register_history(day)]
            found += await session.read_events(day)
            for block in await session.read_intervals(day):
                found.append((block.reading_type, block.start, block.values.tolist()))
            return len(asked), found

    # The first meter shows what such meters capture.
    await read()
    by_and_by, values = await read()
    at_once, same = await read("register_history", "events", "intervals", "clock")
    assert same == values
    assert values
    assert by_and_by - at_once == 2
