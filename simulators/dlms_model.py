"""What one simulated DLMS meter is between connections: keys, counters, written buffers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from simulators import dlms_buffer, dlms_time, keys, stored
from simulators.dlms_buffer import Column, Profile
from simulators.dlms_security import Suite
from simulators.meter import ACTIVE, REACTIVE, Meter, Seconds
from simulators.stored import Rows

STATUS: Final = bytes.fromhex("0000600a01ff")
EVENT_CODE: Final = bytes.fromhex("0000600b00ff")
REGISTERS: Final = {ACTIVE: bytes.fromhex("0100010800ff"), REACTIVE: bytes.fromhex("0100030800ff")}
INTERVALS: Final = {ACTIVE: bytes.fromhex("0100011d00ff"), REACTIVE: bytes.fromhex("0100031d00ff")}

STATUS_DST: Final = 0x08
"""Bit 3 of the load profile's status: daylight saving is active."""


@dataclass(eq=False)
class DlmsModel:
    """A DLMS meter as its associations see it.

    Attributes
    ----------
    accepted_counter : highest invocation counter taken from a client
    own_counter : last invocation counter used in an answer
    kept : what clients wrote, by the names that objects give it, A-XDR
    """

    meter: Meter
    accepted_counter: int = 0
    own_counter: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)

    @cached_property
    def suite(self) -> Suite:
        """The meter's side of its ciphering."""
        return Suite(
            self.title,
            keys.of(self.meter, "encryption"),
            keys.of(self.meter, "authentication"),
            keys.suite(self.meter),
        )

    @property
    def title(self) -> bytes:
        """System title: the manufacturer's three letters and the meter's number."""
        return b"MQS" + self.meter.number.to_bytes(5, "big")

    def next_counter(self) -> int:
        """Take the invocation counter of the next answer."""
        self.own_counter += 1
        return self.own_counter

    def clock(self, now: int) -> bytes:
        """Write the date-time that the meter believes it is."""
        believed = now + self.meter.clock_offset(now)
        return self._date_times(np.array([believed])).tobytes()

    @cached_property
    def load_profile(self) -> Profile:
        """Load profile 1: interval energy."""
        rows, meter = stored.load_profile(self.meter), self.meter
        written = dlms_time.grid(meter.start, meter.end, meter.interval_seconds, meter.time_zone)[
            (rows.stamps - meter.start) // meter.interval_seconds
        ]
        status = (written[:, 11] & dlms_time.DST > 0) * STATUS_DST
        return self._profile(
            rows,
            dlms_buffer.clock_column(written),
            dlms_buffer.unsigned_column(STATUS, status),
            *(
                dlms_buffer.double_long_column(INTERVALS[name], rows.values[name])
                for name in self.meter.reading_types
            ),
            period=meter.interval_seconds,
        )

    @cached_property
    def daily_registers(self) -> Profile:
        """Load profile 2: registers at midnight."""
        rows = stored.daily_registers(self.meter)
        return self._profile(
            rows,
            dlms_buffer.clock_column(self._date_times(rows.stamps)),
            *(
                dlms_buffer.double_long_column(REGISTERS[name], rows.values[name])
                for name in self.meter.reading_types
            ),
            period=86_400,
        )

    @cached_property
    def events(self) -> Profile:
        """The standard event log."""
        rows = stored.events(self.meter)
        return self._profile(
            rows,
            dlms_buffer.clock_column(self._date_times(rows.stamps)),
            dlms_buffer.unsigned_column(EVENT_CODE, rows.values["code"]),
            period=0,
        )

    def _date_times(self, stamps: Seconds) -> dlms_buffer.Octets:
        return dlms_time.date_times(stamps, self.meter.time_zone)

    def _profile(self, rows: Rows, *columns: Column, period: int) -> Profile:
        zone = ZoneInfo(self.meter.time_zone).key
        return Profile(rows, columns, capture_period=period, zone=zone)
