"""A profile's lay-out: what it captures, how often, and the scale of each register in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from drivers.dlms import axdr, profile_buffer
from drivers.dlms.apdu import Attribute, Range
from drivers.dlms.association import Conformance
from drivers.dlms.engine import Association
from drivers.dlms.profile_buffer import Columns
from drivers.dlms.refusals import Refusal
from drivers.dlms.scaling import Scale, scale
from drivers.dlms.steps import Step
from drivers.errors import MeterRefused, NotOffered, RemoteProtocolError
from schemas import reading_type
from schemas.obis import Obis
from schemas.reading_type import ReadingType

_CLOCK: Final = 8
# Register and extended register: both have the value in attribute 2 and its scale in 3.
_REGISTERS: Final = (3, 4)
_CAPTURE_OBJECTS, _CAPTURE_PERIOD = 3, 4
_MOST_OBJECTS: Final = 255


@dataclass(frozen=True, slots=True)
class Channel:
    """A captured register: which of the columns without the clock it is, and what it means."""

    column: int
    reading_type: ReadingType
    scale: Scale


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile of a meter.

    Attributes
    ----------
    buffer : the profile's attribute 2
    captured : what each row has, in its order
    clock : which of them is the clock
    period_seconds : capture period, 0 if rows come with events [s]
    channels : the registers among them that have a reading type
    """

    buffer: Attribute
    captured: tuple[Attribute, ...]
    clock: int
    period_seconds: int
    channels: tuple[Channel, ...]

    def column(self, attribute: Attribute) -> int | None:
        """Find a captured attribute among the columns without the clock, None if it is none."""
        others = [*self.captured[: self.clock], *self.captured[self.clock + 1 :]]
        return others.index(attribute) if attribute in others else None


def read_layouts(
    association: Association,
    wanted: Mapping[Attribute, Sequence[Attribute]],
    beside: Sequence[Attribute] = (),
) -> Step[tuple[dict[Attribute, Profile | MeterRefused], list[int]]]:
    """Ask a meter how profiles are laid out, all of them at once.

    Parameters
    ----------
    wanted : by each profile's attribute 2, what it may capture. The scalers of these registers are
        asked for at once; where the meter captures something else, it costs another request and
        nothing more.
    beside : attributes 2 of further profiles, whose capture period alone is asked for

    Returns
    -------
    each profile, or why there is none: NotOffered if the meter has no such profile, or one without
    a clock; and the periods of those beside, 0 where there is none [s]
    """
    asked = [attribute for buffer, guess in wanted.items() for attribute in _asked(buffer, guess)]
    periods = [buffer.beside(_CAPTURE_PERIOD) for buffer in beside]
    answers = yield from _answers(association, [*asked, *periods])
    captured: dict[Attribute, tuple[Attribute, ...]] = {}
    found: dict[Attribute, Profile | MeterRefused] = {}
    for buffer in wanted:
        objects = answers[buffer.beside(_CAPTURE_OBJECTS)]
        if isinstance(objects, Refusal):
            found[buffer] = _refused(objects, buffer.beside(_CAPTURE_OBJECTS))
        elif objects == []:
            found[buffer] = NotOffered(f"profile {buffer.name} captures nothing")
        else:
            captured[buffer] = capture_objects(objects)
    lacking = {one for columns in captured.values() for one in _scalers(columns)} - answers.keys()
    if lacking:
        answers |= yield from _answers(association, sorted(lacking, key=bytes))
    for buffer, columns in captured.items():
        try:
            found[buffer] = _profile(buffer, columns, answers)
        except MeterRefused as error:
            found[buffer] = error
    values = (answers[one] for one in periods)
    return found, [value if isinstance(value, int) else 0 for value in values]


def _asked(buffer: Attribute, guess: Sequence[Attribute]) -> list[Attribute]:
    own = [buffer.beside(index) for index in (_CAPTURE_OBJECTS, _CAPTURE_PERIOD)]
    return [*own, *_scalers(guess)]


