"""Registers that fell inside a period: read in two pieces, with intervals between them, or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from mdm.determinants import registers
from mdm.determinants.registers import Reading, Span, Stretch
from schemas.quality import QualityClass


def fell(span: Span) -> bool:
    """Tell whether a register shows less at the end, and did not roll over."""
    if span.start is None or span.end is None:
        return False
    return registers.difference(span.stretch.modulus, span.start.value, span.end.value) is None


def pieces(span: Span, readings: Sequence[Reading]) -> list[Span]:
    """Cut a stretch where its register fell, if it fell once; else leave it whole.

    What flowed between the last reading before and the first one after is bridged by intervals,
    as at an exchange of meters. Where the register shows more at the end though it fell, one of its
    readings may be wrong as well: it is cut so that the fall is a piece of its own, and nothing is
    billed by it until somebody has looked.

    Parameters
    ----------
    readings : of the installation, oldest first
    """
    stretch = span.stretch
    start, end = span.start, span.end
    if start is None or end is None or (not fell(span) and _estimated(start, end)):
        return [span]
    inside = [r for r in readings if start.read_at < r.read_at < end.read_at and r.usable]
    row = [start, *inside, end]
    falls = [
        place
        for place, (one, other) in enumerate(pairwise(row))
        if registers.difference(stretch.modulus, one.value, other.value) is None
    ]
    if not falls or (fell(span) and len(falls) != 1):
        return [span]
    before, after = row[falls[0]], row[falls[0] + 1]
    if not fell(span):
        return _doubted(stretch, start, before, after, end)
    found = []
    if before is not start:
        whole = stretch if after is end else replace(stretch, ends_at=before.read_at)
        found.append(Span(whole, start, before))
    if after is not end:
        whole = stretch if before is start else replace(stretch, starts_at=before.read_at)
        found.append(Span(whole, after, end))
    return found or [span]


def _estimated(*readings: Reading) -> bool:
    """Tell whether one is an estimate: what was measured beside it does not belie it."""
    return any(reading.kind is QualityClass.ESTIMATED for reading in readings)


def _doubted(
    stretch: Stretch, start: Reading, before: Reading, after: Reading, end: Reading
) -> list[Span]:
    """Cut a stretch before and after its fall."""
    pairs = [(a, b) for a, b in pairwise((start, before, after, end)) if a is not b]
    bounds = [stretch.starts_at, *(b.read_at for _, b in pairs[:-1]), stretch.ends_at]
    return [
        Span(replace(stretch, starts_at=since, ends_at=until), *pair)
        for (since, until), pair in zip(pairwise(bounds), pairs, strict=True)
    ]
