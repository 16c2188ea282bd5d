"""What some end devices gave, as the columns that the landing's statements take; pure.

A connection's own staging table would be filled, read and emptied for a few hundred rows: emptying
it alone takes longer than landing an hour's registers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headend import pieces
from schemas import binary_copy, parameters, reading_type
from schemas.event import EndDeviceEvent
from schemas.reading import IntervalBlock, RegisterReading

_INT64: Final = 2**63
# Values that go to the server in one statement, two megabytes of text.
_MOST_VALUES: Final = 250_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What one end device gave, by its id in the registry.

    ``session_id`` names the row of ``collection_session`` it came from; None from elsewhere.
    """

    end_device_id: int
    blocks: Sequence[IntervalBlock] = ()
    registers: Sequence[RegisterReading] = ()
    events: Sequence[EndDeviceEvent] = ()
    session_id: int | None = None


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A value that the store cannot hold, as the quarantine keeps it."""

    end_device_id: int
    payload: dict[str, str | int]
    reason: str

    def encoded(self) -> bytes:
        """Give the payload as the quarantine takes it."""
        return json.dumps(self.payload, sort_keys=True).encode()


@dataclass(slots=True)
class _Blocks:
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    values: list[NDArray[np.int64]] = field(default_factory=list)
    size: int = 0

    def add(self, answer: Answer, type_id: int, block: IntervalBlock) -> None:
        codes = block.quality
        written = parameters.numbers(codes.tolist()) if codes is not None and codes.any() else None
        first, self.size = self.size + 1, self.size + len(block)
        self.values.append(block.values)
        self.rows.append(
            (answer.end_device_id, type_id, block.start, block.interval_seconds,
             pieces.digest(block), answer.session_id, first, self.size, written, block.annotation)
        )  # fmt: skip

    def columns(self) -> dict[str, object]:
        devices, types, starts, seconds, digests, sessions, firsts, lasts, codes, notes = zip(
            *self.rows, strict=True
        )
        return {
            "end_devices": parameters.numbers(devices),
            "reading_types": parameters.numbers(types),
            "starts_at": parameters.moments(starts),
            "seconds": parameters.numbers(seconds),
            "digests": parameters.numbers(digests),
            "sessions": parameters.numbers(sessions),
            "firsts": parameters.numbers(firsts),
            "lasts": parameters.numbers(lasts),
            "qualities": list(codes),
            "annotations": list(notes),
            "values": binary_copy.array(np.concatenate(self.values)),
        }


def blocks(answers: Iterable[Answer], unplaced: list[Unplaced]) -> Iterator[dict[str, object]]:
    """Give the columns of interval blocks, cut at 00:00 UTC; those of an answer stay together.

    Parameters
    ----------
    unplaced : gets the values that the store's 32 bits cannot hold; their slots are MISSING

    Raises
    ------
    KeyError
        if a reading type is not in the table.
    """
    found = _Blocks()
    for answer in answers:
        for whole in answer.blocks:
            type_id = reading_type.named(whole.reading_type).id
            fitted, overflows = pieces.fit(whole)
            unplaced += [_overflow(answer.end_device_id, overflow) for overflow in overflows]
            for block in pieces.cut(fitted):
                found.add(answer, type_id, block)
        if found.size >= _MOST_VALUES:
            yield found.columns()
            found = _Blocks()
    if found.rows:
        yield found.columns()


def registers(answers: Iterable[Answer], unplaced: list[Unplaced]) -> dict[str, object] | None:
    """Give the columns of register readings; None if there is none.

    Parameters
    ----------
    unplaced : gets the values that the store's 64 bits cannot hold

    Raises
    ------
    KeyError
        if a reading type is not in the table.
    """
    rows = []
    for answer in answers:
        for one in answer.registers:
            if -_INT64 <= one.value < _INT64:
                type_id = reading_type.named(one.reading_type).id
                rows.append((answer.end_device_id, type_id, one.read_at, one.value, one.quality,
                             answer.session_id))  # fmt: skip
            else:
                unplaced.append(_too_large(answer.end_device_id, one))
    if not rows:
        return None
    devices, types, moments, values, codes, sessions = zip(*rows, strict=True)
    return {
        "end_devices": parameters.numbers(devices),
        "reading_types": parameters.numbers(types),
        "read_at": parameters.moments(moments),
        "values": parameters.numbers(values),
        "qualities": parameters.numbers(codes),
        "sessions": parameters.numbers(sessions),
    }


def events(answers: Iterable[Answer]) -> dict[str, object] | None:
    """Give the columns of events; None if there is none."""
    found = [(answer, event) for answer in answers for event in answer.events]
    if not found:
        return None
    return {
        "end_devices": parameters.numbers(answer.end_device_id for answer, _ in found),
        "occurred_at": parameters.moments(event.occurred_at for _, event in found),
        "categories": [event.category for _, event in found],
        "codes": parameters.numbers(event.code for _, event in found),
        "descriptions": [event.description for _, event in found],
        "sessions": parameters.numbers(answer.session_id for answer, _ in found),
    }


def _overflow(end_device_id: int, overflow: pieces.Overflow) -> Unplaced:
    payload: dict[str, str | int] = {
        "reading_type": overflow.reading_type,
        "starts_at": _written(overflow.starts_at),
        "value": overflow.value,
    }
    reason = "an interval's value does not fit into 32 bits; is the scaler or the unit wrong?"
    return Unplaced(end_device_id, payload, reason)


def _too_large(end_device_id: int, one: RegisterReading) -> Unplaced:
    payload: dict[str, str | int] = {
        "reading_type": one.reading_type,
        "read_at": _written(one.read_at),
        "value": one.value,
    }
    reason = "a register's value does not fit into 64 bits; is the scaler wrong?"
    return Unplaced(end_device_id, payload, reason)


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
