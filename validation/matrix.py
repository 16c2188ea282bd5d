"""The input of a validation run: a cube of channels × consecutive local days × slots."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from validation import dials, standing
from validation.days import Days
from validation.dials import DialSteps
from validation.programme import Programme


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Stretches between two register readings, one row a span.

    Attributes
    ----------
    channel : shape (s,), row of the channel in the cube
    start : shape (s,), first slot, counted on the cube's flattened day × slot axis
    end : shape (s,), slot after the last one, on the same axis
    energy : shape (s,), register difference after rollover and multiplier [scaled unit]

    Raises
    ------
    ValueError
        if shapes differ, a span is empty, or two spans of a channel overlap or are out of order.
        A register read in between splits a span in two; it doesn't make a third.
    """

    channel: NDArray[np.int32]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    energy: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.channel.shape
        if len(shape) != 1 or any(
            column.shape != shape for column in (self.start, self.end, self.energy)
        ):
            raise ValueError("spans: channel, start, end and energy have one entry a span")
        if np.any(self.end <= self.start):
            raise ValueError("spans: every span ends after it starts")
        same = self.channel[1:] == self.channel[:-1]
        if np.any(self.channel[1:] < self.channel[:-1]) or np.any(
            same & (self.start[1:] < self.end[:-1])
        ):
            raise ValueError("spans: ordered by channel and start, and none overlaps the next")

    def __len__(self) -> int:
        return len(self.channel)


def spans(
    channel: NDArray[np.int32],
    start: NDArray[np.int32],
    end: NDArray[np.int32],
    energy: NDArray[np.int64],
) -> Spans:
    """Make register spans from columns in any order; shapes, units and errors as in ``Spans``."""
    order = np.lexsort((start, channel))
    return Spans(channel[order], start[order], end[order], energy[order])


