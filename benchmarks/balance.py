"""How often the balance finds a planted cause, and how often it accuses somebody who is innocent.

Feeders of simulated meters with real load curves: errors of good meters of half a percent, a
technical loss of 1 to 3 % that grows with the load, use without a meter, noise. One cause each is
planted; of a tap before the meters and of a clean feeder nobody may be accused:

    python -m benchmarks.balance --seeds 100

The last line, one JSON object, has how many of 100 planted meters each cause is found for, and
``accused``, how many feeders somebody innocent was accused in.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import balance_causes
from mdm.balance_causes import Suspect
from simulators.load_curve import Load

# What of the planted meter's true flow it counts, and whether from a day in the middle on.
CAUSES: Final[dict[str, tuple[float, bool]]] = {
    "clean": (1.0, False),
    "twice": (1 / 2, False),
    "ten times": (1 / 10, False),
    "half": (2.0, False),
    "bypassed whole": (0.0, True),
    "bypassed by 60 %": (0.4, True),
    "bypassed by 30 %": (0.7, True),
    "of another feeder": (math.inf, False),
    "not in the registry": (-math.inf, False),
    "a tap since a day": (1.0, True),
    "a tap all the time": (1.0, False),
}
# What no meter of the feeder is to blame for.
_INNOCENT: Final = ("clean", "a tap since a day", "a tap all the time")
_MORE: Final = 5
_CURVES: Final = ("uk_hourly", "uk_half_hourly", "il_cooling")
_START: Final = 1767225600
_EXPECTED: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Feeder:
    """A feeder's hours [Wh]: what flows in, what meters count, whose count is wrong since when.

    ``others`` are meters of other feeders; ``planted`` counts on from the feeder's own.
    """

    flow_in: NDArray[np.float64]
    meters: NDArray[np.float64]
    others: NDArray[np.float64]
    planted: int
    since: int

    @property
    def day(self) -> NDArray[np.int64]:
        """Day of each hour."""
        return np.arange(len(self.flow_in)) // 24

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What ``balance_causes.look`` asks for, with an expected loss of 2 %."""
        left = self.flow_in * (1 - _EXPECTED) - self.meters.sum(axis=0)
        times = self.day, np.arange(len(self.flow_in)) % 24
        return self.flow_in, left, self.meters, times, self.others


@dataclass(frozen=True, slots=True)
class Score:
    """Feeders, how often the planted meter came first, so with factor or day, and innocents.

    ``unmetered`` counts feeders that were told to have something that no meter counts.
    """

    feeders: int
    found: int
    exact: int
    accused: int
    unmetered: int


def feeder(seed: int, cause: str, *, meters: int = 40, days: int = 35) -> Feeder:
    """Make a feeder; the same seed has the same meters whatever is planted."""
    dice = np.random.default_rng(seed)
    flows = np.stack([_load(seed, n, dice, days) for n in range(meters)])
    true = dice.normal(0, 0.005, (meters, 1))
    planted, since = int(dice.integers(meters)), int(dice.integers(8, days - 6))
    others = np.stack([_load(seed, meters + n, dice, days) for n in range(_MORE)])
    flowing = flows.sum(axis=0)
    part, later = CAUSES[cause]
    since = since if later else 0
    counted = flows * (1 + true)
    if part == math.inf:
        # Here is what another meter counts there.
        flowing = flowing - flows[planted]
    elif part == -math.inf:
        planted = meters
        flowing = flowing + others[0]
    elif cause in _INNOCENT[1:]:
        # Curves are shared by meters, whole weeks apart: in reverse its days are nobody's.
        tap = _load(seed, meters + _MORE, dice, days).reshape(days, 24)[::-1].ravel()
        flowing = flowing + np.where(np.arange(len(tap)) >= 24 * since, tap, 0)
    else:
        counted[planted, 24 * since :] *= part
    share = dice.uniform(0.01, 0.03) * (0.5 + 0.5 * flowing / flowing.mean())
    noise = dice.normal(0, 0.003, flowing.shape)
    lights = dice.uniform(0, 0.01) * flowing.mean()
    entered = np.round(flowing * (1 + share + noise) + lights)
    return Feeder(entered, np.round(counted), np.round(others), planted, since)


def _load(seed: int, number: int, dice: np.random.Generator, days: int) -> NDArray[np.float64]:
    load = Load(
        key=f"{seed}/{number}", curve=_CURVES[int(dice.integers(3))],
        mean=int(dice.integers(400, 3000)), mix=int(dice.integers(1, 4)), start=_START,
        start_weekday=3, slots=days * 96,
    )  # fmt: skip
    return np.asarray(load.active.reshape(-1, 4).sum(axis=1), np.float64)


def score(cause: str, seeds: Iterable[int], *, meters: int = 40) -> Score:
    """Plant a cause in feeders, and look for it."""
    feeders = found = exact = accused = unmetered = 0
    for seed in seeds:
        made = feeder(seed, cause, meters=meters)
        told = balance_causes.look(*made.inputs)
        feeders += 1
        unmetered += told.unmetered is not None
        innocent = [
            each for each in told.suspects if each.meter != made.planted or cause in _INNOCENT
        ]
        accused += bool(innocent)
        if told.suspects and told.suspects[0] not in innocent:
            found += 1
            exact += _exact(told.suspects[0], made, cause)
    return Score(feeders, found, exact, accused, unmetered)


def _exact(first: Suspect, made: Feeder, cause: str) -> bool:
    """Tell whether the day, the ratio or the kind of a cause is right too."""
    part, later = CAUSES[cause]
    if math.isinf(part):
        return first.cause == ("elsewhere" if part > 0 else "unregistered")
    if later:
        return first.since is not None and abs(first.since - made.since) <= 1
    return first.ratio is not None and abs(first.ratio * part - 1) < 1e-9


def main() -> None:
    """Score all causes; print one JSON line each, and one of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--meters", type=int, default=40)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    figures: dict[str, float] = {"accused": 0}
    for cause in CAUSES:
        began = time.process_time()
        done = score(cause, seeds, meters=options.meters)
        spent = round(time.process_time() - began, 1)
        print(json.dumps({"cause": cause, **asdict(done), "cpu_s": spent}), flush=True)
        figures["accused"] += done.accused
        if cause not in _INNOCENT:
            figures[cause] = round(100 * done.found / done.feeders, 1)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
