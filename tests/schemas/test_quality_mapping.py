"""Quality codes go out into the words of others and come back as what they were."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import facts, quality, quality_mapping
from schemas.quality import QualityClass
from schemas.quality_mapping import Aemo

OWN = [int(row["code"]) for row in facts.rows("quality_codes.csv")]
THEIRS = [quality.aemo(flag, method) for flag in "AEFNSV" for method in range(100)]


@pytest.mark.parametrize("code", OWN)
def test_our_codes_come_back_from_iec_and_aemo(code: int) -> None:
    assert quality_mapping.of_iec(quality_mapping.to_iec(code)) == code
    assert quality_mapping.of_aemo(quality_mapping.to_aemo(code)) == code


def test_codes_that_aemo_gave_come_back_but_for_the_synonym_of_valid() -> None:
    for code in THEIRS:
        assert quality_mapping.of_iec(quality_mapping.to_iec(code)) == code
        back = quality_mapping.of_aemo(quality_mapping.to_aemo(code))
        assert back == (quality.VALID if code == quality.aemo("A") else code)


def test_what_espi_cannot_tell_apart_still_means_the_same() -> None:
    lost = set()
    for code in [*OWN, *THEIRS]:
        value = quality_mapping.to_espi(code)
        back = quality_mapping.of_espi(value)
        assert quality_mapping.to_espi(back) == value
        if back != code and code in OWN:
            lost.add(quality.name_of(code))
    kept = {"valid", "suspect", "estimated_linear", "estimated_like_day", "edited", "derived"}
    assert {quality.name_of(code) for code in OWN} - lost == kept


def test_codes_by_the_published_tables() -> None:
    assert quality_mapping.to_iec(quality.VALID) == ("3.0.1",)
    assert quality_mapping.to_iec(quality.EDITED) == ("3.7.0",)
    assert quality_mapping.to_iec(quality.ESTIMATED_LINEAR) == ("3.8.0", "3.8.1301")
    assert quality_mapping.to_iec(quality.aemo("S", 14)) == ("3.8.0", "3.8.2414")
    assert quality_mapping.to_espi(quality.ESTIMATED_LINEAR) == 9
    assert quality_mapping.to_aemo(quality.VALID) == Aemo("A")
    assert str(quality_mapping.to_aemo(quality.ESTIMATED_LIKE_DAY)) == "S14"
    outage = quality_mapping.to_aemo(quality.POWER_DOWN)
    assert (outage.flag, outage.reason) == ("A", 79)
    suspect = quality_mapping.to_aemo(quality.SUSPECT)
    assert (suspect.flag, suspect.method, suspect.reason) == ("N", None, 45)


@pytest.mark.parametrize(
    ("types", "code"),
    [
        (["3.8.0"], quality.ESTIMATED),
        (["2.8.0"], quality.ESTIMATED),
        (["1.4.2"], quality.PARTIAL),
        (["2.0.0"], quality.VALID),
        (["1.3.1"], quality.METER_DOUBTS),
        (["3.6.4"], quality.SUSPECT),
        (["3.0.1", "3.6.4"], quality.SUSPECT),
        (["1.2.32", "3.8.0"], quality.ESTIMATED),
        (["2.6.1001"], quality.SUSPECT),
        (["3.8.1999"], quality.ESTIMATED),
        ([], quality.VALID),
    ],
)
def test_what_others_say_in_iec(types: list[str], code: int) -> None:
    assert quality_mapping.of_iec(types) == code


def test_what_another_wrote_stays_theirs() -> None:
    assert quality_mapping.of_aemo(Aemo("S", 17)) == quality.aemo("S", 17)
    assert quality_mapping.of_aemo(Aemo("F", 53, 0, "edited")) == quality.aemo("F", 53)


def test_what_nobody_defined_is_refused() -> None:
    with pytest.raises(ValueError, match=r"system\.category\.index"):
        quality_mapping.of_iec(["3.8"])
    with pytest.raises(ValueError, match="QualityOfReading"):
        quality_mapping.of_espi(3)
    with pytest.raises(ValueError, match="AEMO"):
        quality_mapping.of_aemo(Aemo("X"))


@given(st.lists(st.sampled_from([*OWN, *THEIRS]), min_size=1, max_size=4), st.randoms())
def test_of_several_qualities_none_is_made_better(codes: list[int], order: Random) -> None:
    """A reading with the types of several codes is as bad as the worst, in whatever order."""
    types = [one for code in codes for one in quality_mapping.to_iec(code)]
    ours = {one for one in types if int(one.split(".")[2]) >= 1000}
    back = quality_mapping.of_iec(types)
    if len(set(codes)) == 1:
        assert back == codes[0]
    if not ours:
        order.shuffle(types)
        assert rank(quality_mapping.of_iec(types)) == max(map(rank, codes))


@given(st.sampled_from([*OWN, *THEIRS]))
def test_no_other_words_change_what_a_value_may_be_billed_as(code: int) -> None:
    """What is estimated stays so, what a person set stays so, what is good stays good: by class."""
    kinds = quality.class_table()
    espi = quality_mapping.of_espi(quality_mapping.to_espi(code))
    iec = quality_mapping.of_iec(quality_mapping.to_iec(code))
    assert kinds[iec] == kinds[code]
    doubtful = {QualityClass.QUESTIONABLE, QualityClass.MISSING}
    if kinds[code] in doubtful or code == quality.PARTIAL:
        # ESPI has one word for all that is in doubt; no value is no value beside it.
        assert kinds[espi] in doubtful
    else:
        assert kinds[espi] == kinds[code]


def rank(code: int) -> int:
    return [0, 4, 3, 1, 2].index(int(quality.class_table()[code]))
