"""Decoders of Modbus: frames, registers, and searches."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from drivers import errors
from drivers.modbus import answer, plausibility, register_map, rtu
from drivers.modbus import decode as registers
from drivers.modbus import profiles as modbus_profiles
from drivers.modbus.search import Search
from tests.fuzz.target import Target, pieces


def _modbus(data: bytes) -> None:
    span = register_map.Span(3, 0x100, data[0] % 125 + 1 if data else 1)
    request = answer.Request(int.from_bytes(data[1:3]), 1, span)
    fault = answer.fault(data[1:], request)
    assert fault is None or isinstance(fault.error, errors.DriverError)
    assert answer.progress(data[1:])
    words = [word for (word,) in struct.iter_unpack(">H", data[: len(data) // 2 * 2])]
    for name in register_map.names():
        meter = register_map.named(name)
        for register in meter.registers.values():
            count = sum(field.span.count for field in register.fields)
            if len(words) >= count:
                value = registers.value(words[:count], register)
                assert value is None or abs(value) < 2**63
        for field in meter.identity.values():
            if len(words) >= field.span.count:
                assert registers.text(words[: field.span.count], field).isprintable()


def _modbus_tcp(data: bytes) -> None:
    """What a connection brings, in pieces, while two requests wait for their answers."""
    _asked(answer.Answers(), data)


def _modbus_rtu(data: bytes) -> None:
    """The same on a serial line, as it comes and with each frame's checksum put right."""
    _asked(rtu.Answers(), data)
    body = data[1:250]
    _asked(rtu.Answers(), data[:1] + body + rtu.crc(body))


def _asked(answers: answer.Answers | rtu.Answers, data: bytes) -> None:
    span = register_map.Span(3, 0x100, data[0] % 125 + 1 if data else 1)
    late = answer.Request(0, 2, span)
    try:
        for number in (1, 2):
            if isinstance(answers, rtu.Answers):
                answers.ask(1, span, late if number == 2 else None)
            else:
                answers.ask(1, span)
            for piece in pieces(data[1:]):
                answers.feed(piece)
                said = answers.next()
                if isinstance(said, tuple):
                    assert len(said) == span.count
                    break
                assert said is None or isinstance(said, errors.DriverError)
            assert answers.progress()
            assert str(answers.silence(1.0))
            assert answers.waiting <= 2 * len(data)
    except errors.DriverError:
        return


def _modbus_probe(data: bytes) -> None:
    """A meter that has these words everywhere: judged by every map, and asked by every family."""
    words = [word for (word,) in struct.iter_unpack(">H", data[: len(data) // 2 * 2])] or [0]
    for name in register_map.names():
        meter = register_map.named(name)
        memory = {
            (field.span.function, at): words[(at + number) % len(words)]
            for number, field in enumerate(_fields(meter))
            for at in range(field.span.address, field.span.end)
        }
        found = plausibility.judge(meter, memory, memory)
        assert all(clue.points and clue.seen for clue in found.clues)
        assert found.serial.isprintable()
    for search in modbus_profiles.FAMILIES.values():
        _searched(search(), words)


def _fields(meter: register_map.RegisterMap) -> list[register_map.Field]:
    fields = [field for register in meter.registers.values() for field in register.fields]
    product = [meter.product.field] if meter.product else []
    return [*fields, *product, *meter.identity.values()]


def _searched(search: Search, words: list[int]) -> None:
    span = next(search)
    for turn in range(50):
        assert 0 <= span.address <= span.end <= 0x10000
        told = [words[(turn + at) % len(words)] for at in range(span.count)]
        # Now and then it has no such registers.
        sent = None if words[turn % len(words)] % 7 == 6 else told
        try:
            span = search.send(sent)
        except StopIteration:
            return
    raise AssertionError("the search does not end")


TARGETS: Final[Mapping[str, Target]] = {
    "modbus": Target(_modbus, (b"\x02\x00\x01\x00\x00\x00\x07\x01\x03\x04\x00\x01\x00\x02",)),
    "modbus_tcp": Target(
        _modbus_tcp,
        (
            b"\x01\x00\x01\x00\x00\x00\x07\x01\x03\x04\x00\x01\x00\x02",
            b"\x01\x00\x01\x00\x00\x00\x03\x01\x83\x02",
        ),
    ),
    "modbus_rtu": Target(
        _modbus_rtu,
        (
            b"\x01\x01\x03\x04\x00\x01\x00\x02" + rtu.crc(b"\x01\x03\x04\x00\x01\x00\x02"),
            b"\x01\x01\x83\x02" + rtu.crc(b"\x01\x83\x02"),
            b"\x01\x02\x03\x04\x00\x01\x00\x02" + rtu.crc(b"\x02\x03\x04\x00\x01\x00\x02"),
        ),
    ),
    "modbus_probe": Target(
        _modbus_probe,
        (
            struct.pack(">8H", 0x5375, 0x6E53, 203, 105, 0xFFFF, 0, 0x4366, 0x0000),
            struct.pack(">4H", 0x4366, 0x0000, 0x4248, 0x0000),
        ),
    ),
}
