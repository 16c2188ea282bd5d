"""Whole runs: what holds for any input."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas import quality
from schemas.quality import QualityClass
from tests.validation.vee_cubes import (
    DEFAULTS,
    cube,
    rows_of,
    rule_set,
    span_table,
)
from validation import days, engine, ruleset
from validation.engine import Outcome
from validation.matrix import Cube, Spans
from validation.ruleset import RuleSet

ZONE = ZoneInfo("Europe/London")


@st.composite
def cubes(draw: st.DrawFn) -> Cube:
    """Draw cubes with everything in them: clock changes, history, registers right and wrong."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels, count = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    first = draw(st.sampled_from([date(2026, 3, 27), date(2026, 10, 23), date(2026, 6, 1)]))
    table = days.of(first, count, ZONE, 3600, weekend={5, 6}, holidays={date(2026, 6, 2)})
    shape = (channels, *table.clock.shape)
    values = random.gamma(1.5, draw(st.sampled_from([1, 300])), shape).astype(np.int32)
    values[random.random(shape) < 0.02] *= 50
    values[random.random(shape) < 0.01] *= -1
    if draw(st.booleans()):
        values[:, random.integers(count)] = random.integers(0, 2)
    truth = np.where(random.random(shape) < 0.9, values, values // 2 + 1)
    codes = np.zeros(shape, dtype=np.int16)
    odd = [10, 11, 12, 13, 100, 110, 300, 302, 400, quality.aemo("S", 14), quality.aemo("N")]
    some = random.random(shape) < 0.05
    codes[some] = random.choice(odd, size=int(some.sum()))
    codes[random.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.6]))] = quality.MISSING
    codes[:, ~table.exists] = quality.MISSING
    values[quality.classes(codes) == QualityClass.MISSING] = 0
    truth[:, ~table.exists] = 0
    return Cube(
        values=values,
        quality=codes,
        target=random.random(shape[:2]) < 0.8,
        days=table,
        interval_seconds=3600,
        one_way=random.random(channels) < 0.8,
        spans=_spans(random, truth),
        duplicate=random.random(shape) < 0.01,
        misfit=random.random(shape) < 0.01,
        outside=(codes == quality.MISSING) & (random.random(shape) < 0.3),
    )


def _spans(random: np.random.Generator, truth: NDArray[np.int32]) -> Spans:
    columns: list[tuple[int, int, int, int]] = []
    for channel, line in enumerate(truth.reshape(len(truth), -1)):
        edges = np.sort(random.choice(line.size + 1, size=5, replace=False))
        for start, end in pairwise(edges):
            if random.random() < 0.8:
                columns.append((channel, int(start), int(end), int(line[start:end].sum())))
    return span_table(columns)


def part(given_: Cube, channels: list[int]) -> Cube:
    """Give some channels of a cube, in an order."""
    spans = given_.spans
    rows = [
        (new, int(spans.start[row]), int(spans.end[row]), int(spans.energy[row]))
        for new, old in enumerate(channels)
        for row in np.flatnonzero(spans.channel == old)
    ]
    assert given_.duplicate is not None
    assert given_.misfit is not None
    assert given_.outside is not None
    return replace(
        given_,
        values=given_.values[channels],
        quality=given_.quality[channels],
        target=given_.target[channels],
        one_way=given_.one_way[channels],
        spans=span_table(rows),
        duplicate=given_.duplicate[channels],
        misfit=given_.misfit[channels],
        outside=given_.outside[channels],
    )


def findings_of(outcome: Outcome, channel: int) -> list[tuple[object, ...]]:
    chosen = outcome.findings.channel == channel
    limits = zip(
        rows_of(outcome.findings),
        outcome.findings.observed.tolist(),
        outcome.findings.limit.tolist(),
        outcome.findings.last_day.tolist(),
        strict=True,
    )
    return [row for row, inside in zip(limits, chosen, strict=True) if inside]


def same(one: Outcome, channel: int, other: Outcome, other_channel: int) -> bool:
    return (
        np.array_equal(one.values[channel], other.values[other_channel])
        and np.array_equal(one.quality[channel], other.quality[other_channel])
        and np.array_equal(one.changed[channel], other.changed[other_channel])
        and findings_of(one, channel) == findings_of(other, other_channel)
    )


@pytest.fixture(params=["electricity", "water"])
def shipped(request: pytest.FixtureRequest) -> RuleSet:
    return ruleset.select(ruleset.shipped(), request.param, date(2026, 6, 1))


@given(cubes())
@settings(deadline=None)
def test_measured_values_and_history_never_change(given_: Cube) -> None:
    outcome = engine.run(given_, DEFAULTS)
    differs = (outcome.values != given_.values) | (outcome.quality != given_.quality)
    assert np.array_equal(differs.any(axis=2), outcome.changed)
    assert not outcome.changed[~given_.target].any()
    moved = outcome.values != given_.values
    assert np.isin(
        quality.classes(outcome.quality[moved]), [QualityClass.ESTIMATED, QualityClass.MISSING]
    ).all()
    kept = np.isin(quality.classes(outcome.quality), [QualityClass.VALID, QualityClass.EDITED])
    assert np.array_equal(outcome.values[kept], given_.values[kept])
    assert not outcome.values[quality.classes(outcome.quality) == QualityClass.MISSING].any()


