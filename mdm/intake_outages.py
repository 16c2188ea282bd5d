"""When nothing can have flowed, by the record of meters' events and of confirmed controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.intake_channels import Channels
from mdm.intake_installed import FOREVER, Installed
from mdm.intake_layout import Layout
from schemas import binary_copy, statements
from schemas.database import Connection
from validation import standing
from validation.matrix import Cube

_SQL = statements.load("mdm", "intake_outages.sql")
# How far back events are looked at: with five of any kind a meter and day, each day more is half a
# percent of a validation run. What controls opened counts however long ago.
_LOOK_BACK: Final = timedelta(days=14)
# An outage of which nobody said that it is over is taken to last so long, if nothing flows.
_OPEN: Final = 2 * 86400
_OPPOSITE: Final = {"down": "up", "off": "on"}
_POWERED: Final = "electricity"

_Said = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch without supply at an end device, moments [s since 1970 UTC].

    ``open`` says that no end of it is on record.
    """

    end_device: int
    starts_at: int
    ends_at: int
    open: bool = False


def completed(
    connection: Connection, cube: Cube, channels: Channels, installed: Installed, layout: Layout
) -> Cube:
    """Give a cube the record of outages and disconnections on its target days."""
    days = np.flatnonzero(cube.target.any(axis=0))
    start, end = int(layout.bounds[days[0]]), int(layout.bounds[days[-1] + 1])
    found = stretches(connection, installed, start, end)
    return replace(cube, outage=mask(found, cube, channels, installed, layout))


def stretches(connection: Connection, installed: Installed, start: int, end: int) -> list[Outage]:
    """Give outages at end devices that reach into a stretch of time.

    Only electricity stops with the power; a switch or valve that is off stops everything.

    Parameters
    ----------
    start, end : [s since 1970 UTC]
    """
    devices = np.unique(installed.end_device)
    limits = {
        "end_devices": binary_copy.array(devices),
        "since": readings_columns.moment(start) - _LOOK_BACK,
        "end": readings_columns.moment(end),
    }
    said: list[_Said] = connection.execute(_SQL["events"], limits).fetchall()
    said += connection.execute(_SQL["switched"], limits).fetchall()
    if not said:
        return []
    powered = set(installed.end_device[installed.commodity == _POWERED].tolist())
    told = (each for each in said if each[2] in {"off", "on"} or each[0] in powered)
    return [each for each in of_events(told) if each.ends_at > start and each.starts_at < end]


def of_events(said: Iterable[_Said]) -> Iterator[Outage]:
    """Pair what began with what ended it. Pure.

    A second beginning takes the first one's place: what ended the first is not known, so nothing is
    said about it.

    Parameters
    ----------
    said : end device, moment [s since 1970 UTC], and down, up, off or on; in any order
    """
    for device, rows in groupby(sorted(said), lambda each: each[0]):
        begun: dict[str, int] = {}
        for _, moment, effect in rows:
            if effect in _OPPOSITE:
                begun[effect] = moment
                continue
            kind = "down" if effect == "up" else "off"
            start = begun.pop(kind, None)
            if start is not None and start < moment:
                yield Outage(device, start, moment)
        if "down" in begun:
            yield Outage(device, begun["down"], begun["down"] + _OPEN, open=True)
        if "off" in begun:
            yield Outage(device, begun["off"], FOREVER)


def mask(
    outages: list[Outage], cube: Cube, channels: Channels, installed: Installed, layout: Layout
) -> NDArray[np.bool_] | None:
    """Mark the slots that outages cover whole, shape (c, d, n); None for none.

    An outage without an end on record is over when something flows again.
    """
    result: NDArray[np.bool_] | None = None
    begins = layout.bounds[:-1, None] + np.arange(layout.width) * layout.interval_seconds
    begins = np.where(layout.days.exists, begins, np.iinfo(np.int64).max)
    ends = np.where(layout.days.exists, begins + layout.interval_seconds, 0)
    for outage in outages:
        for place in np.flatnonzero(installed.end_device == outage.end_device):
            start = max(outage.starts_at, int(installed.starts_at[place]))
            end = min(outage.ends_at, int(installed.ends_at[place]))
            slots = (begins >= start) & (ends <= end)
            if start >= end or not slots.any():
                continue
            if result is None:
                result = np.zeros(cube.shape, np.bool_)
            for row in np.flatnonzero(channels.usage_point == installed.usage_point[place]):
                covered = slots & _still(cube, row, begins >= start) if outage.open else slots
                result[row] |= covered
    return result


def _still(cube: Cube, row: np.intp, after: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell the slots before the first that has a value other than 0, counted from a moment on."""
    flows = standing.present(cube.quality[row]) & (cube.values[row] != 0) & after
    return np.asarray(~np.logical_or.accumulate(flows.ravel()).reshape(flows.shape))
