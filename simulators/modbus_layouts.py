"""Register layouts of simulated Modbus meters, as published, encoded here and nowhere else.

The head-end has register maps of its own for the same meters. Nothing is shared between the two:
what one of them has wrong, the other one shows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from simulators.meter import ACTIVE, Meter

Amount = Callable[[Meter, int], int]
"""What a register stands for at a moment [Unix s], in the meter's own scaled unit."""


Word = tuple[int, int, bytes]
"""A value in a meter's memory: function code, address, bytes."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One meter model's registers, as its vendor publishes them.

    Attributes
    ----------
    areas : function code and half-open ranges of addresses that can be read; what has no
        meaning there reads as zero
    most_words : in one request
    even : whether start and count must be even
    words : gives the words that have a meaning: function code, address, bytes
    uncut : whether a request that begins or ends inside a value is refused
    """

    areas: Sequence[tuple[int, int, int]]
    most_words: int
    even: bool
    words: Callable[[Meter, int], Iterator[Word]]
    uncut: bool = False


def _present(name: str, meter: Meter, moment: int) -> int:
    return meter.present(moment)[name]


def _imported(meter: Meter, moment: int) -> int:
    return meter.register_at(ACTIVE, moment)


def _nothing(_: Meter, __: int) -> int:
    return 0


_POWER: Final = partial(_present, "active_power_import")
_VOLTS: Final = partial(_present, "voltage_l1")
_AMPERES: Final = partial(_present, "current_l1")
_HERTZ: Final = partial(_present, "frequency")

# Where 32-bit floats stand: address -> amount, and how many of it make the vendor's unit.
Floats = Mapping[int, tuple[Amount, int]]

_EASTRON_THREE_PHASES: Final[Floats] = {
    0x0000: (_VOLTS, 10),
    0x0002: (_VOLTS, 10),
    0x0004: (_VOLTS, 10),
    0x0006: (_AMPERES, 1000),
    0x0034: (_POWER, 1),
    0x0046: (_HERTZ, 1000),
    0x0048: (_imported, 1000),
    0x004A: (_nothing, 1000),
}
_EASTRON_ONE_PHASE: Final[Floats] = {
    0x0000: (_VOLTS, 10),
    0x0006: (_AMPERES, 1000),
    0x000C: (_POWER, 1),
    0x0046: (_HERTZ, 1000),
    0x0048: (_imported, 1000),
    0x004A: (_nothing, 1000),
}
_EASTRON_NO_VOLTAGES: Final[Floats] = {
    0x0034: (_POWER, 1),
    0x0048: (_imported, 1000),
    0x004A: (_nothing, 1000),
}
_JANITZA: Final[Floats] = {
    19000: (_VOLTS, 10),
    19012: (_AMPERES, 1000),
    19026: (_POWER, 1),
    19050: (_HERTZ, 1000),
    19060: (_imported, 1),
    19068: (_imported, 1),
    19076: (_nothing, 1),
}
# 2300.0 stands for 230 V, and so on: integers, written as floats. Energy alone is in kWh.
_CHINT: Final[Floats] = {
    0x101E: (_imported, 1000),
    0x1028: (_nothing, 1000),
    0x2006: (_VOLTS, 1),
    0x200C: (_AMPERES, 1),
    0x2012: (lambda meter, moment: 10 * _POWER(meter, moment), 1),
    0x2044: (_HERTZ, 10),
}
_FINDER: Final[Floats] = {
    2500: (_VOLTS, 10),
    2516: (_AMPERES, 1000),
    2536: (_POWER, 1),
    2584: (_HERTZ, 1000),
    2752: (_imported, 1),
    2754: (_nothing, 1),
    2756: (_nothing, 1),
    2758: (_nothing, 1),
}
_INEPRO: Final[Floats] = {
    0x5000: (_VOLTS, 10),
    0x5002: (_VOLTS, 10),
    0x5008: (_HERTZ, 1000),
    0x500C: (_AMPERES, 1000),
    0x5012: (_POWER, 1000),
    0x600C: (_imported, 1000),
    0x600E: (_imported, 1000),
    0x6010: (_nothing, 1000),
    0x6018: (_nothing, 1000),
}
_SIEMENS: Final[Floats] = {
    1: (_VOLTS, 10),
    13: (_AMPERES, 1000),
    55: (_HERTZ, 1000),
    65: (_POWER, 1),
}
_SCHNEIDER: Final[Floats] = {
    0x0BB7: (_AMPERES, 1000),
    0x0BD3: (_VOLTS, 10),
    0x0BF3: (_POWER, 1000),
    0x0C25: (_HERTZ, 1000),
}