def no_spans() -> Spans:
    """Give an empty table of register spans."""
    none = np.empty(0, dtype=np.int32)
    return Spans(none, none, none, np.empty(0, dtype=np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Another series on a cube's slots.

    Attributes
    ----------
    values : shape (c, d, n), int64, in the channel's scaled unit; of a profile in any unit
    good : shape (c, d, n), True where the value can be relied on
    """

    values: NDArray[np.int64]
    good: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """What else is known about the channels of a cube; None for nothing.

    Attributes
    ----------
    balance : what the other flows of the node leave for the channel
    profile : the load profile of the channel's class
    temperature : shape (c, d), mean of the day, NaN where it isn't known [°C]
    """

    balance: Series | None = None
    profile: Series | None = None
    temperature: NDArray[np.float64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Delivered:
    """What is known of how values came; None for nothing.

    Attributes
    ----------
    early : shape (c, d, n), True where a value came before its slot was over
    foreign : shape (c, d), True where what came is in another unit or of another kind than the
        registry has for the channel
    multiplier : shape (c, d), what the source says values are to be multiplied with, NaN where it
        says nothing
    configured : shape (c, d), what the registry has for that
    stored, stored_quality : shape (c, d, n), the record's values and their codes, MISSING where
        it has none [scaled unit]
    """

    early: NDArray[np.bool_] | None = None
    foreign: NDArray[np.bool_] | None = None
    multiplier: NDArray[np.float64] | None = None
    configured: NDArray[np.float64] | None = None
    stored: NDArray[np.int32] | NDArray[np.int64] | None = None
    stored_quality: NDArray[np.int16] | None = None

    def shapes(
        self, cube: tuple[int, int, int]
    ) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Give the shape of each array that is there and the one that it must have."""
        wanted = dict.fromkeys(("early", "stored", "stored_quality"), cube)
        by_day = dict.fromkeys(("foreign", "multiplier", "configured"), cube[:2])
        return {
            f"delivered.{name}": (getattr(self, name).shape, shape)
            for name, shape in (*wanted.items(), *by_day.items())
            if getattr(self, name) is not None
        }


@dataclass(frozen=True, slots=True, eq=False)
class Cube:
    """Channels of one interval length and one time zone over consecutive local days.

    Attributes
    ----------
    values : shape (c, d, n), int32 or int64 [scaled unit]; 0 where quality is missing
    quality : shape (c, d, n), int16, codes of ``schemas.quality``; MISSING where nothing came
        and at the padding past a day's length
    target : shape (c, d), True for the days to validate; the others are history: they are read
        and never changed
    days : the d days
    interval_seconds : length of a slot [s]
    one_way : shape (c,), True where a negative value can't be
    spans : register differences, each within one channel's days
    duplicate : shape (c, d, n), True where a second and different value came for the slot;
        None for nowhere
    misfit : shape (c, d, n), True where the value came with another interval length or off the
        grid; None for nowhere
    outside : shape (c, d, n), True where nothing is expected, because no end device was installed
        or it was disconnected; quality is missing there, and stays so; None for nowhere
    outage : shape (c, d, n), True where the record of outages and disconnections says that nothing
        can have flowed; None for nowhere
    sibling : shape (c,), row of the reactive channel of an active one and the other way round, -1
        for none; None for none at all
    check : shape (c,), row of the channel of a check meter, -1 for none; None for none at all
    reading_type : shape (c,), ids of reading types; None where they are not known
    sector : shape (c,), codes of sectors; None where they are not known
    dials : what registers counted between neighbouring readings
    references : other series beside the channels; None for none
    delivered : how values came; None where that is not known
    programme : tariff registers and when each of them counts; None where that is not known

    Raises
    ------
    ValueError
        if a shape or a type is another one, a span lies outside of the days, or a value where
        nothing is expected.
    """

    values: NDArray[np.int32] | NDArray[np.int64]
    quality: NDArray[np.int16]
    target: NDArray[np.bool_]
    days: Days
    interval_seconds: int
    one_way: NDArray[np.bool_]
    spans: Spans
    duplicate: NDArray[np.bool_] | None = None
    misfit: NDArray[np.bool_] | None = None
    outside: NDArray[np.bool_] | None = None
    outage: NDArray[np.bool_] | None = None
    sibling: NDArray[np.int64] | None = None
    check: NDArray[np.int64] | None = None
    reading_type: NDArray[np.int16] | None = None
    sector: NDArray[np.str_] | None = None
    dials: DialSteps = field(default_factory=dials.no_steps)
    references: References | None = None
    delivered: Delivered | None = None
    programme: Programme | None = None

    def __post_init__(self) -> None:
        self._check_shapes()
        if self.values.dtype not in (np.int32, np.int64) or self.quality.dtype != np.int16:
            raise ValueError(
                f"cube: values are int32 or int64 and quality int16, "
                f"not {self.values.dtype} and {self.quality.dtype}"
            )
        if self.interval_seconds <= 0:
            raise ValueError(f"cube: interval_seconds is {self.interval_seconds}, not positive")
        if self.outside is not None and np.any(standing.present(self.quality[self.outside])):
            raise ValueError("cube: there is a value where nothing is expected (outside)")
        channels, days, slots = self.shape
        if len(self.spans) and (
            self.spans.channel[0] < 0
            or self.spans.channel[-1] >= channels
            or self.spans.start.min() < 0
            or self.spans.end.max() > days * slots
        ):
            raise ValueError(
                f"cube: a span lies outside of {channels} channels × {days * slots} slots"
            )

    def _check_shapes(self) -> None:
        if self.values.ndim != 3:
            raise ValueError(f"cube: values are {self.values.shape}, not (channels, days, slots)")
        channels, days, slots = self.shape
        expected = {
            "quality": (self.quality.shape, self.shape),
            "target": (self.target.shape, (channels, days)),
            "days.clock": (self.days.clock.shape, (days, slots)),
            "one_way": (self.one_way.shape, (channels,)),
        }
        for name in ("duplicate", "misfit", "outside", "outage"):
            mask = getattr(self, name)
            if mask is not None:
                expected[name] = (mask.shape, self.shape)
        expected |= (self.delivered or Delivered()).shapes(self.shape)
        for name in ("sibling", "check", "reading_type", "sector"):
            column = getattr(self, name)
            if column is not None:
                expected[name] = (column.shape, (channels,))
        for name, (shape, wanted) in expected.items():
            if shape != wanted:
                raise ValueError(f"cube: {name} is {shape}, not {wanted}")

    def expects(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say at which flat cells a value is expected; shape as ``cells``."""
        expected = self.days.exists.ravel()[cells % self.days.clock.size]
        return expected if self.outside is None else expected & ~self.outside.ravel()[cells]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, days and slots a day."""
        channels, days, slots = self.values.shape
        return channels, days, slots
