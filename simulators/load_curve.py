"""True load: real interval data, scaled, shifted by whole weeks, split into quarter hours.

Everything here is integer arithmetic on raw Philox output, so that the same seed gives the same
Wh on every machine and with every version of numpy.

Water has no real data of its own here: its litres follow the same electricity shapes, less their
base load, so that nights come close to zero. That is a stand-in, not a claim about water use.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

Wh = NDArray[np.int64]

SLOT: Final = 900
"""Length of the finest true interval [s]."""

_HOUR: Final = 3600
_HOURS_A_WEEK: Final = 168


@cache
def curve(name: str) -> Wh:
    """Read a real curve as hours of whole weeks from a local Monday, 00:00.

    Parameters
    ----------
    name : a name in ``simulators/curves/curves.csv``

    Returns
    -------
    energy of each hour, shape (weeks × 168,) [Wh]

    Raises
    ------
    KeyError
        with the known names, if there is none.
    """
    rows = _table()
    if name not in rows:
        raise KeyError(f"no load curve {name!r}; known: {', '.join(rows)}")
    packed = resources.files("simulators").joinpath(f"curves/{name}.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode().split()[1:]
    values = np.array([int(line) for line in lines], dtype=np.int64)
    hours: Wh = values.reshape(-1, _HOUR // int(rows[name]["interval_seconds"])).sum(axis=1)
    hours.setflags(write=False)
    return hours


@cache
def _table() -> dict[str, dict[str, str]]:
    text = resources.files("simulators").joinpath("curves/curves.csv").read_text(encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(text.splitlines())}


def draws(*key: object, count: int) -> NDArray[np.uint64]:
    """Draw numbers that depend on the key's text only.

    Returns
    -------
    shape (count,), each evenly in 0…2**64-1; a longer draw starts with the shorter one
    """
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=16).digest()
    drawn = np.random.Philox(key=int.from_bytes(digest, "big")).random_raw(count)
    return np.atleast_1d(np.asarray(drawn, dtype=np.uint64))


def draw(*key: object, low: int, high: int) -> int:
    """Draw one number in low…high, both included."""
    return low + int(draws(*key, count=1)[0]) % (high - low + 1)


@dataclass(frozen=True, eq=False)
class Load:
    """The true energy or water that flows at one usage point.

    Attributes
    ----------
    key : seed and name, which all randomness follows
    curve : name of the real curve
    mean : mean flow that the curve is scaled to, at the meter's terminals [Wh/h or L/h]
    mix : how many differently shifted copies of the curve are added before scaling; one is one
        household, many are smooth
    start : first moment, local midnight [Unix s]
    start_weekday : 0 for Monday
    slots : how many quarter hours
    resolution : smallest step of the meter's register [Wh or L]; the truth itself moves in it
    water : litres instead of Wh
    """

    key: str
    curve: str
    mean: int
    mix: int
    start: int
    start_weekday: int
    slots: int
    resolution: int = 1
    water: bool = False

    @cached_property
    def active(self) -> Wh:
        """Active energy or water of each quarter hour, shape (slots,) [Wh or L]."""
        return self._quarters(self._hours, "active")

    @cached_property
    def reactive(self) -> Wh:
        """Reactive energy of each quarter hour: 20…50 % of the active, by hour [varh]."""
        share = 200 + (draws(self.key, "reactive", count=len(self._hours)) % 301).astype(np.int64)
        return self._quarters(self._hours * share // 1000, "reactive")

    @cached_property
    def _hours(self) -> Wh:
        """Flow of each hour in steps of the resolution."""
        count = -(-self.slots // 4)
        shape = self._shape()
        at = (self.start_weekday * 24 + np.arange(count)) % len(shape)
        noise = 900 + (draws(self.key, "noise", count=count) % 201).astype(np.int64)
        scaled = shape[at] * self.mean * noise
        return np.asarray(
            scaled // (int(shape.sum()) // len(shape) * 1000 * self.resolution), dtype=np.int64
        )

    def _shape(self) -> Wh:
        """Give the curve, mixed with itself at other weeks, times 1000 for exact scaling."""
        hours = curve(self.curve)
        weeks = len(hours) // _HOURS_A_WEEK
        shifts = draws(self.key, "weeks", count=self.mix) % weeks
        mixed = sum((np.roll(hours, -int(s) * _HOURS_A_WEEK) for s in shifts), np.zeros_like(hours))
        if self.water:
            mixed = np.maximum(mixed - np.sort(mixed)[len(mixed) // 3], 0)
        return np.asarray(mixed * 1000, dtype=np.int64)

    def _quarters(self, hours: Wh, purpose: str) -> Wh:
        """Split hours so that quarters sum to them exactly, by drawn weights."""
        drawn = draws(self.key, purpose, count=4 * len(hours)) % 1024
        weights = 512 + drawn.astype(np.int64).reshape(-1, 4)
        upto = np.cumsum(weights, axis=1)
        edges = hours[:, None] * upto // upto[:, -1:]
        quarters = np.diff(edges, axis=1, prepend=0).ravel()[: self.slots] * self.resolution
        quarters.setflags(write=False)
        return np.asarray(quarters, dtype=np.int64)
