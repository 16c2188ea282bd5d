"""Rules about how values came: time, unit, multiplier, the device's marks, and what was before."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from schemas import quality
from validation.finding import Action
from validation.rule import AGREEMENT, Mask, mask, nothing, rule
from validation.views import Changed, Curves, DayMatrix, Marked

_ANY = frozenset(Action)
_DOUBT = frozenset({Action.NOTE, Action.SUSPECT})

Mark = Literal[
    "clock_shifted", "clock_invalid", "late_sample", "power_down", "partial", "overflow", "reset",
    "meter_doubts", "test_data",
]  # fmt: skip

_CODES: Final = {
    "clock_shifted": quality.CLOCK_SHIFTED,
    "clock_invalid": quality.CLOCK_INVALID,
    "late_sample": quality.LATE_SAMPLE,
    "power_down": quality.POWER_DOWN,
    "partial": quality.PARTIAL,
    "overflow": quality.OVERFLOW,
    "reset": quality.RESET,
    "meter_doubts": quality.METER_DOUBTS,
    "test_data": quality.TEST_DATA,
}


@rule(source="mako V08, an interval that begins after now", actions=_ANY, registers=AGREEMENT)
def future(block: DayMatrix) -> Mask:
    """Mark values that came before their slot was over: nobody can have measured them.

    Observed is the value [scaled unit].
    """
    if block.early is None:
        return nothing(block.values.shape)
    return mask(block.early & block.present, block.values, 0)


@rule(source="Oracle Utilities MDM, UOM Check", actions=_DOUBT)
def other_unit(curves: Curves) -> Mask:
    """Mark days with values in another unit or of another kind than the registry has.

    Observed is how many slots have such a value, the limit 0.
    """
    count = curves.totals.days.length - curves.totals.absent
    if curves.delivered.foreign is None:
        return nothing(count.shape)
    return mask(curves.delivered.foreign & (count > 0), count, 0)


@rule(source="Oracle Utilities MDM, Register Multiplier Check", actions=_DOUBT)
def other_multiplier(curves: Curves, *, tolerance: float) -> Mask:
    r"""Mark days for which the source names another multiplier than the registry has.

    .. math:: |m - m_{registry}| > tolerance · |m_{registry}|

    Observed is m, the limit the registry's. Days without values pass, and where nothing is told.

    Parameters
    ----------
    curves : days of channels, shape (c, d, n) [scaled unit]
    tolerance : allowed difference as a part of the registry's [1]
    """
    came, own = curves.delivered.multiplier, curves.delivered.configured
    any_ = curves.totals.absent < curves.totals.days.length
    if came is None or own is None:
        return nothing(any_.shape)
    # A comparison with NaN is False: where nothing is told nothing fails.
    with np.errstate(invalid="ignore"):
        fails = np.abs(came - own) > tolerance * np.abs(own)
    return mask(fails & any_, came, own)


@rule(
    source="California DASMMD, checks made at collection; IEC 61968-9 reading qualities x.1.9, "
    "x.4.1, x.4.2, x.4.5, x.4.8, x.4.256; AEMO MDFF reason codes 86, 89, 90, 95",
    actions=_ANY,
)
def device_mark(marked: Marked, *, marks: tuple[Mark, ...]) -> Mask:
    """Mark values of which the device itself says that something was wrong.

    Observed is the value [scaled unit], the limit the quality code of the mark.

    Parameters
    ----------
    marked : values that did not come plainly valid, shape (k,)
    marks : which marks count, by the names of ``schemas/quality_codes.csv``
    """
    fails = np.isin(marked.code, [_CODES[name] for name in marks])
    return mask(fails, marked.values, marked.code)


@rule(
    source="Oracle Utilities MDM, Final Measurement Replacement",
    actions=frozenset({Action.NOTE}),
)
def replacement(
    changed: Changed, *, tolerance: float, relative: float, beyond: Literal["replace", "hold"]
) -> Mask:
    r"""Mark values that were measured and recorded, and now come out otherwise.

    .. math:: |x - x_{recorded}| > \max(tolerance, relative · |x_{recorded}|)

    or with no value any more, or one that is less sure. Such a value is kept as recorded; one
    beyond the limit is replaced or held as recorded, by ``beyond``; one within the limit is kept,
    and nothing is said. Observed is what came, the limit what is recorded [scaled unit].

    Parameters
    ----------
    changed : values that differ from the record's, shape (k,)
    tolerance : largest difference that is none [scaled unit]
    relative : the same as a part of the recorded value [1]
    beyond : what happens to a value beyond that
    """
    beyond_ = far(changed, tolerance, relative)
    return mask(beyond_ | changed.worse, changed.came, changed.stored)


def far(found: Changed, tolerance: float, relative: float) -> NDArray[np.bool_]:
    """Tell which values are further from the recorded ones than they may, shape (k,)."""
    limit = np.maximum(tolerance, relative * np.abs(found.stored))
    return np.asarray(np.abs(found.came - found.stored) > limit)
