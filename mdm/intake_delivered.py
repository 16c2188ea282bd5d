"""How values came: before their time, of another kind, and beside what the record has of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mdm import intake_place
from mdm.intake_channels import Channels
from mdm.intake_installed import Installed
from mdm.intake_layout import NOWHERE, Layout
from mdm.intake_raw import RawBlocks
from schemas import quality, reading_type
from schemas.quality import QualityClass
from validation.matrix import Delivered

if TYPE_CHECKING:
    from mdm.intake_cube import Intake

# How far a meter's clock may be ahead of the head-end's before a value counts as too early [s].
_AHEAD: Final = 60


def completed(intake: Intake, commodity: str) -> Intake:
    """Tell a cube how its values came.

    Parameters
    ----------
    commodity : of the usage points
    """
    channels, layout, history = intake.channels, intake.layout, intake.history
    foreign = _commodities()[channels.reading_type] != commodity
    # Rows of check meters stand at the end, without a channel of their own: nothing came for them.
    own = int(np.count_nonzero(channels.id))
    mine = Channels(channels.id[:own], channels.usage_point[:own], channels.reading_type[:own])
    soon = early(intake.raw, intake.installed, mine, layout)
    if soon is not None:
        soon = np.pad(soon, ((0, len(channels) - own), (0, 0), (0, 0)))
    delivered = Delivered(
        early=soon,
        foreign=np.repeat(foreign[:, None], layout.count, axis=1) if foreign.any() else None,
        stored=history.values,
        stored_quality=history.quality,
    )
    return replace(intake, cube=replace(intake.cube, delivered=delivered))


def early(
    raw: RawBlocks, installed: Installed, channels: Channels, layout: Layout
) -> NDArray[np.bool_] | None:
    """Mark the slots whose value came before they were over, shape (c, d, n); None for nowhere.

    A block of another interval length marks nothing: its values are not placed.
    """
    step = layout.interval_seconds
    end = raw.starts_at + raw.length.astype(np.int64) * raw.interval_seconds
    some = np.flatnonzero((end > raw.collected_at + _AHEAD) & (raw.interval_seconds == step))
    if not len(some):
        return None
    some_raw = raw.rows(some)
    block, installation, _ = intake_place.at_installations(some_raw, installed)
    row = channels.rows_of(installed.usage_point[installation], some_raw.reading_type[block])
    width = some_raw.values.shape[1]
    start = some_raw.starts_at[block, None] + step * np.arange(width)
    marked = (np.arange(width) < some_raw.length[block, None]) & (row >= 0)[:, None]
    marked &= start + step > some_raw.collected_at[block, None] + _AHEAD
    if some_raw.quality is not None:
        classes = quality.class_table()[some_raw.quality[block]]
        marked &= classes != QualityClass.MISSING
    snapped, _ = layout.snapped(start.ravel(), _AHEAD)
    cell = layout.cell(snapped).reshape(start.shape)
    marked &= cell != NOWHERE
    found = np.zeros((len(channels), layout.count * layout.width), np.bool_)
    where = np.nonzero(marked)
    found[row[where[0]], cell[where]] = True
    return found.reshape(len(channels), layout.count, layout.width)


@cache
def _commodities() -> NDArray[np.str_]:
    known = {each.id: each.commodity for each in reading_type.table().values()}
    return np.array([known.get(number, "") for number in range(max(known) + 1)])
