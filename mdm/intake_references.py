"""Other series that validation knows beside a cube: balances, class profiles, temperatures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from mdm import intake_checks, virtual
from mdm.intake_channels import Channels
from mdm.intake_layout import Layout
from mdm.virtual import Flows
from mdm.virtual_sum import MILLION
from schemas import binary_copy, statements
from schemas.database import Connection
from validation import days as days_
from validation import standing
from validation.matrix import Cube, References, Series

if TYPE_CHECKING:
    from mdm.intake_cube import Intake

_SQL = statements.load("mdm", "intake_references.sql")
_KINDS: Final = {"weekday": days_.WEEKDAY, "weekend": days_.WEEKEND, "holiday": days_.HOLIDAY}


def completed(connection: Connection, part: Intake, *, known_at: datetime | None = None) -> Intake:
    """Give channels what stands beside them: check meters, balances, profiles and temperatures.

    Where there is none of these, it costs one short question.

    Parameters
    ----------
    known_at : what was recorded or imported later is left out; None for nothing
    """
    ((checks, nodes, profiles, temperatures),) = connection.execute(_SQL["anything"])
    if checks:
        part = intake_checks.completed(connection, part, known_at=known_at)
    if not (nodes or profiles or temperatures):
        return part
    cube, channels, layout = part.cube, part.channels, part.layout
    at = known_at or "infinity"
    references = References(
        balance=_balance(connection, part, known_at) if nodes else None,
        profile=_profile(connection, cube, channels, at) if profiles else None,
        temperature=_temperature(connection, channels, layout, at) if temperatures else None,
    )
    return replace(part, cube=replace(cube, references=references))


def _points(channels: Channels) -> dict[str, object]:
    return {"usage_points": binary_copy.array(np.unique(channels.usage_point))}


def _balance(connection: Connection, intake: Intake, known_at: datetime | None) -> Series | None:
    """Give what the other flows of each channel's node leave for it, on the target days."""
    cube, channels, layout = intake.cube, intake.channels, intake.layout
    limits = {**_points(channels), "known_at": known_at or "infinity"}
    nodes = [row[0] for row in connection.execute(_SQL["nodes"], limits)]
    wanted = np.flatnonzero(cube.target.any(axis=0))
    if not nodes or not len(wanted):
        return None
    first, end = int(wanted[0]), int(wanted[-1]) + 1
    part = layout.part(first, end)
    series = Series(np.zeros(cube.shape, np.int64), np.zeros(cube.shape, np.bool_))
    for node in virtual.definitions(connection, nodes, known_at=known_at):
        mine = replace(node, interval_seconds=layout.interval_seconds)
        found = virtual.flows(connection, mine, part.first, part.count, known_at=known_at)
        if not np.array_equal(found.layout.bounds, part.bounds):
            continue  # another time zone: its days are others
        members = _members(mine, found, channels)
        _lay_over(members, intake, (first, end), part)
        for row, values, good in _left(members):
            for whole, line in ((series.values, values), (series.good, good)):
                whole[row, first:end][part.days.exists] = line
    return series if series.good.any() else None


@dataclass(frozen=True, slots=True, eq=False)
class _Members:
    """The places of a node, each once; a feeder may stand in it as a flow and with its losses.

    Attributes
    ----------
    row : shape (k,), of the cube; -1 for none
    values, good : shape (k, t), good where the flow is known
    factor : shape (k, t) [millionths]; 0 where no term is in force
    """

    row: NDArray[np.intp]
    values: NDArray[np.int64]
    good: NDArray[np.bool_]
    factor: NDArray[np.int64]


def _members(node: virtual.Virtual, found: Flows, channels: Channels) -> _Members:
    places = sorted({(term.usage_point_id, term.reading_type_id) for term in node.terms})
    points, kinds = (np.array([place[n] for place in places]) for n in (0, 1))
    row = channels.rows_of(points, kinds)
    slots = found.lines.values.shape[1]
    values = np.zeros((len(places), slots), np.int64)
    good = np.zeros((len(places), slots), np.bool_)
    factor = np.zeros((len(places), slots), np.int64)
    counts = np.repeat(found.counts, found.layout.days.length, axis=1)
    for n, term in enumerate(node.terms):
        place = places.index((term.usage_point_id, term.reading_type_id))
        values[place] = found.lines.values[n]
        good[place] = _known(found.lines.quality[n])
        factor[place] += term.factor * counts[n]
    return _Members(row, values, good, factor)


def _known(codes: NDArray[np.int16]) -> NDArray[np.bool_]:
    return np.asarray(standing.table()[codes] & standing.ANCHOR != 0)


