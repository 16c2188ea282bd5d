"""Rules about what came in: is there one value for each slot, and is it of that slot."""

from __future__ import annotations

import numpy as np

from validation.finding import Action
from validation.rule import AGREEMENT, Mask, mask, rule
from validation.views import DayMatrix

_ANY = frozenset(Action)


@rule(
    source="Itron Enterprise Edition, Gap Check; Oracle Utilities MDM, Raise Missing Quantity",
    actions=frozenset({Action.NOTE, Action.ESTIMATE}),
)
def gap(block: DayMatrix) -> Mask:
    """Mark every slot without a value.

    Observed is the number of such slots in the day, the limit is 0 [slots].
    """
    fails = block.expected & ~block.present
    return mask(fails, np.count_nonzero(fails, axis=1)[:, None], 0)


@rule(source="Oracle Utilities MDM, Duplicate IMD Check", actions=_ANY, registers=AGREEMENT)
def duplicate(block: DayMatrix) -> Mask:
    """Mark every slot for which a second and different value came.

    The same value twice is no duplicate: it was dropped before. Observed is the value that
    counts, the one that came first [scaled unit].
    """
    return mask(block.duplicate & block.present, block.values, 0)


@rule(source="Oracle Utilities MDM, Interval Size Validation", actions=_ANY, registers=AGREEMENT)
def interval_size(block: DayMatrix) -> Mask:
    """Mark every slot whose value came with another interval length or off the grid.

    Observed is the value [scaled unit], the limit the channel's interval length [s].
    """
    return mask(block.misfit & block.present, block.values, block.interval_seconds)
