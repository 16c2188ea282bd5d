"""What the pushes of a batch say: columns where a layout reads them, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from drivers.dlms import push, push_content, push_layouts
from drivers.dlms.push_content import Content, Terms
from drivers.dlms.push_layout import Readings
from drivers.errors import DriverError
from headend import push_senders
from headend.landing_columns import Columns
from headend.push_opening import Push

_MICROSECONDS: Final = 1_000_000
# No meter had a memory of values before; each wrong month would be a part of the store of its own.
_FIRST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)


@dataclass(slots=True)
class Read:
    """What a batch says.

    Attributes
    ----------
    names : what the sender of each push calls itself, by the push's place in the batch
    columns : what layouts read; ``rows`` are places in the batch
    contents : what was read one by one, by place
    """

    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    columns: list[Readings] = field(default_factory=list)
    contents: dict[int, Content] = field(default_factory=dict)


def default_terms() -> Terms:
    """Give the terms to look for names with, while nobody knows whose they are."""
    return push_senders.terms("generic", 900, None)


def received_at(one: Push) -> datetime:
    """Give when a push came."""
    return datetime.fromtimestamp(one.received.at / _MICROSECONDS, UTC)


def read(pushes: Sequence[Push], layouts: push_layouts.Layouts) -> Read:
    """Read the plain notifications of a batch; one that is none is refused.

    Pushes that are refused already are left out.
    """
    found = Read()
    places = [at for at, one in enumerate(pushes) if one.refusal is None and one.plain]
    terms = [
        sender.terms if (sender := pushes[at].sender) is not None else default_terms()
        for at in places
    ]
    moments = np.array([pushes[at].received.at for at in places], np.int64)
    columns, left = layouts.read([pushes[at].plain for at in places], terms, moments)
    for readings in columns:
        rows = np.array([places[row] for row in readings.rows.tolist()], np.intp)
        found.columns.append(_moved(readings, rows))
        found.names.update(zip(rows.tolist(), readings.names, strict=True))
    for row in left.tolist():
        one = pushes[places[row]]
        try:
            content = push_content.read(push.decode(one.plain), terms[row], received_at(one))
        except DriverError as error:
            one.refuse("broken", str(error))
        else:
            found.contents[places[row]] = content
            found.names[places[row]] = content.names
    return found


def check_times(pushes: Sequence[Push], found: Read, now: datetime) -> None:
    """Refuse pushes whose time cannot be: a clock that was lost, or that runs a day ahead."""
    first, last = (round(one.timestamp() * _MICROSECONDS) for one in (_FIRST, now + _AHEAD))
    for readings in found.columns:
        wrong = (readings.read_at < first) | (readings.read_at > last)
        for row, at in zip(readings.rows[wrong].tolist(), readings.read_at[wrong].tolist(),
                           strict=True):  # fmt: skip
            _refuse_time(pushes[row], datetime.fromtimestamp(at / _MICROSECONDS, UTC))
    for place, content in found.contents.items():
        if not _FIRST <= content.read_at <= now + _AHEAD:
            _refuse_time(pushes[place], content.read_at)


def _refuse_time(one: Push, at: datetime) -> None:
    one.refuse("clock", f"its values are of {at:%Y-%m-%d %H:%M} UTC: set the meter's clock")


def columns(found: Read, pushes: Sequence[Push]) -> tuple[list[Columns], list[Columns]]:
    """Give what layouts read of pushes that are not refused: registers, and intervals."""
    taken = np.array([one.refusal is None and one.sender is not None for one in pushes], np.bool_)
    ids = np.array([one.sender.id if one.sender else 0 for one in pushes], np.int32)
    registers: list[Columns] = []
    intervals: list[Columns] = []
    for readings in found.columns:
        chosen = taken[readings.rows].nonzero()[0]
        if not len(chosen):
            continue
        delta = np.array([one.accumulation == "delta" for one in readings.meanings], np.bool_)
        devices = ids[readings.rows[chosen]]
        if not delta.all():
            registers.append(_columns(readings, chosen, ~delta, devices, readings.read_at[chosen]))
        if delta.any():
            seconds = _interval_seconds(readings, pushes)
            length = seconds * _MICROSECONDS
            starts = readings.read_at[chosen] // length * length - length
            part = _columns(readings, chosen, delta, devices, starts)
            lengths = np.full(len(part), seconds, np.int32)
            intervals.append(
                Columns(part.end_device, part.reading_type, part.at, part.values, part.quality,
                        lengths)
            )  # fmt: skip
    return registers, intervals


def _interval_seconds(readings: Readings, pushes: Sequence[Push]) -> int:
    """Give the interval length that all pushes of one layout have."""
    sender = pushes[int(readings.rows[0])].sender
    return sender.terms.interval_seconds if sender else default_terms().interval_seconds


def _columns(
    readings: Readings,
    chosen: np.ndarray[tuple[int], np.dtype[np.intp]],
    which: np.ndarray[tuple[int], np.dtype[np.bool_]],
    devices: np.ndarray[tuple[int], np.dtype[np.int32]],
    moments: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Columns:
    """Lay the values of some columns one after the other, push by push."""
    ids = np.array([one.id for one in readings.meanings], np.int16)[which]
    width = len(ids)
    return Columns(
        np.repeat(devices, width),
        np.tile(ids, len(chosen)),
        np.repeat(moments, width),
        readings.values[chosen][:, which].ravel(),
        np.repeat(readings.quality[chosen], width),
    )


def _moved(readings: Readings, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Readings:
    return Readings(
        rows, readings.names, readings.read_at, readings.meanings, readings.values, readings.quality
    )
