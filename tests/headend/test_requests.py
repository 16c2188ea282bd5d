from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from headend import requests
from headend.coverage import Coverage
from headend.devices import Device
from schemas.period import Period
from tests.headend.line_meter import LineDriver, SamplingDriver

NOW = datetime(2026, 6, 30, tzinfo=UTC)
INSTALLED = datetime(2026, 6, 1, tzinfo=UTC)
MISSING = Coverage((Period(INSTALLED, NOW),), ())
DEVICE = Device(
    id=1, mrid="M1", protocol="dlms", profile="line", host="127.0.0.1", port=1, address={},
    security="none", interval_seconds=900, segment_id=None, segment_limit=0,
    commodity="electricity", installed=(Period(INSTALLED, NOW + timedelta(days=9)),), secrets={},
    held=False, next_attempt=None, next_reads=(), failures=0, history_until=None,
    events_until=None,
)  # fmt: skip


@pytest.mark.parametrize("interval", [300, 900, 1920, 3600, 21_600, 86_400])
@pytest.mark.parametrize("failures", [0, 1, 2, 3, 50])
def test_requests_are_of_whole_intervals_and_shorter_after_failures(
    interval: int, failures: int
) -> None:
    device = replace(DEVICE, interval_seconds=interval, failures=failures)
    made = requests.request(device, ["intervals"], MISSING, LineDriver(), now=NOW, most=10**6)
    lengths = [period.duration.total_seconds() for period in made.intervals]
    assert all(length % interval == 0 for length in lengths[:-1])
    bounds = {0: 8 * 86_400, 1: 2 * 86_400, 2: 43_200, 3: 10_800, 50: 10_800}
    assert max(lengths) <= max(bounds[failures], interval)
    assert (made.intervals[0].start, made.intervals[-1].end) == (INSTALLED, NOW)
    assert not made.remaining


def test_only_what_the_driver_offers_is_asked() -> None:
    reads = ["registers", "intervals", "clock"]
    made = requests.request(DEVICE, reads, MISSING, SamplingDriver(), now=NOW)
    assert (made.reads, made.intervals) == (("registers",), ())


def test_stored_registers_are_asked_again_for_a_day_but_never_before_installation() -> None:
    def history(until: datetime | None) -> Period | None:
        device = replace(DEVICE, history_until=until)
        reads = ["register_history"]
        return requests.request(device, reads, MISSING, LineDriver(), now=NOW).history

    assert history(None) == Period(INSTALLED, NOW)
    # A clock that is behind wrote yesterday's after we had asked.
    assert history(NOW - timedelta(days=1)) == Period(NOW - timedelta(days=2), NOW)
    assert history(INSTALLED - timedelta(days=9)) == Period(INSTALLED, NOW)
    assert history(NOW) == Period(NOW - timedelta(days=1), NOW)


def test_water_meters_are_asked_for_water() -> None:
    water = replace(DEVICE, commodity="water")
    assert "water_volume" in water.registers()
    assert "active_energy_import" in DEVICE.registers()
    assert not set(water.registers()) & set(DEVICE.registers())
