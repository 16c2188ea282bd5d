"""How often the balance finds a planted cause, and how often it accuses somebody who is innocent.

Feeders of simulated meters with real load curves: errors of good meters of half a percent, a
technical loss of 1 to 3 % that grows with the load, use without a meter, noise. One cause each is
planted:

    python -m benchmarks.balance --seeds 100
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mdm import balance_causes
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
}
_CURVES: Final = ("uk_hourly", "uk_half_hourly", "il_cooling")
_START: Final = 1767225600
_EXPECTED: Final = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Feeder:
    """A feeder's hours [Wh]: what flows in, what meters count, whose count is wrong since when."""

    flow_in: NDArray[np.float64]
    meters: NDArray[np.float64]
    planted: int
    since: int

    @property
    def day(self) -> NDArray[np.int64]:
        """Day of each hour."""
        return np.arange(len(self.flow_in)) // 24

    @property
    def inputs(self) -> tuple[NDArray[Any], ...]:
        """What ``balance_causes.suspects`` asks for, with an expected loss of 2 %."""
        left = self.flow_in * (1 - _EXPECTED) - self.meters.sum(axis=0)
        return self.flow_in, left, self.meters, self.day, np.arange(len(self.flow_in)) % 24


@dataclass(frozen=True, slots=True)
class Score:
    """Feeders, how often the planted meter came first, so with factor or day, and innocents."""

    feeders: int
    found: int
    exact: int
    accused: int


def feeder(seed: int, cause: str, *, meters: int = 40, days: int = 35) -> Feeder:
    """Make a feeder; the same seed has the same meters whatever is planted."""
    dice = np.random.default_rng(seed)
    flows = np.stack([_load(seed, n, dice, days) for n in range(meters)])
    total = flows.sum(axis=0)
    share = dice.uniform(0.01, 0.03) * (0.5 + 0.5 * total / total.mean())
    noise = dice.normal(0, 0.003, total.shape)
    lights = dice.uniform(0, 0.01) * total.mean()
    counted = flows * (1 + dice.normal(0, 0.005, (meters, 1)))
    planted, since = int(dice.integers(meters)), int(dice.integers(8, days - 6))
    part, later = CAUSES[cause]
    since = since if later else 0
    counted[planted, 24 * since :] *= part
    return Feeder(np.round(total * (1 + share + noise) + lights), np.round(counted), planted, since)


def _load(seed: int, number: int, dice: np.random.Generator, days: int) -> NDArray[np.float64]:
    load = Load(
        key=f"{seed}/{number}", curve=_CURVES[int(dice.integers(3))],
        mean=int(dice.integers(400, 3000)), mix=int(dice.integers(1, 4)), start=_START,
        start_weekday=3, slots=days * 96,
    )  # fmt: skip
    return np.asarray(load.active.reshape(-1, 4).sum(axis=1), np.float64)


def score(cause: str, seeds: Iterable[int], *, meters: int = 40) -> Score:
    """Plant a cause in feeders, and look for it."""
    feeders = found = exact = accused = 0
    part, later = CAUSES[cause]
    for seed in seeds:
        made = feeder(seed, cause, meters=meters)
        told = balance_causes.suspects(*made.inputs)
        feeders += 1
        innocent = [each for each in told if each.meter != made.planted or cause == "clean"]
        accused += bool(innocent)
        if told and told[0] not in innocent:
            found += 1
            first = told[0]
            day = first.since is not None and abs(first.since - made.since) <= 1
            ratio = bool(part) and first.ratio is not None and abs(first.ratio * part - 1) < 1e-9
            exact += day if later else ratio
    return Score(feeders, found, exact, accused)


def main() -> None:
    """Score all causes; print one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--meters", type=int, default=40)
    options = parser.parse_args()
    for cause in CAUSES:
        began = time.process_time()
        done = asdict(score(cause, range(options.seeds), meters=options.meters))
        print(json.dumps({"cause": cause, **done, "cpu_s": round(time.process_time() - began, 1)}))


if __name__ == "__main__":
    main()
