"""How well a register map fits the words that a meter gave: points for and against, with reasons.

Nothing in Modbus says what a meter is. A wrong map gives other quantities' bits, zeros, or
refusals; the right one gives a mains voltage, a mains frequency and a register that only grows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from drivers.modbus import decode
from drivers.modbus.register_map import RegisterMap
from schemas import reading_type

Memory = Mapping[tuple[int, int], int]
"""Words by function code and address; without those that the meter refused."""

Values = Mapping[str, int | None]
"""Readings by reading type [scaled unit]; None where the meter says that it has no value."""

# EN 50160 keeps supplies within 15 % of 100 … 240 V and 50 or 60 Hz; some room beside that, for
# islands, and for meters that show line voltages (up to 690 V) where others show those of a phase.
_PHASE: Final = range(800, 3001)
_LINE: Final = range(3001, 7601)
_FREQUENCY: Final = range(45_000, 65_001)
# No meter of this kind counts further, measures more, or counts more between two looks.
_MOST_ENERGY: Final = 10**12
_MOST_GROWTH: Final = 10**5
_MOST_POWER: Final = 10**7
_MOST_CURRENT: Final = 10**7
# A load that shows in the power, whatever its power factor [0.1 V × mA].
_CLEAR_LOAD: Final = 50 * 10_000
_ENOUGH: Final = 2
_CONTRADICTED: Final = -6
# Nobody has SunSpec's mark and a list of models by chance; the rest is seen in its values.
_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class Clue:
    """One observation: points for (positive) or against a map, and what was seen."""

    points: int
    seen: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A map and what speaks for and against it."""

    meter: RegisterMap
    serial: str
    clues: tuple[Clue, ...]

    @property
    def score(self) -> int:
        """Sum of the clues' points."""
        return sum(clue.points for clue in self.clues)

    @property
    def fits(self) -> bool:
        """Whether it is worth proposing: more than chance, and its energy not contradicted."""
        return self.score >= _ENOUGH and all(clue.points > _CONTRADICTED for clue in self.clues)


def judge(meter: RegisterMap, first: Memory, later: Memory) -> Candidate:
    """Weigh a map against what a meter gave at two moments.

    Parameters
    ----------
    first : words of all of the map's registers and of its identity
    later : words of its cumulative registers some seconds later; empty if not asked again
    """
    values, after = _values(meter, first), _values(meter, later)
    serial = _serial(meter, first)
    clues = [
        *_refused(len(meter.registers) - len(values)),
        *_mains(values),
        *_load(values),
        *_energies(values, after),
    ]
    clues += _product(meter, first)
    if serial:
        clues.append(Clue(1, f"serial number {serial}"))
    return Candidate(meter, serial, tuple(clues))


def _values(meter: RegisterMap, memory: Memory) -> dict[str, int | None]:
    """Decode those of a map's registers whose words are there."""
    return {
        kind: decode.reading(memory, register)
        for kind, register in meter.registers.items()
        if decode.is_there(memory, register)
    }


def _serial(meter: RegisterMap, memory: Memory) -> str:
    field = meter.identity.get("serial")
    if field is None or not decode.has(memory, field):
        return ""
    said = decode.text(decode.pick(memory, field), field)
    return said if said.isascii() and said.isalnum() and said.strip("0") else ""


def _product(meter: RegisterMap, memory: Memory) -> Iterator[Clue]:
    """Weigh what a meter says that it is, where it says anything."""
    if meter.product is None and meter.proof:
        yield Clue(_LISTED, f"it lists itself as {meter.model}")
    if meter.product is None or not decode.has(memory, meter.product.field):
        return
    said = decode.text(decode.pick(memory, meter.product.field), meter.product.field)
    if said:
        right = said.lower().startswith(meter.product.names)
        yield Clue(4 if right else _CONTRADICTED, f"it calls itself {said}")


def _refused(count: int) -> Iterator[Clue]:
    if count:
        yield Clue(-3 * count, f"{count} of its registers refused")


def _mains(values: Values) -> Iterator[Clue]:
    """Weigh voltages and frequency, which no working meter shows as nothing."""
    for kind in ("voltage_l1", "voltage_l2", "voltage_l3"):
        if kind in values:
            yield Clue(_voltage(values[kind], first=kind == "voltage_l1"), _seen(kind, values))
    if "frequency" in values:
        hertz = values["frequency"]
        yield Clue(
            3 if hertz is not None and hertz in _FREQUENCY else -4, _seen("frequency", values)
        )


def _voltage(value: int | None, *, first: bool) -> int:
    if value is not None and value in _PHASE:
        return 3 if first else 2
    if value is not None and value in _LINE:
        return 1
    # Three-phase meters are also used on one phase.
    return -4 if first or value else -1


def _load(values: Values) -> Iterator[Clue]:
    """Weigh current and power, each and against one another."""
    current = values.get("current_l1")
    if current:
        yield Clue(1 if 0 < current <= _MOST_CURRENT else -3, _seen("current_l1", values))
    powers = [values.get(f"active_power_{way}") for way in ("import", "export")]
    for kind, value in zip(("active_power_import", "active_power_export"), powers, strict=True):
        if value:
            yield Clue(1 if value <= _MOST_POWER else -3, _seen(kind, values))
    volts = values.get("voltage_l1") or 0
    if not any(powers) and volts in _PHASE and (current or 0) * volts >= _CLEAR_LOAD:
        yield Clue(-3, f"no power with {_seen('current_l1', values)}")


def _energies(values: Values, after: Values) -> Iterator[Clue]:
    """Weigh cumulative registers: finite amounts that stand or grow."""
    for kind, value in values.items():
        if reading_type.named(kind).accumulation != "cumulative":
            continue
        main = kind == "active_energy_import"
        if (value is None and main) or (value is not None and not 0 <= value <= _MOST_ENERGY):
            yield Clue(_CONTRADICTED if main else -3, _seen(kind, values))
        elif value is not None:
            yield from _course(kind, value, after.get(kind, value), values, main=main)


def _course(
    kind: str, value: int, then: int | None, values: Values, *, main: bool
) -> Iterator[Clue]:
    grown = -1 if then is None else then - value
    if not 0 <= grown <= _MOST_GROWTH:
        points = _CONTRADICTED if main else -3
        yield Clue(points, f"{_seen(kind, values)}, which neither stood nor grew")
    elif main and value:
        yield Clue(3 if grown else 2, _seen(kind, values) + (", growing" if grown else ""))


def _seen(kind: str, values: Values) -> str:
    known = reading_type.named(kind)
    value = values[kind]
    shown = "no value" if value is None else f"{known.shown(value):,} {known.display_unit}"
    return f"{known.description_en}: {shown}"