def _floats(function: int, places: Floats, meter: Meter, moment: int) -> Iterator[Word]:
    for address, (amount, divisor) in places.items():
        yield function, address, struct.pack(">f", amount(meter, moment) / divisor)


def _chint(meter: Meter, moment: int) -> Iterator[Word]:
    # IrAt whole, UrAt in tenths, one word each.
    yield 3, 0x0006, struct.pack(">HH", meter.ratio_at(moment), 10)
    yield from _floats(3, _CHINT, meter, moment)


def _eastron(places: Floats, meter: Meter, moment: int) -> Iterator[Word]:
    yield 3, 0xFC00, struct.pack(">I", meter.number)
    yield from _floats(4, places, meter, moment)


def _abb(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of a B23: integers, energy in hundredths of a kWh in four words."""
    yield 3, 0x8900, struct.pack(">I", meter.number)
    yield 3, 0x5000, struct.pack(">QQ", _imported(meter, moment) // 10, 0)
    yield 3, 0x5B00, struct.pack(">I", _VOLTS(meter, moment))
    yield 3, 0x5B0C, struct.pack(">I", _AMPERES(meter, moment) // 10)
    yield 3, 0x5B14, struct.pack(">i", _POWER(meter, moment) * 100)
    yield 3, 0x5B2C, struct.pack(">H", _HERTZ(meter, moment) // 10)


def _schneider(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of an iEM3000: 64-bit Wh, and floats with power in kW."""
    yield 3, 0x0081, struct.pack(">I", meter.number)
    yield 3, 0x0C83, struct.pack(">qqqqqq", _imported(meter, moment), 0, 0, 0, 0, 0)
    yield from _floats(3, _SCHNEIDER, meter, moment)


def _swapped(number: int) -> bytes:
    """Write 32 bits with the less significant word first."""
    high, low = struct.unpack(">HH", struct.pack(">i", number))
    return struct.pack(">HH", low, high)


def _carlo_gavazzi(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of an EM340: 32 bits, less significant word first; frequency 16 bits."""
    yield 3, 0x5000, f"CG{meter.number:08d}".encode().ljust(14, b"\0")
    yield 4, 0x0000, _swapped(_VOLTS(meter, moment))
    yield 4, 0x000C, _swapped(_AMPERES(meter, moment))
    yield 4, 0x0028, _swapped(_POWER(meter, moment) * 10)
    yield 4, 0x0033, struct.pack(">h", _HERTZ(meter, moment) // 100)
    yield 4, 0x0034, _swapped(_imported(meter, moment) // 100)
    yield 4, 0x004E, _swapped(0)


def _siemens(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of a PAC3200: 64-bit floats of Wh, a third of the energy in tariff 2."""
    energy = _imported(meter, moment)
    yield from _floats(3, _SIEMENS, meter, moment)
    for address, part in [(801, energy - energy // 3), (805, energy // 3), (809, 0), (813, 0)]:
        yield 3, address, struct.pack(">d", part)


def _lovato(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of a DMG610: integers, each quantity with a scale of its own."""
    yield 4, 0x0001, struct.pack(">I", _VOLTS(meter, moment) * 10)
    yield 4, 0x0007, struct.pack(">I", _AMPERES(meter, moment) * 10)
    yield 4, 0x0031, struct.pack(">I", _HERTZ(meter, moment))
    yield 4, 0x0039, struct.pack(">i", _POWER(meter, moment) * 100)
    yield 4, 0x1B1F, struct.pack(">Q", _imported(meter, moment) // 10)
    yield 4, 0x1B23, struct.pack(">Q", 0)


def _em24(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of an EM24 with RS-485: as an EM340, energy and frequency elsewhere."""
    yield 4, 0x0000, _swapped(_VOLTS(meter, moment))
    yield 4, 0x000C, _swapped(_AMPERES(meter, moment))
    yield 4, 0x0028, _swapped(_POWER(meter, moment) * 10)
    yield 4, 0x0037, struct.pack(">h", _HERTZ(meter, moment) // 100)
    yield 4, 0x0042, _swapped(_imported(meter, moment) // 100)
    yield 4, 0x005C, _swapped(0)


def _socomec(name: str, energy: int, watt_hours: int, meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of a Countis or Diris: its name, and energy at a place of the model's own."""
    yield 3, 0xC38A, name.encode("ascii").ljust(16)
    for place in (0xC558, 0xC55A, 0xC55C):
        yield 3, place, struct.pack(">I", _VOLTS(meter, moment) * 10)
    yield 3, 0xC55E, struct.pack(">I", _HERTZ(meter, moment) // 10)
    for place in (0xC560, 0xC562, 0xC564):
        yield 3, place, struct.pack(">I", _AMPERES(meter, moment))
    yield 3, 0xC568, struct.pack(">i", _POWER(meter, moment) // 10)
    yield 3, energy, struct.pack(">I", _imported(meter, moment) // watt_hours)
    yield 3, energy + 6, struct.pack(">I", 0)


def _diris_b30(meter: Meter, moment: int) -> Iterator[Word]:
    """Give the words of a Diris B30: a table of its own, energy in whole kWh."""
    yield 3, 0xC38A, b"Diris B30".ljust(16)
    for place in (0x480C, 0x480E, 0x4810):
        yield 3, place, struct.pack(">I", _VOLTS(meter, moment) * 10)
    for place in (0x481A, 0x481C, 0x481E):
        yield 3, place, struct.pack(">I", _AMPERES(meter, moment))
    yield 3, 0x482C, struct.pack(">i", _POWER(meter, moment))
    yield 3, 0x4D83, struct.pack(">I", _imported(meter, moment) // 1000)
    yield 3, 0x4D86, struct.pack(">I", 0)


LAYOUTS: Final[Mapping[str, Layout]] = {
    "eastron-sdm630": Layout(
        areas=((4, 0x0000, 0x0182), (3, 0xFC00, 0xFC04)),
        most_words=80,
        even=True,
        words=partial(_eastron, _EASTRON_THREE_PHASES),
    ),
    "eastron-sdm120": Layout(
        areas=((4, 0x0000, 0x0182), (3, 0xFC00, 0xFC04)),
        most_words=80,
        even=True,
        words=partial(_eastron, _EASTRON_ONE_PHASE),
    ),
    "abb-b23": Layout(
        areas=((3, 0x5000, 0x5070), (3, 0x5B00, 0x5B60), (3, 0x8900, 0x8970)),
        most_words=125,
        even=False,
        words=_abb,
    ),
    "schneider-iem3000": Layout(
        areas=((3, 0x0080, 0x0090), (3, 0x0BB7, 0x0C27), (3, 0x0C83, 0x0CE0)),
        most_words=125,
        even=False,
        words=_schneider,
    ),
    "carlo-gavazzi-em340": Layout(
        areas=((4, 0x0000, 0x0060), (3, 0x5000, 0x5007)),
        most_words=50,
        even=False,
        words=_carlo_gavazzi,
    ),
    "carlo-gavazzi-em24": Layout(
        areas=((4, 0x0000, 0x0060),), most_words=50, even=False, words=_em24
    ),
    "eastron-sdm72": Layout(
        areas=((4, 0x0000, 0x0182), (3, 0xFC00, 0xFC04)),
        most_words=80,
        even=True,
        words=partial(_eastron, _EASTRON_NO_VOLTAGES),
    ),
    "janitza-umg96": Layout(
        areas=((3, 19000, 19120),), most_words=125, even=False, words=partial(_floats, 3, _JANITZA)
    ),
    "siemens-pac3200": Layout(
        areas=((3, 1, 75), (3, 801, 841)), most_words=125, even=False, words=_siemens, uncut=True
    ),
    "chint-dtsu666": Layout(
        areas=((3, 0x0000, 0x0010), (3, 0x1010, 0x1060), (3, 0x2000, 0x2050)),
        most_words=60,
        even=False,
        words=_chint,
    ),
    "finder-7m": Layout(
        areas=((4, 2490, 2770),), most_words=100, even=False, words=partial(_floats, 4, _FINDER)
    ),
    "inepro-pro380": Layout(
        areas=((3, 0x5000, 0x5030), (3, 0x6000, 0x6050)),
        most_words=60,
        even=False,
        words=partial(_floats, 3, _INEPRO),
    ),
    "lovato-dmg610": Layout(
        areas=((4, 0x0001, 0x0080), (4, 0x1B1F, 0x1B60)), most_words=60, even=False, words=_lovato
    ),
    "socomec-countis-e24": Layout(
        areas=((3, 0xC38A, 0xC392), (3, 0xC550, 0xC5A0), (3, 0xC700, 0xC750)),
        most_words=120,
        even=False,
        words=partial(_socomec, "Countis E24", 0xC702, 10),
    ),
    "socomec-diris-a10": Layout(
        areas=((3, 0xC38A, 0xC392), (3, 0xC550, 0xC5A0), (3, 0xC650, 0xC6A0)),
        most_words=120,
        even=False,
        words=partial(_socomec, "Diris A-10", 0xC65C, 1000),
    ),
    "socomec-diris-b30": Layout(
        areas=((3, 0xC38A, 0xC392), (3, 0x4800, 0x4840), (3, 0x4D80, 0x4DA0)),
        most_words=120,
        even=False,
        words=_diris_b30,
    ),
}
"""Meter models that can be simulated, by profile."""
