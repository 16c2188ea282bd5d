"""What a meter stores: load profiles, registers at fixed times, event logs; asked for in a session.

References
----------
IEC 62056-6-2:2021, 4.3.6 (Profile generic).
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from drivers.dlms import meter_view, profile, readout
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.profile import Profile
from drivers.dlms.readout import Rows
from drivers.dlms.settings import Settings
from drivers.dlms.steps import Step
from drivers.driver import Endpoint
from drivers.errors import AccessDenied, MeterRefused, NotOffered
from schemas.event import EndDeviceEvent
from schemas.period import Period
from schemas.reading import IntervalBlock, RegisterReading

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = 86_400

Captured = MutableMapping[tuple[str, Attribute], tuple[Attribute, ...]]
"""What the last meter captured, by companion profile and profile object."""


class Memory:
    """The profiles of one meter, as one session sees them: each lay-out is asked for once."""

    def __init__(
        self, association: Association, endpoint: Endpoint, settings: Settings, captured: Captured
    ) -> None:
        self._association = association
        self._interval_seconds = endpoint.interval_seconds
        self._meter_profile = endpoint.meter_profile
        self._companion = settings.companion
        self._deviation = settings.deviation
        self._captured = captured
        self._expected = endpoint.expected
        self._layouts: dict[Attribute, Profile | MeterRefused] = {}
        self._periods: dict[Attribute, int] = {}

    def intervals(self, period: Period) -> Step[list[IntervalBlock]]:
        """Read every profile of intervals; a series that several of them have comes from the first.

        The first may be one without a capture period: then the registry's interval counts. The
        others have intervals if they are captured more often than daily.
        """
        blocks: list[IntervalBlock] = []
        lacking: list[MeterRefused] = []
        known: set[str] = set()
        first, *others = (self._companion.object(what) for what in self._companion.intervals)
        yield from self._ask_layouts((first,), beside=others)
        for buffer in (first, *others):
            try:
                if buffer != first:
                    self._check_finer(buffer)
                layout = yield from self._layout(buffer)
                names = readout.interval_names(layout)
                if names - known:
                    found = yield from self._profile_intervals(layout, period)
                    blocks += [block for block in found if block.reading_type not in known]
                known |= names
            except NotOffered as error:
                lacking.append(error)
        _check_some(self._companion.intervals, lacking)
        return sorted(blocks, key=lambda block: block.start)

    def registers(self, profiles: Sequence[str], period: Period) -> Step[list[RegisterReading]]:
        """Read profiles of registers, both ends of the period included, oldest first.

        Parameters
        ----------
        profiles : names in the companion profile's objects
        """
        found: list[RegisterReading] = []
        lacking: list[MeterRefused] = []
        for what in profiles:
            try:
                layout = yield from self._layout(self._companion.object(what))
                rows = yield from self._rows(layout, period.start, period.end)
                found += readout.register_readings(rows, period)
            except NotOffered as error:
                lacking.append(error)
        _check_some(profiles, lacking)
        return sorted(found, key=lambda reading: reading.read_at)

    def events(self, period: Period) -> Step[list[EndDeviceEvent]]:
        """Read every event log that the meter has and shows, oldest first."""
        found: list[EndDeviceEvent] = []
        lacking: list[MeterRefused] = []
        logs = self._companion.event_logs
        yield from self._ask_layouts(log.buffer for log in logs)
        for log in logs:
            try:
                layout = yield from self._layout(log.buffer)
                rows = yield from self._rows(layout, period.start, period.end)
                found += readout.events(rows, log, period)
            except (NotOffered, AccessDenied) as error:
                lacking.append(error)
        _check_some(logs, lacking)
        return sorted(found, key=lambda event: event.occurred_at)

    def _check_finer(self, buffer: Attribute) -> None:
        """Raise NotOffered if a profile is not captured more often than daily."""
        if not 0 < self._periods[buffer] < _DAY:
            raise NotOffered(
                f"profile {buffer.name} is captured every {self._periods[buffer]} s: no intervals"
            )

    def _profile_intervals(self, layout: Profile, period: Period) -> Step[list[IntervalBlock]]:
        seconds = layout.period_seconds or self._interval_seconds
        length = timedelta(seconds=seconds)
        # Stamps are interval ends; a register's first step needs the row at the very start.
        first = period.start if readout.has_steps(layout) else period.start + length
        rows = yield from self._rows(layout, first, period.end + length - _SECOND)
        return readout.interval_blocks(rows, period, seconds)

    def _rows(self, layout: Profile, first: datetime, last: datetime) -> Step[Rows]:
        columns = yield from profile.read_rows(
            self._association, layout, first, last, self._deviation
        )
        return Rows(layout, columns, self._companion)

    def _layout(self, buffer: Attribute) -> Step[Profile]:
        yield from self._ask_layouts((buffer,))
        found = self._layouts[buffer]
        if isinstance(found, MeterRefused):
            raise found
        return found

    def _ask_layouts(
        self, buffers: Iterable[Attribute], beside: Sequence[Attribute] = ()
    ) -> Step[None]:
        """Ask for lay-outs that are not known yet, and for periods beside, all of them at once.

        The first time, those that will be needed later in the session are asked for, too.
        """
        expected, self._expected = self._expected, frozenset()
        if expected:
            more, others = self._needed(expected)
            buffers, beside = [*buffers, *more], [*beside, *others]
        new = {one: self._guess(one) for one in buffers if one not in self._layouts}
        lacking = [one for one in beside if one not in self._periods]
        if not new and not lacking:
            return
        found, periods = yield from profile.read_layouts(self._association, new, lacking)
        self._layouts |= found
        self._periods |= dict(zip(lacking, periods, strict=True))
        for buffer, layout in found.items():
            if isinstance(layout, Profile):
                self._captured[self._companion.name, buffer] = layout.captured

    def _needed(self, expected: Iterable[str]) -> tuple[list[Attribute], list[Attribute]]:
        """Give the profiles that features go by, and those whose periods alone they ask for."""
        companion = self._companion
        objects, logs = companion.objects, [log.buffer for log in companion.event_logs]
        stretches = [objects[name] for name in companion.intervals if name in objects]
        stored = [objects[name] for name in companion.registers if name in objects]
        needed = {"intervals": stretches[:1], "register_history": stored, "events": logs}
        more = [one for what in expected for one in needed.get(what, ())]
        return more, stretches[1:] if "intervals" in expected else []

    def _guess(self, buffer: Attribute) -> Sequence[Attribute]:
        """Guess what a profile captures.

        That is what this meter captured when its association view was read, or else what the last
        meter captured: most meters of a kind capture the same.
        """
        known = self._meter_profile
        stored = known.stored(str(buffer)) if known is not None else None
        if stored is not None:
            return meter_view.captured(stored)
        return self._captured.get((self._companion.name, buffer), ())


def _check_some(asked: Sequence[object], lacking: Sequence[MeterRefused]) -> None:
    """Raise the first of the refusals if nothing of all that was asked for is there."""
    if not asked:
        raise NotOffered("the companion profile names no object for that")
    if len(lacking) == len(asked):
        raise lacking[0]