def _answers(
    association: Association, asked: Sequence[Attribute]
) -> Step[dict[Attribute, axdr.Value | Refusal]]:
    unlike = list(dict.fromkeys(asked))
    values = yield from association.get_all(unlike)
    return dict(zip(unlike, values, strict=True))


def _profile(
    buffer: Attribute,
    captured: tuple[Attribute, ...],
    answers: Mapping[Attribute, axdr.Value | Refusal],
) -> Profile:
    asked = buffer.beside(_CAPTURE_PERIOD)
    period = answers[asked]
    if isinstance(period, Refusal):
        raise period.error(f"reading {asked}")
    if not isinstance(period, int) or period < 0:
        raise RemoteProtocolError(f"{asked}: {period!r} is no capture period")
    clock = _clock(buffer, captured)
    columns = captured[:clock] + captured[clock + 1 :]
    return Profile(buffer, captured, clock, period, tuple(_channels(columns, answers)))


def _refused(refusal: Refusal, attribute: Attribute) -> MeterRefused:
    error = refusal.error(f"reading {attribute}")
    if not isinstance(error, MeterRefused):
        raise error
    return error


def read_rows(
    association: Association,
    profile: Profile,
    first: datetime,
    last: datetime,
    deviation: int | None = None,
) -> Step[Columns]:
    """Read a profile's rows of a stretch of time, both ends included, and maybe more.

    A meter without selective access gives its whole buffer.

    Parameters
    ----------
    deviation : of a meter that does not write its own, from local time to UTC [min]
    """
    selection = None
    if association.offers(Conformance.SELECTIVE_ACCESS):
        selection = Range(profile.captured[profile.clock], first, last, deviation or 0)
    data = yield from association.get(profile.buffer, selection)
    return profile_buffer.decode(
        data,
        width=len(profile.captured),
        clock=profile.clock,
        period_seconds=profile.period_seconds,
        assumed_deviation=deviation,
    )


def capture_objects(value: axdr.Value) -> tuple[Attribute, ...]:
    """Read a profile's attribute 3.

    Raises
    ------
    RemoteProtocolError
        if it is no list of capture objects.
    """
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_OBJECTS:
        raise RemoteProtocolError("a profile's capture objects are no list of 1 … 255")
    return tuple(_capture_object(entry) for entry in value)


def _capture_object(entry: axdr.Value) -> Attribute:
    match entry:
        case (int(class_id), bytes(name), int(index), int()) if (
            len(name) == 6 and 0 <= class_id <= 0xFFFF and 0 <= index <= 0x7F
        ):
            return _captured(class_id, name, index)
        case _:
            raise RemoteProtocolError(f"{entry!r} is no capture object")


@lru_cache(maxsize=4096)
def _captured(class_id: int, name: bytes, index: int) -> Attribute:
    """Give an attribute; meters of a kind capture the same ones, and tell so in each session."""
    return Attribute(class_id, Obis.from_bytes(name), index)


def _clock(buffer: Attribute, captured: Sequence[Attribute]) -> int:
    for index, attribute in enumerate(captured):
        if attribute.class_id == _CLOCK and attribute.index == 2:
            return index
    raise NotOffered(f"profile {buffer.name} captures no clock; its rows cannot be placed")


def _scalers(captured: Sequence[Attribute]) -> list[Attribute]:
    return [captured[index].beside(3) for index, _ in _registers(captured)]


def _channels(
    columns: Sequence[Attribute], scalers: Mapping[Attribute, axdr.Value | Refusal]
) -> Iterator[Channel]:
    for index, meaning in _registers(columns):
        asked = columns[index].beside(3)
        value = scalers[asked]
        if isinstance(value, Refusal):
            raise value.error(f"reading the scaler of a captured register, {asked}")
        yield Channel(index, meaning, scale(value, meaning))


def _registers(columns: Sequence[Attribute]) -> Iterator[tuple[int, ReadingType]]:
    for index, column in enumerate(columns):
        meaning = reading_type.of_obis(column.name)
        if meaning is not None and column.class_id in _REGISTERS and column.index == 2:
            yield index, meaning
