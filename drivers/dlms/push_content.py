"""What a notification says, in the domain's words: who speaks, readings, intervals, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from drivers.dlms import push, push_events, push_lists, scaling
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.companion import Companion
from drivers.dlms.push import Notification, Pushed
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


@dataclass(frozen=True, slots=True)
class Terms:
    """How the pushes of a meter are to be read.

    Attributes
    ----------
    companion : its companion profile
    interval_seconds : length of the intervals that it pushes [s]
    deviation : of a meter that does not write its own, from local time to UTC [min]
    """

    companion: Companion
    interval_seconds: int
    deviation: int | None = None


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
    meaning = one.meaning
    if meaning is None or one.scale is None:
        content.unplaced.append(f"{one.name} comes without scaler and unit")
        return
    try:
        value, code = scaling.scale(one.scale, meaning).integer(one.value)
    except RemoteProtocolError as error:
        content.unplaced.append(str(error))
        return
    code = doubt if code == quality.VALID else code
    if meaning.accumulation != "delta":
        content.registers.append(RegisterReading(meaning.name, content.read_at, value, code))
        return
    start = interval_start(int(content.read_at.timestamp()), terms.interval_seconds)
    if start is None:
        content.unplaced.append(
            f"{one.name} is of an interval that ends at {content.read_at:%H:%M:%S}, and intervals "
            f"are {terms.interval_seconds} s long in the registry"
        )
        return
    codes = None if code == quality.VALID else np.array([code], np.int16)
    moment = datetime.fromtimestamp(start, UTC)
    values = np.array([value], np.int64)
    content.blocks.append(
        IntervalBlock(meaning.name, moment, terms.interval_seconds, values, codes)
    )
