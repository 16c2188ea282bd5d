"""Layouts read what the general decoder reads, or nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, clock_time, companion, push, push_content, push_events, push_stream
from drivers.dlms.ciphering import Keys
from drivers.dlms.push_buffer import KnownColumn, KnownProfile
from drivers.dlms.push_content import Content, Terms
from drivers.dlms.push_layouts import Layouts
from drivers.dlms.security import Security
from drivers.errors import DriverError
from schemas import quality
from schemas.obis import Obis
from tests.drivers.dlms.test_dlms_push import register

RECEIVED = datetime(2026, 7, 1, 0, 0, 20, 5, tzinfo=UTC)
GENERIC = companion.named("generic")
TERMS = Terms(GENERIC, 900)
IMPORT, POWER = Obis(1, 0, 1, 8, 0), Obis(1, 0, 1, 7, 0)
SHARE = Obis(1, 0, 1, 29, 0)
EVENT, ALARMS = Obis(0, 0, 96, 11, 0), Obis(0, 0, 97, 98, 1)
END = datetime(2026, 7, 1, 0, 0, 0, tzinfo=UTC)


def named(name: Obis, value: bytes) -> bytes:
    return axdr.encode_sequence(axdr.STRUCTURE, axdr.encode_octet_string(bytes(name)), value)


def notification(*items: bytes, at: datetime = END, serial: bytes = b"1234") -> bytes:
    heading = (
        named(Obis(0, 0, 96, 1, 0), axdr.encode_octet_string(serial)),
        named(Obis(0, 0, 1, 0, 0), axdr.encode_octet_string(clock_time.encode(at, -180))),
    )
    return b"\x0f\0\0\0\1\0" + axdr.encode_sequence(axdr.STRUCTURE, *heading, *items)


def told(content: Content) -> list[tuple[object, ...]]:
    """Give all values of a content, registers and intervals alike."""
    rows: list[tuple[object, ...]] = [
        (one.reading_type, one.read_at, one.value, one.quality) for one in content.registers
    ]
    rows += [
        (one.reading_type, one.start, int(one.values[0]),
         0 if one.quality is None else int(one.quality[0]))
        for one in content.blocks
    ]  # fmt: skip
    return sorted(rows, key=str)


def agreeing(apdus: Sequence[bytes], terms: Terms) -> int:
    """Read pushes by layouts and by the general decoder; give how many layouts read."""
    moments = np.full(len(apdus), round(RECEIVED.timestamp() * 1e6))
    found, left = Layouts().read(apdus, [terms] * len(apdus), moments)
    read = [int(row) for one in found for row in one.rows]
    assert sorted([*read, *left.tolist()]) == list(range(len(apdus)))
    for one in found:
        for place, row in enumerate(one.rows.tolist()):
            content = push_content.read(push.decode(apdus[row]), terms, RECEIVED)
            assert (content.names, content.events, content.unplaced) == (one.names[place], [], [])
            rows = []
            for meaning, value in zip(one.meanings, one.values[place].tolist(), strict=True):
                at = int(one.read_at[place])
                if meaning.accumulation == "delta":
                    at = (at // 900_000_000 - 1) * 900_000_000
                moment = datetime.fromtimestamp(at / 1e6, UTC)
                rows.append((meaning.name, moment, value, int(one.quality[place])))
            assert sorted(rows, key=str) == told(content)
    return len(read)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
            st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        ),
        min_size=4, max_size=12,
    )
)  # fmt: skip
def test_pushes_of_one_make_are_read_at_once(
    values: list[tuple[int, int, datetime]],
) -> None:
    apdus = [
        notification(
            register(IMPORT, first, 1, 30), register(POWER, second, 0, 27), at=at,
            serial=str(first).zfill(10).encode(),
        )
        for first, second, at in values
    ]  # fmt: skip
    assert agreeing(apdus, TERMS) == len(values)


def test_unusual_rows_are_left_to_the_general_decoder() -> None:
    def pushed(event: int = 0, alarms: int = 0, at: datetime = END) -> bytes:
        return notification(
            register(SHARE, 7, 0, 30), named(EVENT, bytes((17, event))),
            named(ALARMS, axdr.encode_number(6, alarms)), at=at,
        )  # fmt: skip

    usual = [pushed() for _ in range(5)]
    late = pushed(at=datetime(2026, 7, 1, 0, 7, tzinfo=UTC))
    lost = pushed().replace(clock_time.encode(END, -180), bytes.fromhex("ffffffffffffffffff8000ff"))
    assert agreeing([*usual, pushed(event=1), pushed(alarms=1), late, lost], TERMS) == 5


def test_what_layouts_cannot_place_goes_one_by_one() -> None:
    unscaled = notification(named(IMPORT, axdr.encode_number(6, 5)))
    assert agreeing([unscaled] * 6, TERMS) == 0
    content = push_content.read(push.decode(unscaled), TERMS, RECEIVED)
    assert content.unplaced == ["1.0.1.8.0.255 comes without scaler and unit"]
    wrong = notification(register(IMPORT, 5, 0, 35))
    content = push_content.read(push.decode(wrong), TERMS, RECEIVED)
    assert "no unit of active energy" in content.unplaced[0]


def test_a_number_beside_another_may_be_a_scale_and_is_not_passed_over() -> None:
    def pair(first: int, second: int) -> bytes:
        inner = axdr.encode_sequence(
            axdr.STRUCTURE, axdr.encode_number(15, first), axdr.encode_number(22, second)
        )
        item = (axdr.encode_octet_string(bytes(IMPORT)), axdr.encode_number(6, 5), inner)
        return notification(axdr.encode_sequence(axdr.STRUCTURE, *item),
                            register(POWER, 1, 0, 27))  # fmt: skip

    assert agreeing([pair(-41, 30)] * 5 + [pair(0, 30), pair(1, 30)], TERMS) >= 0


def captured(shared: Path) -> list[bytes]:
    """Give the captured notifications of real meters, deciphered."""
    apdus = []
    for frame in json.loads((shared / "data" / "dlms_frames.json").read_text("utf-8")):
        data = bytes.fromhex(frame["hex"])
        held = {name: bytes.fromhex(text) for name, text in frame["keys"].items()}
        try:
            if frame["transport"] in ("hdlc", "mbus", "wrapper-udp"):
                data = push_stream.datagram(data)[0].apdu
            elif frame["transport"] == "llc+apdu":
                data = data[3:]
            if push.is_ciphered(data):
                data, _ = push.opened(data, Security(keys=Keys(held["guek"], held.get("gak"))))
            push.decode(data)
        except DriverError:
            continue
        apdus.append(data)
    return apdus


def test_changed_captures_are_read_as_the_general_decoder_reads_them(shared: Path) -> None:
    chance = random.Random(7)
    read = 0
    for apdu in captured(shared):
        for terms in (TERMS, Terms(GENERIC, 900, -60)):
            apdus = [apdu] * 4
            for _ in range(25):
                changed = bytearray(apdu)
                for _ in range(chance.choice((1, 1, 2, 5))):
                    octet = chance.choice((0, 0xFF, 0x31, 6, 18, chance.randrange(256)))
                    changed[chance.randrange(len(changed))] = octet
                apdus.append(bytes(changed))
            read += agreeing(apdus, terms)
    assert read > 300


@pytest.mark.parametrize(
    ("name", "value", "codes"),
    [
        (EVENT, 0, []),
        (EVENT, 1, [("power", 1)]),
        (EVENT, 200, [("unknown", 200)]),
        (EVENT, 2**40, []),
        (ALARMS, 0b11, [("power", 2000), ("power", 2001)]),
        (Obis(0, 0, 97, 98, 20), 1 << 13, [("tamper", 1013)]),
        (Obis(0, 0, 97, 98, 0), 1 << 31, [("unknown", 1031)]),
    ],
)
def test_events_and_alarms(name: Obis, value: int, codes: list[tuple[str, int]]) -> None:
    assert push_events.is_event(name)
    found = push_events.events(name, value, END, GENERIC)
    assert [(one.category, one.code) for one in found] == codes


@pytest.mark.parametrize("index", [0, 3])
def test_many_makes_and_floods_of_makes_are_bounded(index: int) -> None:
    layouts = Layouts()
    moments = np.zeros(6, np.int64)
    for size in range(600):
        apdu = notification(register(IMPORT, 5, 0, 30), serial=b"x" * (1 + size % 50))
        apdus = [apdu + bytes(size)] * 6
        layouts.read(apdus, [TERMS] * 6, moments)
    assert len(layouts._made) <= 513
    alike = [notification(register(IMPORT, 5, s, 30), register(POWER, 1, index, 27))
             for s in range(-12, 13) for _ in range(4)]  # fmt: skip
    found, left = Layouts().read(alike, [TERMS] * len(alike), np.zeros(len(alike), np.int64))
    assert len(found) == 8
    assert len(left) == len(alike) - 32


LOAD_PROFILE = KnownProfile(
    Obis(1, 0, 99, 1, 0),
    900,
    (
        KnownColumn("8/0.0.1.0.0.255/2", None, None),
        KnownColumn("1/0.0.96.10.1.255/2", None, None),
        KnownColumn("3/1.0.1.29.0.255/2", "active_energy_import_interval", (1, 30)),
        KnownColumn("3/1.0.1.8.0.255/2", "active_energy_import", (0, 30)),
    ),
)
KNOWN = Terms(GENERIC, 900, None, (LOAD_PROFILE,))


def row(at: datetime | None, status: int, share: int, total: int) -> bytes:
    stamp = b"\0" if at is None else axdr.encode_octet_string(clock_time.encode(at, -180))
    numbers = (axdr.encode_number(6, share), axdr.encode_number(6, total))
    return axdr.encode_sequence(axdr.STRUCTURE, stamp, axdr.encode_number(17, status), *numbers)


ROWS = axdr.encode_sequence(axdr.ARRAY, row(END, 0, 5, 1000), row(None, 0x80, 6, 1060))


@pytest.mark.parametrize("name", [Obis(1, 0, 99, 1, 0), Obis(0, 1, 25, 9, 0)])
def test_pushed_rows_are_read_by_the_columns_that_the_meter_is_known_to_have(name: Obis) -> None:
    body = axdr.encode_sequence(
        axdr.STRUCTURE, axdr.encode_octet_string(b"MQS0000000001234"),
        axdr.encode_octet_string(bytes(name)), ROWS,
    )  # fmt: skip
    apdu = b"\x0f\0\0\0\1\0" + body
    content = push_content.read(push.decode(apdu), KNOWN, RECEIVED)
    before = END - timedelta(minutes=15)
    assert told(content) == sorted([
        ("active_energy_import_interval", before, 50, quality.VALID),
        ("active_energy_import_interval", END, 60, quality.POWER_DOWN),
        ("active_energy_import", END, 1000, quality.VALID),
        ("active_energy_import", END + timedelta(minutes=15), 1060, quality.POWER_DOWN),
    ], key=str)  # fmt: skip
    assert content.names == ("MQS0000000001234",)
    assert agreeing([apdu] * 5, KNOWN) == 0
    # Of a meter of which nothing is known, they are nothing.
    unknown = push_content.read(push.decode(apdu), TERMS, RECEIVED)
    assert told(unknown) == []


@pytest.mark.parametrize("damaged", [ROWS[:-5] + b"\0", ROWS[:5] + b"\x09\x01x" + ROWS[19:]])
def test_rows_that_do_not_fit_their_columns_are_told_or_left(damaged: bytes) -> None:
    name = axdr.encode_octet_string(bytes(LOAD_PROFILE.name))
    apdu = b"\x0f\0\0\0\1\0" + axdr.encode_sequence(axdr.STRUCTURE, name, damaged)
    content = push_content.read(push.decode(apdu), KNOWN, RECEIVED)
    assert len(told(content)) < 4


def test_registers_without_scale_take_the_one_that_the_meter_is_known_to_have() -> None:
    apdus = [notification(named(IMPORT, axdr.encode_number(6, n))) for n in range(6)]
    assert agreeing(apdus, KNOWN) == 6