def stretches(outcome: Outcome, given_: Cube, name: str) -> list[tuple[int, int, int]]:
    """Give a rule's findings as (channel, first, after) on the flattened day × slot axis."""
    found, slots = outcome.findings, given_.shape[2]
    chosen = found.rule == found.names.index(name)
    first = found.day * slots + found.first_slot
    after = found.last_day * slots + found.last_slot + 1
    columns = (found.channel[chosen], first[chosen], after[chosen])
    return list(zip(*(column.tolist() for column in columns), strict=True))


def joined_spans(outcome: Outcome, given_: Cube) -> list[tuple[int, int, int, int]]:
    """Give spans as (channel, start, end, energy), joined over registers that were misread."""
    spans = given_.spans
    joined = {row[:2]: row[2] for row in stretches(outcome, given_, "register_misread")}
    rows: list[tuple[int, int, int, int]] = []
    until = (-1, 0)
    for row in range(len(spans)):
        channel, start, end, energy = (
            int(column[row]) for column in (spans.channel, spans.start, spans.end, spans.energy)
        )
        if until[0] == channel and start < until[1]:
            rows[-1] = (*rows[-1][:2], end, rows[-1][3] + energy)
        else:
            rows.append((channel, start, end, energy))
            until = (channel, joined.get((channel, start), 0))
    return rows


@given(cubes())
@settings(deadline=None)
def test_scaled_spans_equal_their_register(given_: Cube) -> None:
    outcome = engine.run(given_, DEFAULTS)
    exists = np.broadcast_to(given_.days.exists, given_.shape).reshape(len(given_.values), -1)
    values, codes = outcome.values.reshape(exists.shape), outcome.quality.reshape(exists.shape)
    before = given_.quality.reshape(exists.shape)
    refused = {(row[0], row[1]) for row in stretches(outcome, given_, "scaling_refused")}
    for channel, start, end, energy in joined_spans(outcome, given_):
        inside = (channel, slice(start, end))
        classes = quality.classes(codes[inside])[exists[inside]]
        estimated = (codes[inside] != before[inside]) & (
            quality.classes(codes[inside]) == QualityClass.ESTIMATED
        )
        if estimated.any() and not np.any(classes == QualityClass.MISSING):
            exact = int(values[inside].sum()) == energy
            assert exact is ((channel, start) not in refused)


@given(cubes(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_channels_do_not_influence_each_other(given_: Cube, random: Random) -> None:
    whole = engine.run(given_, DEFAULTS)
    channels = list(range(len(given_.values)))
    shuffled = channels.copy()
    random.shuffle(shuffled)
    permuted = engine.run(part(given_, shuffled), DEFAULTS)
    for new, old in enumerate(shuffled):
        assert same(permuted, new, whole, old)
    for channel in channels:
        alone = engine.run(part(given_, [channel]), DEFAULTS)
        assert same(alone, 0, whole, channel)


@given(cubes())
@settings(deadline=None)
def test_a_missing_value_fails_nothing_but_the_gap_rule(given_: Cube) -> None:
    outcome = engine.run(given_, DEFAULTS)
    missing = quality.classes(given_.quality) == QualityClass.MISSING
    findings = outcome.findings
    for row, found in enumerate(rows_of(findings)):
        name, day, first, last = found[0], *found[3:]
        cells = missing[findings.channel[row], day, first : last + 1]
        if name == "gap":
            assert cells.all()
        elif name == "high_low":
            assert not cells.any()
        elif name == "sum_check":
            channel = int(findings.channel[row])
            start = day * given_.shape[2] + first
            end = int(findings.last_day[row]) * given_.shape[2] + int(findings.last_slot[row]) + 1
            assert not (missing & given_.days.exists)[channel].ravel()[start:end].any()
        elif name == "collapsed_hour":
            # It is about the day, and about the very hour that the gap rule names.
            assert cells.any()
        elif name not in {"not_estimated", "scaling_refused", "register_misread"}:
            assert not cells.any()
    gaps = findings.rule == findings.names.index("gap")
    named = int((findings.last_slot - findings.first_slot + 1)[gaps].sum())
    assert named == outcome.counters.missing


@given(cubes())
@settings(deadline=None)
def test_the_same_input_gives_the_same_output_and_stays_as_it_was(given_: Cube) -> None:
    values, codes = given_.values.copy(), given_.quality.copy()
    one, two = engine.run(given_, DEFAULTS), engine.run(given_, DEFAULTS)
    assert all(same(one, channel, two, channel) for channel in range(len(values)))
    assert np.array_equal(values, given_.values)
    assert np.array_equal(codes, given_.quality)


@given(cubes())
@settings(deadline=None)
def test_nothing_wanted_is_lost_between_filled_and_left(given_: Cube) -> None:
    counters = engine.run(given_, DEFAULTS).counters
    filled = sum(counters.filled.values())
    assert counters.missing + counters.replaced == filled + counters.left


def test_an_empty_rule_set_changes_nothing_and_a_shipped_one_does(shipped: RuleSet) -> None:
    given_ = cube([[[5, None, -3, *([8, 9, 7] * 7)]]])
    outcome = engine.run(given_, rule_set())
    assert np.array_equal(outcome.values, given_.values)
    assert np.array_equal(outcome.quality, given_.quality)
    assert len(outcome.findings) == 0
    assert len(engine.run(given_, shipped).findings) == 2
