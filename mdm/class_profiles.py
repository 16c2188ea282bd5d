"""Load profiles of classes: the mean day of all usage points of a sector and tariff."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import intake_layout, readings, readings_columns, vee_late
from mdm.intake_layout import Layout, Weeks
from mdm.vee_late import Late
from schemas import statements
from schemas.database import Connection
from schemas.period import Period
from validation import standing

DAY_KINDS: Final = ("weekday", "weekend", "holiday")
# Profiles keep thousandths of the scaled unit: a class of small users has small means.
_THOUSAND: Final = 1000
_TOGETHER: Final = 500
_BACK: Final = timedelta(days=366)
_SQL = statements.load("mdm", "beside_import.sql")


@dataclass(slots=True)
class _Sums:
    """Sums of whole days by kind of day and local time, and what went into them."""

    total: NDArray[np.int64]
    days: NDArray[np.int64]
    points: list[set[int]] = field(default_factory=lambda: [set() for _ in DAY_KINDS])


def make(
    connection: Connection, first: date, end: date, *, now: datetime, weeks: Weeks
) -> list[tuple[str, str, int, int]]:
    """Make the profile of each class anew from the record's whole measured days.

    Estimated, doubtful and incomplete days count for nothing, nor do days on which clocks change.
    A class's first profile has the days of the last year validated again that it may fill.

    Parameters
    ----------
    first, end : local days, ``end`` not among them

    Returns
    -------
    sector, tariff, usage points and days of each class that has a profile now
    """
    sums: dict[tuple[str, str, int, int], _Sums] = {}
    for sector, tariff, zone, kind, step, channels, points in connection.execute(
        _SQL["profiled"]
    ).fetchall():
        layout = intake_layout.of(first, (end - first).days, zone, step, weeks.of(zone))
        width = 86400 // step
        mine = sums.setdefault(
            (sector, tariff, kind, step),
            _Sums(np.zeros((3, width), np.int64), np.zeros(3, np.int64)),
        )
        for n in range(0, len(channels), _TOGETHER):
            some = slice(n, n + _TOGETHER)
            _add(connection, mine, layout, channels[some], points[some])
    return [
        (*key[:2], len(set().union(*mine.points)), int(mine.days.sum()))
        for key, mine in sums.items()
        if _keep(connection, key, mine, now)
    ]


def _add(
    connection: Connection,
    sums: _Sums,
    layout: Layout,
    channels: list[int],
    points: list[int],
) -> None:
    width = sums.total.shape[1]
    start, end = (readings_columns.moment(layout.bounds[n]) for n in (0, -1))
    blocks = readings.current(connection, channels, Period(start, end))
    day = layout.day_of(blocks.starts_at)
    usable = (blocks.length == width) & (layout.bounds[day] == blocks.starts_at)
    good = (standing.table()[blocks.quality[:, :width]] & standing.HISTORY != 0).all(axis=1)
    rows = np.flatnonzero(usable & good)
    kinds = layout.days.kind[day[rows]]
    by_channel = dict(zip(channels, points, strict=True))
    for kind in np.unique(kinds):
        chosen = rows[kinds == kind]
        sums.total[kind] += blocks.values[chosen, :width].sum(axis=0, dtype=np.int64)
        sums.days[kind] += len(chosen)
        sums.points[kind] |= {by_channel[x] for x in np.unique(blocks.channel_id[chosen]).tolist()}


def _keep(
    connection: Connection, key: tuple[str, str, int, int], sums: _Sums, now: datetime
) -> bool:
    about = {"sector": key[0], "tariff": key[1], "reading_type": key[2], "interval": key[3]}
    if sums.days.any() and connection.execute(_SQL["profile"], about).fetchone() is None:
        today = now.date()
        late = Late(kind="class_profile", sector=key[0], tariff=key[1], reading_type=key[2],
                    interval=key[3], first=today - _BACK, last=today)  # fmt: skip
        vee_late.note(connection, [late], now=now)
    for kind, name in enumerate(DAY_KINDS):
        days = int(sums.days[kind])
        if days:
            row = about | {
                "day_kind": name, "now": now, "days": days, "usage_points": len(sums.points[kind]),
                "values": (sums.total[kind] * _THOUSAND // days).tolist(),
            }  # fmt: skip
            connection.execute(_SQL["put_profile"], row)
    return bool(sums.days.any())
