"""Layouts: many pushes of one make, read at once as columns.

Meters of one kind push the same list again and again; only the values differ. A layout is made of
one such push by the general decoder (``push_content``): which octets are the values, the clock and
the meter's names, and what the values mean. Another push is read by it only if every other octet
is the same, so that the general decoder would find the same in it. Whatever is unusual in a row (a
clock that cannot be placed, an event, a number that does not fit) is left to the general decoder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import (
    axdr,
    clock_time,
    push,
    push_content,
    push_events,
    push_lists,
    push_trace,
    scaling,
)  # fmt: skip
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.profile_buffer import Column
from drivers.dlms.push import Pushed
from drivers.dlms.push_content import Terms
from drivers.dlms.push_trace import Number, Octets, Text
from drivers.dlms.scaling import Scale
from drivers.errors import RemoteProtocolError
from schemas import quality
from schemas.reading_type import ReadingType

Moments = NDArray[np.int64]
_DATA_NOTIFICATION: Final = bytes((push.DATA_NOTIFICATION,))
_INVOKE: Final = slice(1, 5)
_TIME_AT: Final = 5
_NAME_SIZE: Final = 6
_MICROSECONDS: Final = 1_000_000
_LARGEST: Final = np.uint64(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Field:
    """A number of the list: its octets, and what it means.

    An event code or alarm has no meaning here; it is unusual if it is not 0.
    """

    octets: slice
    form: str
    meaning: ReadingType | None = None
    scale: Scale | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """What a layout read in rows of pushes.

    Attributes
    ----------
    rows : which of the given pushes, shape (n,)
    names : what each sender calls itself
    read_at : shape (n,) [µs since 1970-01-01 UTC]
    meanings : reading type of each column
    values : shape (n, k) [scaled unit]
    quality : shape (n,), codes that hold for all values of a push
    """

    rows: NDArray[np.intp]
    names: list[tuple[str, ...]]
    read_at: Moments
    meanings: tuple[ReadingType, ...]
    values: NDArray[np.int64]
    quality: NDArray[np.int16]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything stands in the pushes of one make.

    Attributes
    ----------
    fixed, expected : octets that are the same in all, and what they are, shape (f,) each
    clock : octets of the time that counts, None if none is sent
    names : octets of the texts that name the meter, in their order
    first_text : octets of a text that would name the list if it were a known one, and may differ
    """

    terms: Terms
    fixed: NDArray[np.intp]
    expected: NDArray[np.uint8]
    clock: slice | None
    names: tuple[slice, ...]
    first_text: slice | None
    fields: tuple[Field, ...]

    def matches(self, octets: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Tell which pushes, shape (n, length), are built so."""
        same: NDArray[np.bool_] = (octets.take(self.fixed, axis=1) == self.expected).all(axis=1)
        return same

    def read(
        self, octets: NDArray[np.uint8], rows: NDArray[np.intp], received_at: Moments
    ) -> Readings:
        """Read pushes that match; those with anything unusual are left out.

        Parameters
        ----------
        octets : shape (n, length)
        rows : their numbers, shape (n,)
        received_at : shape (n,) [µs since 1970-01-01 UTC]
        """
        read_at, usual, codes = self._moments(octets, received_at)
        columns = []
        for field in self.fields:
            raw, fits = _numbers(octets, field)
            usual &= fits
            if field.meaning is None or field.scale is None:
                usual &= raw == 0
                continue
            values, value_codes = field.scale.column(Column(raw, fits))
            usual &= value_codes == quality.VALID
            columns.append(values)
        for span in self.names:
            usual &= _printable(octets[:, span])
        if self.first_text is not None:
            usual &= _names_no_list(octets[:, self.first_text])
        meanings = tuple(one.meaning for one in self.fields if one.meaning is not None)
        usual &= self._on_grid(read_at, meanings)
        chosen = usual.nonzero()[0]
        return Readings(
            rows=rows[chosen],
            names=_texts(octets[chosen], self.names),
            read_at=read_at[chosen],
            meanings=meanings,
            values=np.stack(columns, axis=1)[chosen],
            quality=codes[chosen],
        )

    def _moments(
        self, octets: NDArray[np.uint8], received_at: Moments
    ) -> tuple[Moments, NDArray[np.bool_], NDArray[np.int16]]:
        if self.clock is None:
            valid = np.full(len(octets), quality.VALID, np.int16)
            return received_at, np.ones(len(octets), np.bool_), valid
        times = np.ascontiguousarray(octets[:, self.clock])
        moments, known, status = clock_time.decode_column(times, self.terms.deviation)
        return moments * _MICROSECONDS, known, self.terms.companion.clock_quality[status]

    def _on_grid(self, read_at: Moments, meanings: Sequence[ReadingType]) -> NDArray[np.bool_]:
        """Tell where it is clear which interval a push is of, if it has intervals."""
        if all(one.accumulation != "delta" for one in meanings):
            return np.ones(len(read_at), np.bool_)
        late = push_content.latest(self.terms.interval_seconds) * _MICROSECONDS
        on_grid: NDArray[np.bool_] = (
            read_at % (self.terms.interval_seconds * _MICROSECONDS) < late + _MICROSECONDS
        )
        return on_grid


def compiled(apdu: bytes, terms: Terms) -> Layout | None:
    """Make the layout of a notification; None if its make is none that can be read so.

    Raises
    ------
    RemoteProtocolError
        if it is none at all.
    """
    if apdu[:1] != _DATA_NOTIFICATION:
        return None
    notification = push.decode(apdu)
    header = _header(apdu)
    body, end = push_trace.decode(apdu, header.stop)
    pushed = push.values(replace(notification, body=body))
    fields = _fields(pushed, terms)
    if fields is None or end != len(apdu):
        return None
    clock = push.sent_at(notification, pushed)
    heading = header if notification.time is not None else None
    places = _name_places(pushed)
    names = tuple(_spans(pushed[place] for place in places))
    free = np.zeros(len(apdu), np.bool_)
    for span in (_INVOKE, *(one.octets for one in fields), *_meaningless(pushed), *names,
                 *_spans(one for one in pushed if isinstance(one.value, ClockTime)),
                 *([heading] if heading else [])):  # fmt: skip
        free[span] = True
    own = next(_spans(one for one in pushed if one.value is clock), None) if clock else None
    first = _octets_of(pushed[0]) if 0 in places else None
    fixed = (~free).nonzero()[0]
    expected = np.frombuffer(apdu, np.uint8)[fixed]
    return Layout(terms, fixed, expected, own or (heading if clock else None), names, first,
                  tuple(fields))  # fmt: skip


def _header(apdu: bytes) -> slice:
    """Give the octets of the message's own time; none of them if it has none."""
    at = _TIME_AT
    if apdu[at : at + 2] == bytes((axdr.OCTET_STRING, clock_time.SIZE)):
        at += 1
    text, end = axdr.octets(apdu, at)
    return slice(end - len(text), end)


def _fields(pushed: Sequence[Pushed], terms: Terms) -> list[Field] | None:
    """Give the numbers that mean something; None if there are none, or one cannot be placed."""
    fields = []
    for one in pushed:
        event = one.name is not None and push_events.is_event(one.name)
        if isinstance(one.value, list | tuple):
            # Rows of a profile, or what is read one by one.
            return None
        if not event and (one.meaning is None or isinstance(one.value, ClockTime | str | bytes)):
            continue
        field = _field(one, terms, event=event)
        if field is None:
            return None
        fields.append(field)
    return fields if any(one.meaning for one in fields) else None


def _field(one: Pushed, terms: Terms, *, event: bool) -> Field | None:
    """Give one number's field, None if it is none or has no scale that fits."""
    if not isinstance(one.raw, Number) or one.raw.paired:
        return None
    span, form = _octets_of(one), axdr.NUMBERS[one.raw.tag]
    if event:
        return Field(span, form)
    scaler_unit = terms.scale(one)
    if scaler_unit is None or one.meaning is None:
        return None
    try:
        return Field(span, form, one.meaning, scaling.scale(scaler_unit, one.meaning))
    except RemoteProtocolError:
        return None


def _meaningless(pushed: Sequence[Pushed]) -> Iterator[slice]:
    """Give the octets of numbers that say nothing here, whatever they are."""
    return _spans(one for one in pushed if isinstance(one.raw, Number) and not one.raw.paired)


def _name_places(pushed: Sequence[Pushed]) -> list[int]:
    """Give the places of the texts that name the meter and may differ, in their order."""
    return [
        place
        for place in push_content.name_places(pushed)
        if isinstance(pushed[place].raw, Octets | Text)
        and not push_lists.is_list(pushed[place].value)
        # Six octets without a name could be a name themselves.
        and (pushed[place].name is not None or len(pushed[place].raw) != _NAME_SIZE)
    ]


def _spans(pushed: Iterable[Pushed]) -> Iterator[slice]:
    return (_octets_of(one) for one in pushed)


def _octets_of(one: Pushed) -> slice:
    """Give the octets of a number, a time or a text."""
    raw = one.raw
    if isinstance(raw, Number):
        return slice(raw.at + 1, raw.at + 1 + axdr.SIZES[raw.tag])
    size = raw.size if isinstance(raw, Text) else len(raw)
    return slice(raw.at, raw.at + size)


def _numbers(
    octets: NDArray[np.uint8], field: Field
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Give a field's numbers, and whether each fits 64 bits with a sign."""
    column: NDArray[Any] = np.ascontiguousarray(octets[:, field.octets]).view(field.form)[:, 0]
    fits: NDArray[np.bool_] = np.ones(len(column), np.bool_)
    if field.form == ">Q":
        np.less_equal(column, _LARGEST, out=fits)
    return column.astype(np.int64), fits


def _printable(octets: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell which rows, shape (n, size), are text that ``push`` gives as such."""
    text = (octets >= 0x20) & (octets < 0x7F)
    found: NDArray[np.bool_] = np.logical_and(text.all(axis=1), (octets > 0x20).any(axis=1))
    return found


def _names_no_list(octets: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.array([not push_lists.is_list(text) for text in _column_texts(octets)], np.bool_)


def _texts(octets: NDArray[np.uint8], spans: Sequence[slice]) -> list[tuple[str, ...]]:
    columns = [_column_texts(octets[:, span]) for span in spans]
    return list(zip(*columns, strict=True)) if columns else [()] * len(octets)


def _column_texts(octets: NDArray[np.uint8]) -> list[str]:
    """Give printable rows as texts, without the spaces around them."""
    size = octets.shape[1]
    whole = octets.tobytes().decode("latin-1")
    return [whole[at : at + size].strip() for at in range(0, len(whole), size)]
