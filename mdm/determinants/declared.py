"""The determinants that a tariff declares one by one, for a batch of usage points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from mdm import tariff_declared as kinds
from mdm.determinants import demands, energies, period_registers, profile, series
from mdm.determinants.determinant import Determinant
from mdm.determinants.facts import Facts
from mdm.determinants.ground import Clock, Ground
from mdm.determinants.profile import Profile
from mdm.determinants.registers import Span
from mdm.determinants.series import Series
from mdm.tariff_declared import Declared
from schemas.assets import Channel

if TYPE_CHECKING:
    from mdm.determinants.batch import Batch

Writer = Callable[[Ground, Declared], Iterator[Determinant]]
WRITERS: Final[Mapping[str, Writer]] = {
    kinds.ENERGY: energies.energy,
    kinds.NET_ENERGY: energies.net_energy,
    kinds.EXCESS_REACTIVE: energies.excess_reactive,
    kinds.PEAK_DEMAND: demands.peak_demand,
    kinds.MINIMUM_DEMAND: demands.minimum_demand,
    kinds.COINCIDENT_DEMAND: demands.coincident_demand,
    kinds.APPARENT_DEMAND: demands.apparent_demand,
    kinds.POWER_FACTOR: demands.power_factor,
    kinds.ADJUSTED_DEMAND: demands.adjusted_demand,
    kinds.BILLED_DEMAND: demands.billed_demand,
    kinds.REGISTERS: period_registers.time_of_use_register,
}
"""What writes each kind's lines."""


def lines(batch: Batch, points: Sequence[int]) -> dict[int, tuple[Determinant, ...]]:
    """Write what a batch's tariff declares, by usage point, in the tariff's order.

    Parameters
    ----------
    points : of the batch, of which lines are wanted

    Raises
    ------
    ValueError
        if a block lies off its channel's grid, or a declared period is not in the calendar.
    """
    if not batch.tariff.declared or not points:
        return {}
    clock = Clock(batch.calendar, batch.zone, batch.period)
    found = _series(batch, points)
    start, end = (int(moment.timestamp()) for moment in (batch.period.start, batch.period.end))
    written = {}
    for point in points:
        ground = Ground(
            tariff=batch.tariff,
            clock=clock,
            series=found.get(point, {}),
            dials=_dials(batch, point),
            facts=batch.facts.get(point, Facts()),
            starts_at=start,
            ends_at=end,
        )
        written[point] = tuple(
            line for of in batch.tariff.declared for line in WRITERS[of.kind](ground, of)
        )
    return written


def _dials(batch: Batch, point: int) -> dict[str, Sequence[Span]]:
    dials = dict(batch.dials.get(point, {}))
    if batch.tariff.register:
        dials[batch.tariff.register] = batch.spans.get(point, ())
    return dials


def _series(batch: Batch, points: Sequence[int]) -> dict[int, dict[str, Series]]:
    """Arrange the intervals of the declared reading types, by usage point and type.

    Channels whose days were summed beforehand have none: nobody asks for them.
    """
    summed = {number for days in batch.days for number in days.channel_id.tolist()}
    wanted = {name for of in batch.tariff.declared for name in of.intervals}
    wanted |= {batch.tariff.interval} if batch.tariff.interval else set()
    rows: dict[tuple[int, str], list[tuple[Profile, int]]] = {}
    for name in sorted(wanted):
        of_type = {
            point: [one for one in batch.channels_of(point, name) if one.id not in summed]
            for point in points
        }
        lengths = sorted({c.interval_seconds for several in of_type.values() for c in several})
        for seconds in lengths:
            numbers = {
                channel.id: point
                for point, several in of_type.items()
                for channel in several
                if channel.interval_seconds == seconds
            }
            load = profile.arrange(
                batch.blocks, np.array(sorted(numbers)), batch.period, batch.zone, seconds
            )
            for row, channel in enumerate(sorted(numbers)):
                _expect(batch, load, row, numbers[channel], of_type[numbers[channel]])
                rows.setdefault((numbers[channel], name), []).append((load, row))
    found: dict[int, dict[str, Series]] = {}
    for (point, name), several in rows.items():
        joined = series.joined(several)
        if joined is not None:
            found.setdefault(point, {})[name] = joined
    return found


def _expect(batch: Batch, load: Profile, row: int, point: int, channels: Sequence[Channel]) -> None:
    """Expect intervals only while a meter was there that makes them."""
    stretches = [span.stretch for span in batch.spans.get(point, ())]
    if not stretches and point not in batch.vacant:
        return
    if len(channels) > 1:
        stretches = [s for s in stretches if s.interval_seconds == load.interval_seconds]
    profile.mark_outside(load, row, [(s.starts_at, s.ends_at) for s in stretches])
