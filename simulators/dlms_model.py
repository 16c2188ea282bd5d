"""What one simulated DLMS meter is between connections: keys, counters, written buffers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from simulators import dlms_buffer, dlms_time, keys, stored
from simulators.dlms_buffer import Column, Profile
from simulators.dlms_security import Suite
from simulators.dlms_state import Image, Switch
from simulators.meter import ACTIVE, REACTIVE, Meter, Seconds
from simulators.stored import Rows

STATUS: Final = bytes.fromhex("0000600a01ff")
EVENT_CODE: Final = bytes.fromhex("0000600b00ff")
"""Code object of the standard event log; the other logs count up in the fifth octet."""
FRAUD_CODE: Final = bytes.fromhex("0000600b01ff")
SWITCH_CODE: Final = bytes.fromhex("0000600b02ff")
QUALITY_CODE: Final = bytes.fromhex("0000600b04ff")
VOLTAGE: Final = bytes.fromhex("0100200700ff")
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
    clock_correction : what clients have put the clock forward by, in all [s]
    switch : the supply switch
    image : the firmware image that is being brought, or waits
    firmware : version that runs
    due : what happens at a time by the meter's own clock [Unix s], by name
    answers_lost : key transfers whose connection was cut by option
    logged : what was noted in the event logs since the start, by the log's code object
    """

    meter: Meter
    accepted_counter: int = 0
    own_counter: int = 0
    kept: dict[str, bytes] = field(default_factory=dict)
    clock_correction: int = 0
    switch: Switch = field(default_factory=Switch)
    image: Image = field(default_factory=Image)
    firmware: bytes = b"Miqyas 1.0"
    due: dict[str, tuple[int, Callable[[DlmsModel, int], None]]] = field(default_factory=dict)
    logged: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)
    answers_lost: int = 0
    _new_keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    _event_logs: dict[bytes, tuple[int, Profile]] = field(default_factory=dict, repr=False)
    _changed_keys: dict[str, bytes] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.switch.mode = int(self.meter.options.get("switch_mode", 2))

    def key(self, kind: str) -> bytes:
        """Give a key that is in force."""
        return self._changed_keys.get(kind) or keys.of(self.meter, kind)

    def change_keys(self, new: Mapping[str, bytes]) -> None:
        """Take new keys; they are in force from the next association on."""
        self._new_keys |= new

    def enter(self) -> None:
        """Begin an association: keys that came since the last one are in force now."""
        if self._new_keys:
            self._changed_keys |= self._new_keys
            self._new_keys = {}
            self.__dict__.pop("suite", None)

    @cached_property
    def suite(self) -> Suite:
        """The meter's side of its ciphering."""
        return Suite(
            self.title,
            self.key("encryption"),
            self.key("authentication"),
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

    def believed(self, now: int) -> int:
        """Give what the meter's clock says at a moment of true time [Unix s]."""
        return now + self.meter.clock_offset(now) + self.clock_correction

    def clock(self, now: int) -> bytes:
        """Write the date-time that the meter believes it is."""
        return self.date_time(self.believed(now))

    def date_time(self, moment: int) -> bytes:
        """Write a moment in the meter's local time."""
        return self._date_times(np.array([moment])).tobytes()

    def catch_up(self, now: int) -> None:
        """Do what is due by the meter's own clock, the earliest first."""
        while ready := [one for one in self.due.items() if one[1][0] <= self.believed(now)]:
            name, (_, action) = min(ready, key=lambda one: one[1][0])
            del self.due[name]
            action(self, now)

    def log(self, code: bytes, event: int, now: int) -> None:
        """Note an event in the log whose code object is named."""
        self.logged.setdefault(code, []).append((now, event))

    @cached_property
    def load_profile(self) -> Profile:
        """Load profile 1: interval energy, or the registers at the ends of intervals.

        Option ``load_profile = "registers"`` makes it the latter, as IDIS meters have it.
        """
        rows, meter = stored.load_profile(self.meter), self.meter
        written = dlms_time.grid(meter.start, meter.end, meter.interval_seconds, meter.time_zone)[
            (rows.stamps - meter.start) // meter.interval_seconds
        ]
        status = (written[:, 11] & dlms_time.DST > 0) * STATUS_DST
        of_registers = meter.options.get("load_profile") == "registers"
        names = REGISTERS if of_registers else INTERVALS
        return self._profile(
            rows,
            dlms_buffer.clock_column(written),
            dlms_buffer.unsigned_column(STATUS, status),
            *(
                dlms_buffer.double_long_column(
                    names[name],
                    meter.register(name, rows.captured) if of_registers else rows.values[name],
                )
                for name in meter.reading_types
            ),
            period=meter.interval_seconds,
        )

    @cached_property
    def load_profile_2(self) -> Profile:
        """Load profile 2: registers at midnight, or the voltage every so many seconds.

        Option ``load_profile_2 = 3600`` makes it the latter.
        """
        seconds = int(self.meter.options.get("load_profile_2", 0))
        if not seconds:
            return self._registers(stored.daily_registers(self.meter), period=86_400)
        rows = stored.voltages(self.meter, seconds)
        return self._profile(
            rows,
            dlms_buffer.clock_column(self._date_times(rows.stamps)),
            dlms_buffer.long_column(VOLTAGE, rows.values["voltage_l1"]),
            period=seconds,
        )

    @cached_property
    def billing_registers(self) -> Profile:
        """Data of billing periods: registers at the beginning of each local month."""
        return self._registers(stored.billing_registers(self.meter), period=0)

    def events(self, code: bytes) -> Profile:
        """Give an event log by its code object: what the meter noticed, and what clients did."""
        noted = len(self.logged.get(code, ()))
        if code not in self._event_logs or self._event_logs[code][0] != noted:
            self._event_logs[code] = (noted, self._event_log(code))
        return self._event_logs[code][1]

    def _event_log(self, code: bytes) -> Profile:
        known = stored.events(self.meter) if code == EVENT_CODE else stored.NO_EVENTS
        added = np.array(self.logged.get(code, []), dtype=np.int64).reshape(-1, 2)
        believed = [self.believed(moment) for moment in added[:, 0].tolist()]
        rows = Rows(
            np.concatenate((known.stamps, np.array(believed, dtype=np.int64))),
            np.concatenate((known.captured, added[:, 0])),
            {"code": np.concatenate((known.values["code"], added[:, 1]))},
        )
        return self._profile(
            rows,
            dlms_buffer.clock_column(self._date_times(rows.stamps)),
            dlms_buffer.unsigned_column(code, rows.values["code"]),
            period=0,
        )

    def _registers(self, rows: Rows, *, period: int) -> Profile:
        return self._profile(
            rows,
            dlms_buffer.clock_column(self._date_times(rows.stamps)),
            *(
                dlms_buffer.double_long_column(REGISTERS[name], rows.values[name])
                for name in self.meter.reading_types
            ),
            period=period,
        )

    def _date_times(self, stamps: Seconds) -> dlms_buffer.Octets:
        return dlms_time.date_times(stamps, self.meter.time_zone)

    def _profile(self, rows: Rows, *columns: Column, period: int) -> Profile:
        zone = ZoneInfo(self.meter.time_zone).key
        return Profile(rows, columns, capture_period=period, zone=zone)
