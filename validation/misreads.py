"""Register readings that the intervals on both sides contradict, and spans joined over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from validation.matrix import Cube, Spans
from validation.views import SpanTotals, Views


def joined(cube: Cube, views: Views, margin: NDArray[np.float64]) -> tuple[Cube, Views]:
    r"""Join spans over register readings that can't be right.

    With e = Σx - R of each span: neighbours that all fail the sum check, or in which the register
    stood still, are joined if some e is above and some below the margin, or if the register went
    on, after standing still, by more than the intervals. If such a row begins with a register
    standing still, the span before it is joined too: that is where it stopped.

    Parameters
    ----------
    cube, views : what is validated
    margin : shape (s,), the difference that the sum check allows [scaled unit]

    Returns
    -------
    both, with fewer spans where there is something to join, else as they were
    """
    spans, totals = cube.spans, views.spans
    excess = totals.total - totals.energy
    still = totals.energy == 0
    over, under = excess > margin, (excess < -margin) & (totals.absent == 0)
    over &= totals.absent == 0
    odd = over | under | still
    first = _first_of_group(spans, odd, still)
    group = np.cumsum(first) - 1
    caught_up = under.copy()
    caught_up[1:] &= still[:-1] & ~first[1:]
    caught_up[:1] = False
    contradicted = (_any(under, group) & _any(over, group)) | _any(caught_up, group)
    if not contradicted.any():
        return cube, views
    # A group that isn't joined falls apart again.
    start = np.flatnonzero(first | ~contradicted[group])
    last = np.append(start[1:], len(spans)) - 1
    both = Spans(
        spans.channel[start], spans.start[start], spans.end[last], _sums(spans.energy, start)
    )
    misread = np.maximum.reduceat(np.abs(excess), start)
    sums = SpanTotals(
        total=_sums(totals.total, start),
        absent=_sums(totals.absent, start),
        energy=both.energy,
        misread=np.where(last > start, misread, 0),
    )
    return replace(cube, spans=both), replace(views, spans=sums)


def _first_of_group(
    spans: Spans, odd: NDArray[np.bool_], still: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    first = np.ones(len(spans), dtype=np.bool_)
    adjacent = (spans.channel[1:] == spans.channel[:-1]) & (spans.start[1:] == spans.end[:-1])
    first[1:] = ~(adjacent & odd[1:] & (odd[:-1] | still[1:]))
    return first


def _any(mask: NDArray[np.bool_], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.bincount(group, weights=mask, minlength=group[-1] + 1) > 0 if len(group) else mask


def _sums(amounts: NDArray[np.int64], start: NDArray[np.int64]) -> NDArray[np.int64]:
    sums: NDArray[np.int64] = np.add.reduceat(amounts, start)
    return sums
