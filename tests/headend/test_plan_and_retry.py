from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import errors
from headend import diagnosis, plan, retry, sampling
from headend.diagnosis import Condition
from schemas import quality
from schemas.reading import RegisterReading

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


@given(
    st.lists(st.tuples(st.integers(1, 500), st.one_of(st.none(), st.integers(1, 4))),
             unique_by=lambda pair: pair[0]),
    st.integers(0, 600),
    st.integers(1, 50),
)  # fmt: skip
def test_every_meter_is_in_one_batch_of_its_segment(
    devices: list[tuple[int, int | None]], stagger: int, size: int
) -> None:
    made = plan.batches(devices, NOW, stagger=timedelta(seconds=stagger), size=size)
    segments = dict(devices)
    placed = [device for batch in made for device in batch.end_device_ids]
    assert sorted(placed) == sorted(segments)
    for batch in made:
        assert {segments[device] for device in batch.end_device_ids} == {batch.segment_id}
        assert 0 < len(batch.end_device_ids) <= size
        assert NOW <= batch.not_before <= NOW + timedelta(seconds=stagger)


def test_a_stagger_spreads_the_starts_evenly() -> None:
    made = plan.batches(((i, None) for i in range(100)), NOW, stagger=timedelta(seconds=60))
    assert [(batch.not_before - NOW).seconds for batch in made] == [0, 10, 20, 30, 40, 50]
    assert {len(batch.end_device_ids) for batch in made} == {16, 17}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_a_policy_and_a_verdict(kind: type[errors.DriverError]) -> None:
    decision = retry.decide(kind, attempt=99, failures=0, now=NOW)
    held = issubclass(kind, errors.MeterRefused | errors.WrongMeter)
    told = kind in (errors.NotOffered, errors.Faulty, errors.WrongUnit)
    assert (decision.kind == "hold") == (held and not told)
    condition = Condition(last_attempt=NOW, failing_since=NOW, error=kind.__name__)
    judged = diagnosis.verdict(condition, now=NOW)
    assert (judged.words.level, judged.since) == ("bad", NOW)
    assert (judged.name == "defect") == (kind in (errors.LocalProtocolError, errors.DriverError))


def test_a_refusal_is_never_tried_again_within_the_session() -> None:
    for kind in (errors.WrongKey, errors.CounterOutOfSync, errors.AccessDenied):
        assert retry.decide(kind, attempt=1, failures=0, now=NOW).kind == "hold"
    assert retry.decide("WrongKey", attempt=1, failures=0, now=NOW).kind == "hold"
    assert retry.decide(errors.Broken, attempt=1, failures=0, now=NOW).kind == "now"


def test_a_meter_that_was_dead_before_gets_one_try_unless_it_gave_something() -> None:
    def kind(*, progressed: bool) -> str:
        return retry.decide(
            errors.Broken, attempt=1, failures=3, now=NOW, progressed=progressed
        ).kind

    assert (kind(progressed=False), kind(progressed=True)) == ("later", "now")


def test_pauses_double_up_to_a_limit_and_spread() -> None:
    def pause(failures: int, device: int = 0) -> timedelta:
        decision = retry.decide(
            errors.Unreachable, attempt=1, failures=failures, now=NOW, end_device_id=device
        )
        assert decision.at is not None
        return decision.at - NOW

    assert [pause(n) for n in range(3)] == [timedelta(minutes=m) for m in (5, 10, 20)]
    assert pause(10**6) == pause(50) <= timedelta(hours=6)
    many = {pause(0, device) for device in range(100)}
    assert len(many) > 90
    assert timedelta(minutes=5) <= min(many) <= max(many) <= timedelta(minutes=6)


@pytest.mark.parametrize(
    ("seconds", "placed", "code"),
    [
        (0, 0, quality.VALID),
        (59, 0, quality.VALID),
        (-30, 0, quality.VALID),
        (600, 0, quality.LATE_SAMPLE),
        (1801, 1801, quality.VALID),
    ],
)
def test_samples_near_the_grid_are_placed_on_it(seconds: int, placed: int, code: int) -> None:
    read = RegisterReading("active_energy_import", NOW + timedelta(seconds=seconds), 5)
    [one] = sampling.place([read], 3600)
    assert one == RegisterReading("active_energy_import", NOW + timedelta(seconds=placed), 5, code)


def test_the_quality_of_a_late_sample_that_is_doubtful_stays_doubtful() -> None:
    read = RegisterReading("water_volume", NOW + timedelta(minutes=10), 5, quality.METER_DOUBTS)
    assert sampling.place([read], 3600)[0].quality == quality.METER_DOUBTS


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (Condition(), "never_read"),
        (Condition(last_attempt=NOW, last_ok=NOW), "talks"),
        (Condition(last_attempt=NOW, last_ok=NOW - timedelta(days=4)), "stale"),
        (Condition(last_attempt=NOW, last_ok=NOW, error="AccessDenied"), "limited"),
        (Condition(last_attempt=NOW, last_ok=NOW, clock_deviation=timedelta(seconds=-61)),
         "clock_off"),
        (Condition(last_attempt=NOW, failing_since=NOW, error="WrongKey", held=True), "wrong_key"),
        (Condition(last_attempt=NOW, failing_since=NOW, error="TimedOut"), "no_answer"),
    ],
)  # fmt: skip
def test_verdicts(condition: Condition, name: str) -> None:
    assert diagnosis.verdict(condition, now=NOW).name == name


def test_every_verdict_has_words_in_both_languages() -> None:
    table = diagnosis.table()
    conditions = {
        "never_read", "talks", "stale", "limited", "clock_off", "interval_differs", "power_off",
    }  # fmt: skip
    used = {*diagnosis._ERRORS.values(), *conditions}
    assert set(table) == used
    for words in table.values():
        assert words.level in ("good", "warning", "bad", "unknown")
        assert all((words.text_en, words.advice_en))
        arabic = words.text_ar + words.advice_ar
        assert any("\u0600" <= letter <= "\u06ff" for letter in arabic)
