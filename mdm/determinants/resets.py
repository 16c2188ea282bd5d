"""Registers that were reset inside a period: read in two pieces, with intervals between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from mdm.determinants import registers
from mdm.determinants.registers import Reading, Span


def fell(span: Span) -> bool:
    """Tell whether a register shows less at the end, and did not roll over."""
    if span.start is None or span.end is None:
        return False
    return registers.difference(span.stretch.modulus, span.start.value, span.end.value) is None


def pieces(span: Span, readings: Sequence[Reading]) -> list[Span]:
    """Cut a stretch where its register fell, if it fell once; else leave it whole.

    What flowed between the last reading before and the first one after is bridged by intervals,
    as at an exchange of meters.

    Parameters
    ----------
    readings : of the installation, oldest first
    """
    stretch = span.stretch
    start, end = span.start, span.end
    if start is None or end is None or not fell(span):
        return [span]
    inside = [r for r in readings if start.read_at < r.read_at < end.read_at and r.usable]
    row = [start, *inside, end]
    falls = [
        place
        for place, (one, other) in enumerate(pairwise(row))
        if registers.difference(stretch.modulus, one.value, other.value) is None
    ]
    if len(falls) != 1:
        return [span]
    before, after = row[falls[0]], row[falls[0] + 1]
    if before is start and after is end:
        return [span]
    if before is start:
        return [Span(stretch, after, end)]
    if after is end:
        return [Span(stretch, start, before)]
    return [
        Span(replace(stretch, ends_at=before.read_at), start, before),
        Span(replace(stretch, starts_at=before.read_at), after, end),
    ]
