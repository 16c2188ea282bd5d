"""What to ask a meter now: the reads that are due, and its oldest missing periods. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from drivers.driver import Driver
from drivers.meter_profile import MeterProfile
from headend import gaps, meter_profiles
from headend.coverage import HORIZON, Coverage
from headend.devices import Device
from headend.exchange import Request
from schemas.period import Period

# A day's profile takes a good line seconds; what breaks off is asked again. Each failure in a row
# quarters the request, until the answer is short enough for the line.
_LONGEST = timedelta(days=8)
_SHORTEST = timedelta(hours=3)
MOST_PERIODS = 24
# A meter whose clock is behind writes a midnight's registers after we have asked for them.
_OVERLAP = timedelta(days=1)


def request(
    device: Device,
    reads: Iterable[str],
    have: Coverage,
    driver: Driver,
    *,
    now: datetime,
    offers: MeterProfile | None = None,
    most: int = MOST_PERIODS,
    horizon: timedelta = HORIZON,
) -> Request:
    """Choose what to ask one meter.

    Parameters
    ----------
    reads : names of ``headend.schedule.READS``; those that its driver does not offer are left out
    have : what is missing
    offers : what the meter said it offers; it is not asked for what it does not have. None: it was
        never asked
    most : most interval periods in one session; the rest is for the next
    horizon : how far back stored registers and events are asked
    """
    wanted = tuple(
        read for read in reads if read in driver.offers and meter_profiles.has(offers, read)
    )
    longest = _longest(device)
    periods: list[Period] = []
    remaining = False
    if "intervals" in wanted:
        periods, remaining = gaps.requests(have.missing, longest=longest, most=most)
    oldest = max(now - horizon, device.first_installed())
    return Request(
        device=device,
        reads=wanted,
        registers=meter_profiles.registers(offers, device.registers()),
        intervals=tuple(periods),
        stored_types=have.reading_types,
        history=_since(device.history_until, oldest, now),
        events=_since(device.events_until, oldest, now),
        remaining=remaining,
    )


def _longest(device: Device) -> timedelta:
    """Give the longest request: whole intervals, the fewer the more often the meter failed."""
    interval = timedelta(seconds=device.interval_seconds)
    wanted = max(_LONGEST / 4 ** min(device.failures, 9), _SHORTEST, interval)
    whole: int = wanted // interval
    return interval * whole


def _since(asked_until: datetime | None, oldest: datetime, now: datetime) -> Period | None:
    start = max(asked_until - _OVERLAP, oldest) if asked_until else oldest
    return Period(start, now) if start < now else None
