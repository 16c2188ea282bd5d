"""What comes late to a town: actual values for estimates and gaps, edits, other dials."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from random import Random

from tests.mdm.oracle.fleet import Town
from tests.mdm.oracle.world import KIND_OF, House, Known, Series


def later(random: Random, town: Town) -> tuple[Town, list[str]]:
    """Give the town as it is known later, and whose data are others than before."""
    houses, touched = [], []
    for house in town.houses:
        if random.random() < 0.5:
            houses.append(house)
            continue
        houses.append(changed(random, house))
        touched.append(house.mrid)
    return replace(town, houses=houses), touched


def changed(random: Random, house: House) -> House:
    made = deepcopy(house)
    for series in made.series:
        if random.random() < 0.7:
            _intervals(random, series)
    if random.random() < 0.4:
        _dials(random, made)
    return made


def _intervals(random: Random, series: Series) -> None:
    starts = sorted(series.values)
    for _ in range(random.randint(1, 4) if starts else 0):
        first = random.randrange(len(starts))
        how = random.choice(("actual", "edit", "more", "gone", "same"))
        for at in starts[first : first + random.choice((1, 2, 9))]:
            series.values[at] = _other(random, series.values[at], how)
    if random.random() < 0.3:
        for at, known in series.values.items():
            if KIND_OF[known.code] in ("missing", "estimated"):
                series.values[at] = Known(random.randint(0, 3_000), 0)


def _other(random: Random, known: Known, how: str) -> Known:
    if how == "gone":
        return Known(0, 200)
    if how == "same":
        return Known(known.value, 110) if known.code not in (200, 201) else known
    value = min(known.value + random.choice((0, 1, 500)), 2**31 - 1)
    return Known(value, {"actual": 0, "edit": 400, "more": 10}[how])


def _dials(random: Random, house: House) -> None:
    """Let a reading be put right by a little, or be doubted."""
    for meter in house.meters:
        for shown in meter.dials.values():
            for at in list(shown):
                if random.random() < 0.2:
                    known = shown[at]
                    up = known.value + random.randint(0, 40)
                    if meter.modulus is None or up < meter.modulus:
                        shown[at] = Known(up, random.choice((0, 0, 400, 100)))
