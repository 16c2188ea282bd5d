"""MSCONS, read back by pydifact, with both decimal marks."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydifact.segmentcollection import Interchange, Message

from mdm.export import mscons
from schemas import quality
from tests.mdm.export.records import END, HEAD, START, dial, intervals, measured, record

NAME = "Flat 3/7: 'Noor'+x?ß"
FLAGS = {
    0: quality.ESTIMATED_LINEAR, 1: quality.MISSING, 2: quality.SUSPECT, 3: quality.EDITED,
    4: quality.ESTIMATED_TWO_WEEK, 5: quality.POWER_DOWN,
}  # fmt: skip
RENDERS = {".": mscons.render, ",": mscons.render_comma}


def parsed(content: bytes) -> tuple[Interchange, list[Message]]:
    interchange = Interchange.from_str(content.decode("latin-1"))
    interchange.validate()
    return interchange, list(interchange.get_messages())


def rows(message: Message, mark: str) -> list[tuple[Any, ...]]:
    """Each quantity with the register, its qualifier, its unit, its times and its method."""
    found: list[tuple[Any, ...]] = []
    obis = ""
    for segment in message.segments:
        elements = segment.elements
        if segment.tag == "PIA":
            obis = elements[1][0]
        elif segment.tag == "QTY":
            kind, amount, unit = elements[0]
            assert ("," if mark == "." else ".") not in amount
            found.append((obis, kind, Decimal(amount.replace(mark, ".")), unit, [], []))
        elif segment.tag == "DTM" and found and elements[0][0] in {"163", "164", "7"}:
            assert elements[0][2] == "303"
            found[-1][4].append(datetime.strptime(f"{elements[0][1]}00", "%Y%m%d%H%M%z"))
        elif segment.tag == "STS":
            found[-1][5].append(elements)
    return found


@pytest.mark.parametrize("mark", [".", ","])
def test_every_value_comes_back(mark: str) -> None:
    series = intervals([100 + n for n in range(288)], FLAGS)
    dials = [dial(START, 5_000), dial(END, 33_800, code=quality.ESTIMATED)]
    point = measured(record(NAME), series, dials=dials)
    content = RENDERS[mark](HEAD, [point, point])
    assert content.startswith(f"UNA:+{mark}? '".encode())
    interchange, messages = parsed(content)
    assert interchange.syntax_identifier == ("UNOC", 3)
    ends = [s.elements for s in interchange.segments if s.tag == "UNT"]
    assert ends == [message.get_footer_segment().elements for message in messages]
    for message in messages:
        assert message.identifier == ["MSCONS", "D", "04B", "UN", "2.4c"]
        places = [s.elements for s in message.segments if s.tag == "LOC"]
        assert places == [["172", NAME], ["172", NAME]]
        found = rows(message, mark)
        profile = [row for row in found if row[0] == "1-0:1.29.0"]
        assert len(profile) == 287
        by_start = {row[4][0]: row for row in profile}
        for slot in range(288):
            at = START + timedelta(minutes=15 * slot)
            if FLAGS.get(slot) == quality.MISSING:
                assert at not in by_start
                continue
            _, _, amount, unit, times, _ = by_start[at]
            assert (amount * 1000, unit) == (100 + slot, "KWH")
            assert times == [at, at + timedelta(minutes=15)]
        kinds = [row[1] for row in profile[:6]]
        assert kinds == ["67", "Z18", "67", "67", "220", "220"]
        methods = [row[5] for row in profile[:4]]
        assert methods == [[["Z32", "", "Z92"]], [], [], [["Z32", "", "Z95"]]]
        register = [row for row in found if row[0] == "1-0:1.8.0"]
        assert [(row[1], row[2], row[4]) for row in register] == [
            ("220", Decimal("5.000"), [START]),
            ("67", Decimal("33.800"), [END]),
        ]


def test_another_writer_gives_the_same_bytes() -> None:
    point = measured(record(NAME), intervals([1, 2, 3]), dials=[dial(START, 7)])
    content = mscons.render(HEAD, [point])
    interchange, _ = parsed(content)
    assert interchange.serialize().encode("latin-1") == content


def test_a_correction_replaces() -> None:
    point = measured(record("UP-1", version=2, corrects=1), intervals([1]))
    for of_one, function in ((point, "5"), (measured(record("UP-1"), intervals([1])), "9")):
        _, (message,) = parsed(mscons.render(HEAD, [of_one]))
        (begin,) = (s.elements for s in message.segments if s.tag == "BGM")
        assert (begin[0], begin[2]) == ("7", function)


def test_water_is_in_cubic_metres_and_voltage_is_told() -> None:
    point = measured(
        record("W-1"),
        intervals([12], seconds=3600, reading_type="water_volume_interval"),
        intervals([2300], reading_type="voltage_l1"),
    )
    _, (message,) = parsed(mscons.render(HEAD, [point]))
    ((obis, _, amount, unit, *_),) = rows(message, ".")
    assert (obis, amount, unit) == ("8-0:1.29.0", Decimal("0.012"), "MTQ")
    assert [one.what for one in mscons.left_out(point)] == ["voltage_l1"]


@pytest.mark.parametrize("name", ["UP-شقة", "x" * 36])
def test_names_that_edifact_cannot_write(name: str) -> None:
    assert "its name has" in (mscons.refusal(measured(record(name), intervals([1]))) or "")
    assert mscons.refusal(record("UP-1")) == "it has no readings of energy or volume"
