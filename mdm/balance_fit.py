r"""The joint fit behind a balance: what is unexplained against all meters' patterns at once.

.. math:: u_t = a + b T_t + q T_t^2 + \sum_i \delta_i x_{i,t} + \sum_j c_j x_{j,t} [t \ge D_j] + e_t

``x`` is what meters count and ``T`` their sum. What every node has is held near 0 by rows as if it
had been measured once: the expected loss may be wrong by a part of the flow (``b``), it grows with
the square of the current (``q``), and each good meter errs a little (``δ``). What somebody is
suspected of, ``c``, is free. Against one meter at a time a small thief drowns in what loads have in
common; beside all others its pattern stands alone.

References
----------
Best linear unbiased prediction of random effects (Henderson, 1950), as augmented least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

# Standard errors that are expected: of the loss's part of the flow, of its growth, of good meters.
_WIRES: Final = 0.015
_GROWTH: Final = 0.02
_METERS: Final = 0.01
# Where meters are more than this part of the slots, noise can't be told from patterns beforehand.
_MANY: Final = 1 / 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What is left beside some directions.

    Attributes
    ----------
    base : shape (t + r, m), orthonormal; the last r rows hold what is held near 0
    rest : shape (t + r,), what is left of the unexplained
    slots : t
    """

    base: Floats
    rest: Floats
    slots: int

    @property
    def left(self) -> Floats:
        """What is left in each slot."""
        return self.rest[: self.slots]

    @property
    def variance(self) -> float:
        """Give the sum of squares that is left."""
        return float(self.rest @ self.rest)

    def apart(self, pattern: Floats) -> Floats:
        """Give what of a pattern is in none of the directions, shape (t + r,)."""
        top = self.base[: self.slots]
        whole = -self.base @ (top.T @ pattern)
        whole[: self.slots] += pattern
        return whole

    def beside(self, pattern: Floats) -> Fit:
        """Take a pattern among the directions."""
        apart = self.apart(pattern)
        direction = apart / np.sqrt(max(float(apart @ apart), 1e-30))
        rest = self.rest - direction * float(direction @ self.rest)
        return Fit(np.column_stack([self.base, direction]), rest, self.slots)


@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """How much each line, from each day on, would take of what is left, and by which slope.

    Attributes
    ----------
    gain, slope : shape (k, days)
    """

    gain: Floats
    slope: Floats


def fit(unexplained: Floats, meters: Floats) -> Fit:
    """Fit what every node has.

    Parameters
    ----------
    unexplained : shape (t,)
    meters : shape (k, t), what each meter of the node counted
    """
    slots, count = len(unexplained), len(meters)
    total = meters.sum(axis=0)
    growth = total * (total / max(float(total.mean()), 1e-9) - 1)
    common = np.stack([np.ones(slots), total, growth], axis=1)
    columns = np.concatenate([common, meters.T], axis=1)
    many = count > _MANY * slots
    free = _without(common if many else columns, unexplained)
    used = common.shape[1] if many else columns.shape[1]
    noise = float(np.sqrt(free @ free / max(slots - used, 1)))
    held = np.zeros((count + 2, count + 3))
    held[0, 1], held[1, 2] = noise / _WIRES, noise / _GROWTH
    held[2:, 3:] = np.eye(count) * noise / _METERS
    base = np.linalg.qr(np.concatenate([columns, held]))[0]
    known = np.append(unexplained, np.zeros(count + 2))
    return Fit(base, known - base @ (base.T @ known), slots)


def _without(columns: Floats, line: Floats) -> Floats:
    return np.asarray(line - columns @ np.linalg.lstsq(columns, line, rcond=None)[0])


def gains(done: Fit, lines: Floats, first: NDArray[np.intp]) -> Gains:
    """Hold each line, from each day on, against what is left.

    Parameters
    ----------
    lines : shape (k, t)
    first : shape (days,), first slot of each day
    """

    def after(products: Floats) -> Floats:
        """Sum from each day's start on, shape (k, days)."""
        days = np.add.reduceat(products, first, axis=1)
        return np.asarray(np.cumsum(days[:, ::-1], axis=1)[:, ::-1])

    along, raw = after(lines * done.left), after(lines**2)
    size = raw - sum(after(lines * column) ** 2 for column in done.base[: done.slots].T)
    able = size > 1e-3 * np.maximum(raw, 1e-9)
    size = np.where(able, size, 1)
    return Gains(np.where(able, along**2 / size, 0), np.where(able, along / size, 0))


def slopes(done: Fit, patterns: Sequence[Floats], day: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Give the slopes of some patterns together, and their standard errors.

    The errors are from whole days: slots of one day err together.

    Parameters
    ----------
    done : the fit without the patterns
    """
    apart = np.stack([done.apart(pattern) for pattern in patterns], axis=1)
    found = np.linalg.lstsq(apart, done.rest, rcond=None)[0]
    left = (done.rest - apart @ found)[: done.slots]
    inverse = np.linalg.pinv(apart.T @ apart)
    first = np.searchsorted(day, np.unique(day))
    scores = np.add.reduceat(apart[: done.slots] * left[:, None], first, axis=0)
    few = len(first) / max(len(first) - 1, 1)
    spread = few * inverse @ (scores.T @ scores) @ inverse
    return np.asarray(found, np.float64), np.sqrt(np.maximum(np.diag(spread), 0))
