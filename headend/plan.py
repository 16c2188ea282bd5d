"""Cuts the end devices that are due into batches, by network segment and stagger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

BATCH_SIZE = 300
# Batches closer together than this would not make the load on a network any smoother.
_STEP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """End devices of one network segment that are read together, not before a moment."""

    segment_id: int | None
    end_device_ids: tuple[int, ...]
    not_before: datetime


def batches(
    devices: Iterable[tuple[int, int | None]],
    due_at: datetime,
    *,
    stagger: timedelta = timedelta(0),
    size: int = BATCH_SIZE,
    lines: Mapping[int, str] | None = None,
) -> list[Batch]:
    """Cut end devices into batches; those of a segment start evenly over the stagger.

    Parameters
    ----------
    devices : (end device id, network segment id or None)
    due_at : start of the first batch
    stagger : time over which the starts are spread
    size : most end devices in a batch; a line with more is still one batch's
    lines : by end device id, the line that it shares: two workers must not both want it

    Returns
    -------
    batches by start; each end device is in exactly one
    """
    segments: dict[int | None, list[int]] = defaultdict(list)
    for device, segment in sorted(set(devices), key=lambda pair: pair[0]):
        segments[segment].append(device)
    made: list[Batch] = []
    for segment, members in segments.items():
        steps = int(stagger.total_seconds()) // _STEP_SECONDS
        together = _together(members, lines or {})
        count = min(len(together), max(-(-len(members) // size), steps))
        made += [
            Batch(segment, tuple(sorted(chain(*together[k::count]))), due_at + stagger * k / count)
            for k in range(count)
        ]
    return sorted(made, key=lambda batch: (batch.not_before, batch.end_device_ids))


def _together(members: Sequence[int], lines: Mapping[int, str]) -> list[list[int]]:
    """Put end devices of one line together, each other one alone; in the order of the first."""
    made: dict[int | str, list[int]] = {}
    for device in members:
        made.setdefault(lines.get(device, device), []).append(device)
    return list(made.values())
