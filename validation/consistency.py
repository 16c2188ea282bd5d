"""Rules that hold readings against each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from validation.finding import Action
from validation.rule import Mask, mask, rule
from validation.views import SpanTotals


@rule(
    source="Oracle Utilities MDM, Sum Check (D2-SUM-CHK)",
    actions=frozenset({Action.NOTE, Action.SUSPECT}),
)
def sum_check(spans: SpanTotals, *, tolerance: float, relative: float) -> Mask:
    r"""Mark register spans whose intervals don't add up to the register's difference.

    .. math:: |\sum x - R| > \max(tolerance, relative · |R|)

    Observed is the sum of the intervals, the limit is the register's difference [scaled unit].
    A span that lacks a value passes: it can't be judged.

    Parameters
    ----------
    spans : sums over spans, shape (s,) [scaled unit]
    tolerance : allowed difference [scaled unit]
    relative : allowed difference as a part of the register's [1]
    """
    allowed = margin(spans.energy, tolerance=tolerance, relative=relative)
    fails = (np.abs(spans.total - spans.energy) > allowed) & (spans.absent == 0)
    return mask(fails, spans.total, spans.energy)


def margin(energy: NDArray[np.int64], *, tolerance: float, relative: float) -> NDArray[np.float64]:
    """Give the difference that a sum check allows; parameters and units as there."""
    return np.maximum(tolerance, relative * np.abs(energy))


@rule(
    source="Sum check of neighbouring spans; IEC 61968-9 reading quality x.3.5, static data",
    actions=frozenset({Action.NOTE}),
)
def register_misread(spans: SpanTotals) -> Mask:
    """Mark joined spans: a register reading inside them is contradicted from both sides.

    A register that stands still, or is read wrong once, shows too little for the intervals before
    and too much for those after, or the other way round. Observed is the largest difference,
    the limit 0 [scaled unit].
    """
    return mask(spans.misread > 0, spans.misread, 0)
