"""What must always hold of declared determinants, and that what was stored before still stands."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm import calendar_file, tariff_file
from mdm.determinants import batch as batches
from mdm.determinants import determinant, facts
from mdm.determinants.batch import Batch
from mdm.determinants.declared import WRITERS
from mdm.determinants.facts import Facts
from mdm.determinants.registers import Reading, Span, Stretch
from mdm.determinants.rounding import Rounding
from mdm.tariff import DETERMINANTS, LISTED, TariffError
from mdm.tariff_declared import KINDS, REGISTER_DIFFERENCE
from schemas import quality
from schemas.assets import Channel
from tests.mdm.declaring import BASE, EXPORT, IMPORT, LONDON, REACTIVE, batch, lines, one, tariff
from tests.mdm.test_determinants import KUWAIT, blocks, days

# As it was stored before tariffs could declare: the very text, and the digest of a set made by it.
STORED = (
    '{"calendar":"kuwait","commodity":"electricity","demand":{"block_minutes":30,'
    '"rolling_minutes":[15,30,60]},"determinants":["consumption","register_start","register_end",'
    '"register_consumption","interval_consumption","time_of_use_consumption","block_demand",'
    '"rolling_demand","load_factor"],"effective_from":"2017-05-22","gates":{"edited":25,'
    '"estimated":25,"missing":"0.5","questionable":0,"register_difference":0},'
    '"interval":"active_energy_import_interval","name":"kw-commercial","note":"Commercial.",'
    '"register":"active_energy_import","rounding":{"demand":{"mode":"half_up","places":3},'
    '"quantity":{"mode":"half_up","places":3},"ratio":{"mode":"half_up","places":4}},'
    '"sources":["register","interval"],"unit":"kWh"}'
)
TARIFF_DIGEST = "d42af7e4186e78cfee20478eb39a90f27756c5d4898a96e10166323b12b1183a"
SET_DIGEST = "3bef15b72d29afc1c300e98b342543f67185a1bff01cbf030d7a49bbf5b64f4f"


def test_a_definition_stored_before_gives_the_same_bits() -> None:
    made = tariff_file.restored(STORED)
    assert (made.definition, made.digest) == (STORED, TARIFF_DIGEST)
    period = days(date(2026, 6, 1), 3, KUWAIT)
    values = [(i * 37) % 211 for i in range(288)]
    start, end = int(period.start.timestamp()), int(period.end.timestamp())
    stretch = Stretch(1, 5, "M", 900, Decimal(1), 10**6, start, end)
    last = (999_000 + sum(values)) % 10**6
    of = Batch(
        tariff=made,
        calendar=calendar_file.named("kuwait"),
        zone=KUWAIT,
        period=period,
        usage_points=[1],
        channels={1: [Channel(7, 1, IMPORT, 900)]},
        spans={1: [Span(stretch, Reading(start, 1, 999_000, 0), Reading(end, 1, last, 0))]},
        blocks=blocks(7, period, KUWAIT, 900, values),
    )
    assert determinant.digest(batches.results(of)[1].determinants) == SET_DIGEST


def test_every_kind_is_written_and_told() -> None:
    assert set(WRITERS) == set(KINDS)
    assert {*LISTED, *KINDS, REGISTER_DIFFERENCE} == set(DETERMINANTS)


FIRST = st.sampled_from([date(2026, 3, 27), date(2026, 10, 23), date(2026, 6, 1)])
PARTS = """
[[tariff.determinant]]
kind = "energy"
[[tariff.determinant]]
kind = "energy"
name = "of"
split = true
[[tariff.determinant]]
kind = "energy"
name = "night"
periods = ["night"]
[[tariff.determinant]]
kind = "peak_demand"
[[tariff.determinant]]
kind = "peak_demand"
name = "rolling"
window_minutes = 60
step_minutes = 30
[[tariff.determinant]]
kind = "peak_demand"
name = "hour"
window_minutes = 60
"""


@st.composite
def loads(draw: st.DrawFn) -> tuple[date, int, list[int], dict[int, int]]:
    first, count = draw(FIRST), draw(st.integers(2, 4))
    n = round(days(first, count, LONDON).duration / timedelta(minutes=30))
    values = draw(st.lists(st.integers(0, 5000), min_size=n, max_size=n))
    codes = [quality.MISSING, quality.ESTIMATED, quality.EDITED]
    flags = draw(st.dictionaries(st.integers(0, n - 1), st.sampled_from(codes), max_size=6))
    kept = [0 if flags.get(slot) == quality.MISSING else v for slot, v in enumerate(values)]
    return first, count, kept, flags


def value(of: Batch, name: str, part: str) -> Decimal:
    found = lines(of)[name, part].value
    assert found is not None
    return found


@settings(max_examples=15, deadline=None)
@given(loads())
def test_parts_sum_to_the_total_and_any_split_to_the_whole(
    load: tuple[date, int, list[int], dict[int, int]],
) -> None:
    first, count, values, flags = load
    of = tariff(PARTS)
    whole = batch(of, days(first, count, LONDON), {IMPORT: values}, codes={IMPORT: flags})
    found = lines(whole)
    parts = [found["energy", f"of {name}"] for name in ("day", "night")]
    assert sum(p.value for p in parts if p.value is not None) == found["energy", ""].value
    assert sum(sum(p.counts) for p in parts) == found["energy", ""].counts.expected == len(values)
    assert found["energy", "night"].value == parts[1].value
    # A day apart from the others, in the stored unit: kWh of three places are Wh.
    n = round(days(first, 1, LONDON).duration / timedelta(minutes=30))
    pieces = [(first, 1, 0, n), (first + timedelta(days=1), count - 1, n, len(values))]
    split = []
    for day, some, since, until in pieces:
        codes = {slot - since: code for slot, code in flags.items() if since <= slot < until}
        period = days(day, some, LONDON)
        split.append(batch(of, period, {IMPORT: values[since:until]}, codes={IMPORT: codes}))
    assert sum(value(piece, "energy", "") for piece in split) == found["energy", ""].value
    peaks = [lines(piece)["peak_demand", ""].value for piece in split]
    assert max(p for p in peaks if p is not None) == found["peak_demand", ""].value
    block, rolling = found["peak_demand", "hour"].value, found["peak_demand", "rolling"].value
    assert block is None or (rolling is not None and block <= rolling)
    # Made again from its stored definition, the tariff gives the same to the last bit.
    again = replace(whole, tariff=tariff_file.restored(of.definition))
    digests = {determinant.digest(batches.results(b)[1].determinants) for b in (whole, again)}
    assert len(digests) == 1


FLOWS = st.lists(st.integers(0, 5000), min_size=48, max_size=48)


@settings(max_examples=15, deadline=None)
@given(FLOWS, FLOWS)
def test_two_flows(one_: list[int], other: list[int]) -> None:
    day = days(date(2026, 6, 1), 1, LONDON)
    flows = {IMPORT: one_, EXPORT: other}
    totals = {}
    for per in ("interval", "period"):
        of = batch(one("net_energy", f'minus = "{EXPORT}"', f'per = "{per}"'), day, flows)
        totals[per] = [value(of, "net_energy", part) for part in ("taken", "given")]
        # Whatever the tariff's choice, what was taken less what was given is the same.
        assert (totals[per][0] - totals[per][1]) * 1000 == sum(one_) - sum(other)
    assert all(a >= b for a, b in zip(totals["interval"], totals["period"], strict=True))
    apparent = batch(
        one("apparent_demand", f'reactive = "{REACTIVE}"'), day, {IMPORT: one_, REACTIVE: other}
    )
    active = value(batch(one("peak_demand"), day, {IMPORT: one_}), "peak_demand", "")
    assert active <= value(apparent, "apparent_demand", "") <= active + Decimal(max(other)) / 500


@given(st.integers(0, 10**30), st.integers(1, 10**9), st.integers(0, 9))
def test_a_root_is_rounded_once(number: int, over: int, places: int) -> None:
    square = Fraction(number, over)
    found = Fraction(Rounding(places).of_root(square))
    half = Fraction(1, 2 * 10**places)
    assert max(found - half, 0) ** 2 <= square <= (found + half) ** 2
    # The square of a fraction has that fraction as its root, halves and all.
    exact = Fraction(number, 2 * over)
    assert Rounding(places).of_root(exact**2) == Rounding(places).of(number, 2 * over)


def test_facts_are_made_again_from_their_text() -> None:
    some = Facts(
        peaks={"coincident_demand/": (1780264800,)},
        history={"billed_demand/": ((date(2026, 5, 1), Decimal("12.500")),)},
        losses={"DLF": ((date(2025, 7, 1), Decimal("1.05")),)},
    )
    assert facts.restored(some.text) == some
    assert json.loads(some.text)["history"] == {"billed_demand/": [["2026-05-01", "12.500"]]}
    assert (Facts().text, facts.restored("")) == ("", Facts())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "enrgy"', "no kind 'enrgy' of determinant; known: energy"),
        ('kind = "energy"\ncount = 2', "energy has no key 'count'"),
        ('kind = "net_energy"\nper = "day"', "net_energy needs the key 'minus'"),
        (f'kind = "net_energy"\nminus = "{EXPORT}"\nper = "day"', "per 'day' is none of interval"),
        ('kind = "apparent_demand"', "apparent_demand needs the key 'reactive'"),
        (f'kind = "power_factor"\nreactive = "{EXPORT}"', "is no reading type of reactive"),
        ('kind = "energy"\ninterval = "water_volume_interval"', "no delta electricity"),
        (f'kind = "energy"\ninterval = "{REACTIVE}"', "varh cannot be billed in 'kWh'"),
        ('kind = "peak_demand"\nwindow_minutes = 30\nstep_minutes = 20', "a whole number of step"),
        ('kind = "peak_demand"\ncount = 0', "count must be from 1"),
        ('kind = "billed_demand"\nshare = 0.8', "a ratchet needs both"),
        ('kind = "billed_demand"\nminimum = -1', "minimum must not be negative"),
        ('kind = "billed_demand"\nbasis = "apparent"', "basis 'apparent' needs the key 'reactive'"),
        ('kind = "energy"\nlosses = ["DLF"]', "no [[tariff.loss]] with the name 'DLF'"),
        ('kind = "energy"\n[[tariff.determinant]]\nkind = "energy"', "declared twice"),
        ('name = "x"', "'kind' is missing"),
    ],
)
def test_a_declaration_that_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(TariffError) as caught:
        tariff_file.parse(f"{BASE}\n[[tariff.determinant]]\n{text}\n", "works.toml")
    assert message in str(caught.value)


def test_a_period_that_the_calendar_lacks_is_told() -> None:
    of = one("energy", 'periods = ["dawn"]')
    with pytest.raises(ValueError, match="calendar london has no period 'dawn'; known: day, night"):
        batches.results(batch(of, days(date(2026, 6, 1), 1, LONDON), {IMPORT: [1] * 48}))
