"""Consumption from registers: differences × multiplier, over rollover and meter exchange.

The period's own ends need a reading at that very moment. Where a meter was exchanged (or put in, or
taken out) inside the period, its last and first reading seldom stand at the moment of exchange:
what flowed between them is then bridged by the intervals, if none of those is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, NamedTuple

from schemas.quality import QualityClass, class_table

MICRO: Final = 10**6
"""The registry keeps multipliers to six decimals: in millionths they are whole."""

Bridge = Callable[[int, int], int | None]
"""Gives the intervals' sum from one moment to another [s], None if one is missing."""

_UNUSABLE: Final = (QualityClass.MISSING, QualityClass.QUESTIONABLE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """An installation, cut to the period.

    Attributes
    ----------
    channel_id : of the register, None if it was never read
    interval_seconds : of the end device [s]
    modulus : where the register wraps to 0 [scaled unit]; None if never
    starts_at, ends_at : [s since 1970-01-01 UTC]
    """

    installation_id: int
    channel_id: int | None
    end_device: str
    interval_seconds: int
    multiplier: Decimal
    modulus: int | None
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class Reading:
    """A version of a register reading, ``value`` as the dial showed it [scaled unit]."""

    read_at: int
    version: int
    value: int
    quality: int

    @property
    def kind(self) -> QualityClass:
        """What its quality means for a bill."""
        return QualityClass(int(class_table()[self.quality]))

    @property
    def usable(self) -> bool:
        """Whether a bill may rest on it."""
        return self.kind not in _UNUSABLE


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch with the readings that bound it, None where there is none."""

    stretch: Stretch
    start: Reading | None
    end: Reading | None


@dataclass(frozen=True, slots=True)
class Consumption:
    """What registers say was consumed.

    Attributes
    ----------
    micro : [scaled unit / 10⁶], after the multiplier; None if the registers do not say
    bridged : how much of it the intervals gave [scaled unit]
    note : why there is none, or what was bridged; empty if there is nothing to say
    """

    micro: int | None
    bridged: int
    note: str


def bounded(stretch: Stretch, readings: Sequence[Reading], start: int, end: int) -> Span:
    """Choose the readings that bound a stretch.

    Parameters
    ----------
    readings : of the installation, oldest first
    start, end : the period [s since 1970-01-01 UTC]
    """
    inside = [r for r in readings if stretch.starts_at <= r.read_at <= stretch.ends_at and r.usable]
    first, last = (inside[0], inside[-1]) if inside else (None, None)
    if first and stretch.starts_at == start and first.read_at != start:
        first = None
    if last and stretch.ends_at == end and last.read_at != end:
        last = None
    return Span(stretch, first, last)


def consumption(spans: Sequence[Span], bridge: Bridge) -> Consumption:
    """Sum the consumption of all installations of a usage point.

    Parameters
    ----------
    spans : oldest first
    bridge : the usage point's intervals
    """
    if not spans:
        return Consumption(None, 0, "nothing was installed")
    whole = [_Bounded(s.stretch, s.start, s.end) for s in spans if s.start and s.end]
    if len(whole) < len(spans):
        return Consumption(None, 0, _unread(spans))
    micro, bridged, notes = 0, 0, []
    for span in whole:
        gone = difference(span.stretch.modulus, span.start.value, span.end.value)
        if gone is None:
            return Consumption(None, 0, _fallen(span))
        micro += gone * int(span.stretch.multiplier * MICRO)
    for since, until in _between(whole):
        energy = bridge(since, until)
        if energy is None:
            return Consumption(None, 0, f"intervals are missing from {said(since, until)}")
        bridged += energy
        notes.append(f"by intervals from {said(since, until)}")
    return Consumption(micro + bridged * MICRO, bridged, "; ".join(notes))


class _Bounded(NamedTuple):
    """A span with both its readings."""

    stretch: Stretch
    start: Reading
    end: Reading


def difference(modulus: int | None, start: int, end: int) -> int | None:
    """Give end − start; None where a fall is no rollover.

    A register that rolled over has gone less than half its way since: a greater one has fallen.

    Parameters
    ----------
    modulus : where the register wraps to 0; None if never
    """
    found = end - start
    if found >= 0:
        return found
    if modulus is None or 2 * (found + modulus) >= modulus or found + modulus < 0:
        return None
    return found + modulus


def _between(spans: Sequence[_Bounded]) -> list[tuple[int, int]]:
    """List the stretches of time that no register covers, oldest first."""
    moments = [spans[0].stretch.starts_at]
    for span in spans:
        moments += [span.start.read_at, span.end.read_at]
    moments.append(spans[-1].stretch.ends_at)
    return [(a, b) for a, b in zip(moments[::2], moments[1::2], strict=True) if a < b]


def _unread(spans: Sequence[Span]) -> str:
    span = next(span for span in spans if not (span.start and span.end))
    side = "end" if span.start else "start"
    moment = span.stretch.ends_at if span.start else span.stretch.starts_at
    return f"{span.stretch.end_device} has no usable reading at the {side}, {_time(moment)}"


def _fallen(span: _Bounded) -> str:
    return (
        f"the register of {span.stretch.end_device} fell from {span.start.value} to "
        f"{span.end.value}, and that is no rollover"
    )


def said(since: int, until: int) -> str:
    """Write a stretch of time for people."""
    return f"{_time(since)} to {_time(until)}"


def _time(moment: int) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
