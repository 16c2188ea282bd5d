"""What a notification says, in the domain's words: who speaks, readings, intervals, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from drivers.dlms import push, push_buffer, push_events, push_lists, scaling
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.companion import Companion
from drivers.dlms.push import Notification, Pushed
from drivers.dlms.push_buffer import KnownProfile, Slot
from drivers.dlms.push_lists import ScalerUnit
from drivers.errors import RemoteProtocolError
from schemas import quality
from schemas.event import EndDeviceEvent
from schemas.obis import Obis
from schemas.reading import IntervalBlock, RegisterReading

# Groups A, C, D, E of what names a meter: device name, serial number, electricity ids, GS1 number.
_NAMES: Final = frozenset({(0, 42, 0, 0), (0, 96, 1, 0), (1, 0, 0, 0), (1, 0, 0, 5)})
_DEVICE_NAME: Final = (0, 42)
_LONGEST_NAME: Final = 64
# An interval that a meter pushes a little after its end; more, and it is not clear which it is.
_LATE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """How the pushes of a meter are to be read; one object for all meters that it holds for.

    Attributes
    ----------
    companion : its companion profile
    interval_seconds : length of the intervals that it pushes [s]
    deviation : of a meter that does not write its own, from local time to UTC [min]
    profiles : what is known of its profiles, for rows and registers that come without scales
    """

    companion: Companion
    interval_seconds: int
    deviation: int | None = None
    profiles: tuple[KnownProfile, ...] = ()

    def scale(self, one: Pushed) -> ScalerUnit | None:
        """Give the scaler and unit of a value: its own, else those that its register has."""
        if one.scale is not None or one.name is None:
            return one.scale
        source = f"3/{one.name}/2"
        columns = (column for profile in self.profiles for column in profile.columns)
        return next((column.scale for column in columns if column.source == source), None)


@dataclass(slots=True)
class Content:
    """What one notification says.

    Attributes
    ----------
    names : what the sender calls itself: serial number, logical device name
    read_at : the moment that values belong to
    unplaced : why values with a meaning could not be taken, one reason each
    """

    names: tuple[str, ...]
    read_at: datetime
    registers: list[RegisterReading] = field(default_factory=list)
    blocks: list[IntervalBlock] = field(default_factory=list)
    events: list[EndDeviceEvent] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)


def read(notification: Notification, terms: Terms, received_at: datetime) -> Content:
    """Read a notification.

    Parameters
    ----------
    received_at : for meters that do not say when they sent it
    """
    pushed = push.values(notification)
    clock = push.sent_at(notification, pushed)
    at = (clock.utc(terms.deviation) if clock else None) or received_at
    doubt = int(terms.companion.clock_quality[clock.status]) if clock else quality.VALID
    content = Content(names(pushed), at)
    for one in pushed:
        if one.name is not None and push_events.is_event(one.name):
            content.events += push_events.events(one.name, one.value, at, terms.companion)
        elif (profile := _profile(one, terms)) is not None:
            _take_rows(content, profile, one, terms)
        elif one.meaning is not None and not isinstance(one.value, ClockTime | str | bytes):
            _take(content, one, terms, doubt)
    return content


def names(pushed: Sequence[Pushed]) -> tuple[str, ...]:
    """Give what a sender calls itself, its numbers before its logical device name."""
    return tuple(pushed[place].value for place in name_places(pushed))


def name_places(pushed: Sequence[Pushed]) -> list[int]:
    """Give the places of the texts that name the sender, in the order of ``names``.

    A text without a code that comes first may be its name, if it names no list that we know.
    """
    found = []
    for place, one in enumerate(pushed):
        if isinstance(one.value, str) and _is_name(one.value):
            nameless_first = place == 0 and one.name is None and not push_lists.is_list(one.value)
            if nameless_first or (one.name is not None and names_meter(one.name)):
                found.append(place)
    return sorted(found, key=lambda place: _is_device_name(pushed[place]))


def _is_device_name(one: Pushed) -> bool:
    return one.name is None or (one.name.a, one.name.c) == _DEVICE_NAME


def _is_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()


def names_meter(name: Obis) -> bool:
    """Tell whether an object holds a name or number of the meter."""
    return (name.a, name.c, name.d, name.e) in _NAMES


def interval_start(end: int, interval_seconds: int) -> int | None:
    """Give the start of the interval that ended at a moment, None if it is not clear which.

    Parameters
    ----------
    end : when it was pushed or ended [s since 1970-01-01 UTC]
    """
    late = end % interval_seconds
    return None if late > latest(interval_seconds) else end - late - interval_seconds


def latest(interval_seconds: int) -> int:
    """Give how long after its end an interval may be pushed [s]."""
    return min(_LATE_SECONDS, interval_seconds // 20)


def _take(content: Content, one: Pushed, terms: Terms, doubt: int) -> None:
    """Add one value to the readings or intervals, or say why it is none."""
    meaning, scaler_unit = one.meaning, terms.scale(one)
    if meaning is None or scaler_unit is None:
        content.unplaced.append(f"{one.name} comes without scaler and unit")
        return
    try:
        value, code = scaling.scale(scaler_unit, meaning).integer(one.value)
    except RemoteProtocolError as error:
        content.unplaced.append(str(error))
        return
    code = doubt if code == quality.VALID else code
    _add(content, Slot(meaning, content.read_at, value, code), terms)


def _profile(one: Pushed, terms: Terms) -> KnownProfile | None:
    return None if one.name is None else push_buffer.of(one.name, one.value, terms.profiles)


def _take_rows(content: Content, profile: KnownProfile, one: Pushed, terms: Terms) -> None:
    """Add the rows of a profile, or say why they are none."""
    try:
        slots = list(push_buffer.slots(profile, one.value, terms.companion, terms.deviation))
    except RemoteProtocolError as error:
        content.unplaced.append(str(error))
        return
    for slot in slots:
        _add(content, slot, terms)


def _add(content: Content, slot: Slot, terms: Terms) -> None:
    """Add a value to the registers, or to the interval that ended then."""
    meaning = slot.meaning
    if meaning.accumulation != "delta":
        reading = RegisterReading(meaning.name, slot.at, slot.value, slot.quality)
        content.registers.append(reading)
        return
    start = interval_start(int(slot.at.timestamp()), terms.interval_seconds)
    if start is None:
        content.unplaced.append(
            f"{meaning.obis} is of an interval that ends at {slot.at:%H:%M:%S}, and intervals "
            f"are {terms.interval_seconds} s long in the registry"
        )
        return
    codes = None if slot.quality == quality.VALID else np.array([slot.quality], np.int16)
    moment = datetime.fromtimestamp(start, UTC)
    values = np.array([slot.value], np.int64)
    content.blocks.append(
        IntervalBlock(meaning.name, moment, terms.interval_seconds, values, codes)
    )
