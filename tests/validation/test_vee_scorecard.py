"""The scorecard: what it hides, what it holds against what, and the order that it suggests."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from schemas import quality
from tests.validation.vee_cubes import cube
from validation import scorecard, scores
from validation.estimators import ESTIMATORS
from validation.scorecard import BASELINES, INTERPOLATE, PERSISTENCE, Trial
from validation.scores import Score, Scores

BERLIN = ZoneInfo("Europe/Berlin")


def random_cube(days: int = 44, channels: int = 2, **given: Any) -> Any:
    rows = np.random.default_rng(3).integers(0, 900, (channels, days, 24)).tolist()
    return cube(rows, **given)


def test_every_estimator_is_a_candidate() -> None:
    assert {use.estimator.name for use in scorecard.candidates()} == set(ESTIMATORS)


def test_gaps_are_hidden_in_measured_values_of_target_days_only() -> None:
    target = np.zeros((2, 44), np.bool_)
    target[:, 5:40] = True
    given = random_cube(target=target)
    codes = given.quality.copy()
    codes[1, :, 7] = quality.ESTIMATED
    given.quality[...] = codes
    for turn in range(11):
        cells = scorecard.hidden(given, 6, (3, turn))
        assert np.all(np.diff(cells) > 0)
        assert np.all(codes.ravel()[cells] == quality.VALID)
        day = cells // 24
        assert np.all(target.ravel()[day])
        # One gap of six neighbours a day.
        assert np.all(np.bincount(day)[np.unique(day)] == 6)
        assert np.all(cells[5::6] - cells[::6] == 5)


def test_over_all_turns_each_day_has_its_gap_once() -> None:
    given = random_cube()
    days = [scorecard.hidden(given, 1, (0, turn)) // 24 for turn in range(11)]
    assert sorted(np.concatenate(days).tolist()) == list(range(88))


def test_whole_days_are_as_long_as_they_are() -> None:
    given = random_cube(days=2, first=date(2026, 10, 24), zone=BERLIN)
    hidden = np.concatenate([scorecard.hidden(given, None, (5, turn)) for turn in range(11)])
    assert sorted(hidden.tolist()) == sorted(
        channel * 50 + day * 25 + slot
        for channel in (0, 1)
        for day, length in ((0, 24), (1, 25))
        for slot in range(length)
    )


def test_each_length_is_tried_once_and_the_cube_stays() -> None:
    given = random_cube()
    values = given.values.copy()
    found = list(scorecard.trials(given, scorecard.candidates(), turns=2))
    # At one hour a slot, "1 slot" and "1 h" are one.
    assert [each.length for each in found] == [
        length for length in ("1 slot", "2 h", "6 h", "12 h", "1 day") for _ in range(2)
    ]
    assert np.array_equal(given.values, values)
    assert len({each.methods for each in found}) == 1
    assert found[0].methods[:3] == ("linear", "like_day 1", "like_day 2")


def test_scaled_gaps_add_up_exactly() -> None:
    for trial in scorecard.trials(random_cube(), scorecard.candidates()):
        flowed = np.bincount(trial.gap, weights=trial.truth)
        for brought, scaled in zip(trial.brought, trial.scaled, strict=True):
            sums = np.bincount(trial.gap, weights=scaled)
            there = np.unique(trial.gap[brought])
            assert np.array_equal(sums[there], flowed[there])
        register = trial.methods.index("register")
        assert np.array_equal(trial.values[register], trial.scaled[register])
        assert trial.brought[register].all()


def test_the_baselines_are_the_last_value_and_the_straight_line() -> None:
    rows = [[[100 * hour for hour in range(24)]] * 30]
    (trial,) = scorecard.trials(cube(rows), scorecard.candidates(), hours=(2,))
    last = trial.values[trial.methods.index(PERSISTENCE)]
    line = trial.values[trial.methods.index(INTERPOLATE)]
    linear = trial.values[trial.methods.index("linear")]
    inner = (trial.truth > 200) & (trial.truth < 2100)
    first = trial.gap != np.roll(trial.gap, 1)
    assert inner.any()
    expected = trial.truth - np.where(first, 100, 200)
    assert np.array_equal(last[inner], expected[inner])
    assert np.array_equal(line[inner], trial.truth[inner])
    assert np.array_equal(linear[inner], trial.truth[inner])


def trial(**given: Any) -> Trial:
    """Give a trial of two gaps of two slots, of channel 0 in winter and of channel 1 in summer."""
    values = np.array([[8, 0, 0, 0], [10, 30, 44, 0], [20, 20, 20, 20], [10, 20, 40, 10]])
    filled = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]], dtype=np.bool_)
    columns: dict[str, Any] = {
        "length": "2 h",
        "methods": ("short", "long", *BASELINES),
        "channel": np.array([0, 0, 1, 1]),
        "day": np.array([0, 0, 1, 1]),
        "gap": np.array([0, 0, 1, 1]),
        "truth": np.array([10, 20, 40, 0]),
        "filled": filled,
        "values": values,
        "brought": np.array([[0] * 4, [1, 1, 0, 0], [1] * 4, [1] * 4], dtype=np.bool_),
        "scaled": np.array([[0] * 4, [8, 22, 0, 0], [15, 15, 20, 20], [10, 20, 32, 8]]),
    }
    return Trial(**{**columns, **given})


def scored(usages: tuple[str, ...] = ("homes",)) -> Scores:
    made = Scores(usages)
    made.add(trial(), np.arange(2) % len(usages), np.array([0, 2]))
    return made


def row(table: list[Score], **wanted: str) -> Score:
    (found,) = [
        each for each in table if all(getattr(each, key) == is_ for key, is_ in wanted.items())
    ]
    return found


def test_scores_worked_by_hand() -> None:
    whole = row(scored().table(), method="long", season=scores.ALL)
    assert (whole.asked, whole.filled, whole.length, whole.usage) == (4, 3, "2 h", "homes")
    # Errors 0, +10 and +4 of 10, 20 and 40: 14 / 70; on the same, the last value is 10, 0 and -20.
    assert whole.wape == pytest.approx(14 / 70)
    assert whole.bias == pytest.approx(14 / 70)
    assert whole.mape == pytest.approx((0 + 0.5 + 0.1) / 3)
    assert whole.persistence == pytest.approx(30 / 70)
    assert whole.interpolate == 0
    # Of the gap that could be scaled: 8 and 22 for 10 and 20.
    assert whole.scaled == pytest.approx(4 / 30)


def test_scores_are_apart_by_season_and_class() -> None:
    winter = row(scored().table(), method="long", season="Dec–Feb")
    assert (winter.asked, winter.wape) == (2, pytest.approx(10 / 30))
    summer = row(scored().table(), method="long", season="Jun–Aug")
    assert (summer.asked, summer.filled, summer.wape) == (2, 1, pytest.approx(4 / 40))
    assert not [each for each in scored().table() if each.season == "Sep–Nov"]
    shops = row(scored(("homes", "shops")).table(), method="short", usage="shops", season="all")
    assert (shops.asked, shops.filled, shops.wape) == (2, 0, None)


def test_the_order_leaves_the_least_error() -> None:
    # Truth 10, 20, 40. A is right about the first and wrong about the second, B wrong by one
    # everywhere, C by twenty.
    truth = np.array([10, 20, 40])
    three = np.zeros(3, dtype=np.int64)
    values = np.array([[10, 0, 0], [11, 21, 41], [30, 40, 60], *[[0] * 3] * 2])
    filled = np.array([[1, 0, 0], *[[1] * 3] * 4], dtype=np.bool_)

    def order(names: tuple[str, ...], *, registers: bool = False) -> list[str]:
        made = Scores(("homes",))
        made.add(
            trial(
                methods=(*names, *BASELINES), channel=three, day=three, gap=three, truth=truth,
                values=values, filled=filled, brought=np.zeros_like(filled),
                scaled=np.zeros_like(values),
            ),
            three,
            three,
        )  # fmt: skip
        return made.order("homes", registers=registers)

    assert order(("a", "b", "c")) == ["a", "b"]
    assert order(("a", "register", "c")) == ["a", "c"]
    assert order(("a", "register", "c"), registers=True) == ["a", "register"]
    assert Scores(("homes",)).order("homes", registers=False) == []


def test_a_weekly_load_is_best_taken_from_other_weeks() -> None:
    weekday = np.random.default_rng(5).integers(0, 5000, (7, 24))
    rows = [[weekday[day % 7].tolist() for day in range(63)]]
    found = Scores(("homes",))
    for each in scorecard.trials(cube(rows), scorecard.candidates(), turns=3):
        found.add(each, np.zeros(1, np.int64), np.zeros(63, np.int64))
    table = found.table()
    weekly = row(table, method="multi_week", length="1 day", season="all")
    assert weekly.wape == 0
    assert row(table, method="like_day 1", length="1 day", season="all").wape != 0
    assert weekly.persistence is not None
    assert weekly.persistence > 0.3
    first = found.order("homes", registers=False)[0]
    assert first in {"multi_week", "two_week", "average_like_day", "nearest_equivalent"}


def test_where_nothing_flows_no_estimator_is_suggested() -> None:
    found = Scores(("idle",))
    for each in scorecard.trials(cube([[[0] * 24] * 30]), scorecard.candidates()):
        found.add(each, np.zeros(1, np.int64), np.zeros(30, np.int64))
    assert found.order("idle", registers=False) == []
