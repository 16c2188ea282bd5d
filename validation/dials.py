"""What registers counted: one row for each two neighbouring readings of a register."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class DialSteps:
    """Steps of registers as columns, by channel, register and moment.

    Attributes
    ----------
    channel : shape (k,), row in the cube of the channel that the register belongs to
    register : shape (k,), id of the register's reading type
    first, last : shape (k,), flat cell indices of the first and the last slot of the step
    start, end : shape (k,), moments of the two readings [s]
    change : shape (k,), difference of what the register showed, before the multiplier; below 0
        where it fell [scaled unit]
    modulus : shape (k,), where the register wraps [scaled unit]; 0 for never
    multiplier : shape (k,), what the change is to be multiplied with
    tariff : shape (k,), True for a register that counts at times of a tariff only
    """

    channel: NDArray[np.int64]
    register: NDArray[np.int16]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    change: NDArray[np.int64]
    modulus: NDArray[np.int64]
    multiplier: NDArray[np.float64]
    tariff: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.channel)

    @property
    def wrapped(self) -> NDArray[np.bool_]:
        """Shape (k,), True where the register passed its highest figure.

        A wrap leaves less than half of the dial behind it; a fall by less than that is a reset.
        """
        behind = self.change + self.modulus
        return np.asarray((self.change < 0) & (behind >= 0) & (2 * behind < self.modulus))

    @property
    def fell(self) -> NDArray[np.bool_]:
        """Shape (k,), True where the register fell and no wrap explains it."""
        return np.asarray((self.change < 0) & ~self.wrapped)

    @property
    def energy(self) -> NDArray[np.float64]:
        """Shape (k,), what was counted, after wrap and multiplier; NaN where the register fell."""
        change = np.where(self.wrapped, self.change + self.modulus, self.change)
        return np.where(self.fell, np.nan, change * self.multiplier)


def no_steps() -> DialSteps:
    """Give an empty table of register steps."""
    none = np.empty(0, dtype=np.int64)
    return DialSteps(
        channel=none,
        register=none.astype(np.int16),
        first=none,
        last=none,
        start=none,
        end=none,
        change=none,
        modulus=none,
        multiplier=none.astype(np.float64),
        tariff=none.astype(np.bool_),
    )