def _lay_over(members: _Members, intake: Intake, days: tuple[int, int], part: Layout) -> None:
    """Take days that have just come in with the same cube, where the record has none yet.

    What the record has of a flow counts before what came for it: that is not validated yet. Once it
    is, the others of the node are validated again (``virtual_due``).
    """
    cube, recorded = intake.cube, intake.history.recorded
    for place in np.flatnonzero(members.row >= 0):
        row = members.row[place]
        came = cube.target[row, slice(*days)] & ~recorded[row, slice(*days)]
        new = np.repeat(came, part.days.length)
        values = cube.values[row, slice(*days)][part.days.exists]
        codes = cube.quality[row, slice(*days)][part.days.exists]
        members.values[place] = np.where(new, values, members.values[place])
        members.good[place] = np.where(new, _known(codes), members.good[place])


def _left(
    members: _Members,
) -> Iterable[tuple[np.intp, NDArray[np.int64], NDArray[np.bool_]]]:
    """Give for each member of the cube what the sum of the others leaves, rounded half up."""
    used = np.where(members.good, members.values, 0)
    whole, rest = np.divmod(members.factor, MILLION)
    units, parts = whole * used, rest * used
    lacks = ~members.good & (members.factor != 0)
    total, fine, lacking = units.sum(axis=0), parts.sum(axis=0), lacks.sum(axis=0)
    for place in np.flatnonzero(members.row >= 0):
        factor = members.factor[place]
        others = (total - units[place]) * MILLION + fine - parts[place]
        size = np.maximum(np.abs(factor), 1)
        value = np.floor_divide(2 * -others * np.sign(factor) + size, 2 * size)
        good = (factor != 0) & (lacking - lacks[place] == 0)
        yield members.row[place], np.where(good, value, 0), good


def _profile(
    connection: Connection, cube: Cube, channels: Channels, at: datetime | str
) -> Series | None:
    """Give each channel the mean day of its class."""
    limits = {"interval": cube.interval_seconds, "known_at": at}
    rows = connection.execute(_SQL["profiles"], limits).fetchall()
    if not rows:
        return None
    known: dict[tuple[str, str, int], dict[int, list[int]]] = {}
    for sector, tariff, kind, day_kind, values in rows:
        known.setdefault((sector, tariff, kind), {})[_KINDS[day_kind]] = values
    width = 86400 // cube.interval_seconds
    # One row more, of channels without a profile.
    table = np.zeros((len(known) + 1, len(_KINDS), width), np.int64)
    there = np.zeros(table.shape[:2], np.bool_)
    for n, by_kind in enumerate(known.values()):
        for kind, values in by_kind.items():
            table[n, kind], there[n, kind] = values, True
        if not there[n, days_.HOLIDAY]:
            table[n, days_.HOLIDAY] = table[n, days_.WEEKEND]
            there[n, days_.HOLIDAY] = there[n, days_.WEEKEND]
    place = _classes(connection, channels, list(known))
    kind, clock = cube.days.kind, np.maximum(cube.days.clock, 0)
    values = table[:, kind[:, None], clock][place]
    good = there[:, kind][place][:, :, None] & cube.days.exists
    return Series(values, np.asarray(good)) if good.any() else None


def _classes(
    connection: Connection, channels: Channels, known: list[tuple[str, str, int]]
) -> NDArray[np.intp]:
    """Give each channel's class as its place among the known; the last is none."""
    place = {each: n for n, each in enumerate(known)}
    rows = connection.execute(_SQL["classes"], _points(channels)).fetchall()
    of_point = {row[0]: (row[1], row[2]) for row in rows}
    return np.array(
        [
            place.get((*of_point[point], kind), len(known))
            for point, kind in zip(
                channels.usage_point.tolist(), channels.reading_type.tolist(), strict=True
            )
        ],
        np.intp,
    )


def _temperature(
    connection: Connection, channels: Channels, layout: Layout, at: datetime | str
) -> NDArray[np.float64] | None:
    """Give the days' mean temperatures: the billing group's, else the time zone's."""
    rows = connection.execute(_SQL["places"], _points(channels)).fetchall()
    places = sorted({place for row in rows for place in row[1:]})
    last = layout.first + timedelta(days=layout.count - 1)
    limits: dict[str, object] = {
        "places": places, "first": layout.first, "last": last, "known_at": at,
    }  # fmt: skip
    found = connection.execute(_SQL["temperatures"], limits).fetchall()
    if not found:
        return None
    table = np.full((len(places), layout.count), np.nan)
    for place, day, celsius in found:
        table[places.index(place), (day - layout.first).days] = celsius
    by_point = {row[0]: [places.index(place) for place in row[1:]] for row in rows}
    group, zone = (
        table[[by_point[point][n] for point in channels.usage_point.tolist()]] for n in (0, 1)
    )
    return np.where(np.isnan(group), zone, group)
