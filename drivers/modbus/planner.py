"""Which requests read a set of registers in the fewest round trips a meter allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from drivers.modbus.register_map import Limits, Span


def plan(spans: Iterable[Span], limits: Limits) -> list[Span]:
    """Cover spans with as few requests as the limits allow.

    A span is never torn: some meters answer an exception to a request that starts or ends inside a
    value. Taking the spans in the order of their addresses and widening a request as long as it is
    allowed gives the fewest requests, because a request that could be widened and is not leaves no
    less for the next one.

    Parameters
    ----------
    spans : what is wanted, in any order, overlapping or not
    limits : of the meter

    Returns
    -------
    requests, by function code and address

    Raises
    ------
    ValueError
        if one span alone is beyond the limits.
    """
    ordered = sorted(set(spans), key=lambda span: (span.function, span.address, span.end))
    requests: list[Span] = []
    for _, same_function in groupby(ordered, key=lambda span: span.function):
        requests += _cover(same_function, limits)
    return requests


def _cover(spans: Iterator[Span], limits: Limits) -> Iterator[Span]:
    current = next(spans)
    for span in spans:
        end = max(current.end, span.end)
        wider = Span(current.function, current.address, end - current.address)
        gap = span.address - current.end
        if gap <= limits.max_gap and _aligned(wider, limits).count <= limits.max_words:
            current = wider
        else:
            yield _checked(current, limits)
            current = span
    yield _checked(current, limits)


def _checked(span: Span, limits: Limits) -> Span:
    request = _aligned(span, limits)
    if request.count > limits.max_words:
        most = limits.max_words
        raise ValueError(f"{span.count} words at {span.address:#06x} are more than {most}")
    return request


def _aligned(span: Span, limits: Limits) -> Span:
    """Widen a span until its start and its count are multiples of the alignment."""
    step = limits.alignment
    start = span.address - span.address % step
    count = span.end - start
    return Span(span.function, start, count + -count % step)
