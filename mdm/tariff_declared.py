"""Determinants that a tariff declares one by one: ``[[tariff.determinant]]`` tables, checked.

``docs/billing.md`` lists the kinds with their formulas and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from mdm.determinants.rounding import UNITS
from schemas import reading_type

ENERGY: Final = "energy"
NET_ENERGY: Final = "net_energy"
EXCESS_REACTIVE: Final = "excess_reactive_energy"
PEAK_DEMAND: Final = "peak_demand"
MINIMUM_DEMAND: Final = "minimum_demand"
COINCIDENT_DEMAND: Final = "coincident_demand"
APPARENT_DEMAND: Final = "apparent_demand"
POWER_FACTOR: Final = "power_factor"
ADJUSTED_DEMAND: Final = "adjusted_demand"
BILLED_DEMAND: Final = "billed_demand"
REGISTERS: Final = "time_of_use_register"
REGISTER_DIFFERENCE: Final = "register_sum_difference"

_WINDOW: Final = {"interval", "unit", "window_minutes", "step_minutes", "periods"}
_DEMAND: Final = _WINDOW | {"losses"}
_REACTIVE: Final = {"reactive", "reactive_minus"}
_ADJUSTING: Final = {"power_factor", "cap", "from_demand"}
KINDS: Final[Mapping[str, frozenset[str]]] = {
    kind: frozenset(keys | {"kind", "name"})
    for kind, keys in {
        ENERGY: {"interval", "unit", "periods", "split", "losses"},
        NET_ENERGY: {"interval", "minus", "unit", "per", "losses"},
        EXCESS_REACTIVE: {"interval", *_REACTIVE, "unit", "per", "ratio"},
        PEAK_DEMAND: {*_DEMAND, "count", "one_a_day"},
        MINIMUM_DEMAND: _DEMAND,
        COINCIDENT_DEMAND: {*_DEMAND, "count", "one_a_day", "peak_of"},
        APPARENT_DEMAND: _DEMAND | _REACTIVE,
        POWER_FACTOR: {*_WINDOW, *_REACTIVE, "at"},
        ADJUSTED_DEMAND: _DEMAND | _REACTIVE | _ADJUSTING,
        BILLED_DEMAND: {
            *(*_DEMAND, *_REACTIVE, *_ADJUSTING, "basis", "minimum"),
            *("share", "cycles", "ratchet_of"),
        },
        REGISTERS: {"registers", "total", "unit", "tolerance"},
    }.items()
}
"""Every kind that can be declared, with the keys that it may have."""

_CHOICES: Final = {
    "per": ("interval", "period"),
    "at": ("average", "peak"),
    "basis": ("active", "apparent", "adjusted"),
    "ratchet_of": ("measured", "billed"),
}
_NEEDED: Final = {
    NET_ENERGY: ("minus", "per"),
    EXCESS_REACTIVE: ("reactive", "ratio", "per"),
    COINCIDENT_DEMAND: ("peak_of",),
    APPARENT_DEMAND: ("reactive",),
    POWER_FACTOR: ("reactive",),
    ADJUSTED_DEMAND: ("reactive", "power_factor"),
    REGISTERS: ("registers",),
}
BILLING_GROUP: Final = "billing_group"
"""``peak_of`` with this value means all usage points of the cycle's group."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One determinant that a tariff asks for.

    Attributes
    ----------
    kind : out of ``KINDS``, the determinant's name
    name : first word of its part, so that a kind may be declared twice; may be empty
    interval, minus, reactive, reactive_minus : reading types of intervals
    unit : of quantities; demand is in it per hour
    periods : of the calendar, to which it is limited; empty for all
    split : whether energy comes by period of the calendar
    losses : names of dated loss factors, all of which multiply
    per : whether flows are netted in each interval or over the period
    window_seconds, step_seconds : length of a demand window and by how much it moves [s];
        equal for blocks
    count, one_a_day : how many of the highest windows, and whether a day gives one only
    peak_of : whose highest window: a usage point's mRID, or ``BILLING_GROUP``
    at : whether the power factor is that of the period or of the highest demand
    power_factor, cap, from_demand : required factor; highest addition [%]; least demand to which
        it applies [unit per hour]
    basis, minimum, share, cycles, ratchet_of : what the billed demand is made of
    ratio : reactive energy that is free, as a share of active energy
    registers, total : reading type of the register by period, and of their check
    tolerance : by how much their sum may differ from the total's [unit]; None is no limit
    """

    kind: str
    name: str = ""
    interval: str = ""
    minus: str = ""
    reactive: str = ""
    reactive_minus: str = ""
    unit: str = ""
    periods: tuple[str, ...] = ()
    split: bool = False
    losses: tuple[str, ...] = ()
    per: str = "period"
    window_seconds: int = 1800
    step_seconds: int = 1800
    count: int = 1
    one_a_day: bool = False
    peak_of: str = ""
    at: str = "average"
    power_factor: Fraction = Fraction(0)
    cap: Fraction | None = None
    from_demand: Fraction = Fraction(0)
    basis: str = "active"
    minimum: Fraction = Fraction(0)
    share: Fraction = Fraction(0)
    cycles: int = 0
    ratchet_of: str = "measured"
    ratio: Fraction = Fraction(0)
    registers: tuple[tuple[str, str], ...] = ()
    total: str = ""
    tolerance: Fraction | None = None

    def part(self, more: str = "") -> str:
        """Give a line's part: the declared name and what tells several lines apart."""
        return f"{self.name} {more}".strip()

    @property
    def intervals(self) -> tuple[str, ...]:
        """Reading types of the intervals that it is computed from."""
        if self.kind == REGISTERS:
            return ()
        named = (self.interval, self.minus, self.reactive, self.reactive_minus)
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def dials(self) -> tuple[str, ...]:
        """Reading types of the registers that it is computed from."""
        named = (*(kind for _, kind in self.registers), self.total)
        return tuple(name for name in named if name)


def declared(entry: Mapping[str, Any], whole: Mapping[str, Any]) -> Declared:
    """Make a declared determinant of its table.

    Parameters
    ----------
    whole : the tariff's own keys, which count where the table has none

    Raises
    ------
    ValueError, KeyError
        saying which key is wrong or missing.
    """
    kind = entry["kind"]
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r} of determinant; known: {', '.join(KINDS)}")
    if unknown := sorted(entry.keys() - KINDS[kind]):
        known = ", ".join(sorted(KINDS[kind]))
        raise ValueError(f"{kind} has no key {unknown[0]!r}; known: {known}")
    for key in _NEEDED.get(kind, ()):
        if key not in entry:
            raise ValueError(f"{kind} needs the key {key!r}")
    for key, choices in _CHOICES.items():
        if entry.get(key, choices[0]) not in choices:
            raise ValueError(f"{key} {entry[key]!r} is none of {', '.join(choices)}")
    found = _made(kind, entry, whole)
    _check(found, whole)
    return found


def _made(kind: str, entry: Mapping[str, Any], whole: Mapping[str, Any]) -> Declared:
    block = int(whole.get("demand", {}).get("block_minutes", 30))
    window = int(entry.get("window_minutes", block))
    fractions = ("power_factor", "from_demand", "minimum", "share", "ratio")
    texts = ("name", "minus", "reactive", "reactive_minus", "peak_of", "at", "basis", "per",
             "ratchet_of", "total")  # fmt: skip
    return Declared(
        kind=kind,
        interval=entry.get("interval", whole.get("interval", "")),
        unit=entry.get("unit", "kvarh" if kind == EXCESS_REACTIVE else whole["unit"]),
        periods=tuple(entry.get("periods", ())),
        split=bool(entry.get("split", False)),
        losses=tuple(entry.get("losses", ())),
        window_seconds=60 * window,
        step_seconds=60 * int(entry.get("step_minutes", window)),
        count=int(entry.get("count", 1)),
        one_a_day=bool(entry.get("one_a_day", False)),
        cap=_number(entry, "cap") if "cap" in entry else None,
        tolerance=_number(entry, "tolerance") if "tolerance" in entry else None,
        cycles=int(entry.get("cycles", 0)),
        registers=tuple(sorted(entry.get("registers", {}).items())),
        **{key: str(entry[key]) for key in texts if key in entry},  # type: ignore[arg-type]
        **{key: _number(entry, key) for key in fractions if key in entry},  # type: ignore[arg-type]
    )


def _number(entry: Mapping[str, Any], key: str) -> Fraction:
    number = Fraction(Decimal(str(entry[key])))
    if number < 0:
        raise ValueError(f"{key} must not be negative")
    return number


def _check(found: Declared, whole: Mapping[str, Any]) -> None:
    """Refuse what does not fit together."""
    commodity, excess = whole["commodity"], found.kind == EXCESS_REACTIVE
    for name in (found.interval, found.minus) if found.kind != REGISTERS else ():
        _check_type(found, name, "delta", commodity, whole["unit"] if excess else found.unit)
    if excess and found.unit not in UNITS["varh"]:
        raise ValueError(f"unit {found.unit!r} is none of {', '.join(UNITS['varh'])}")
    for name in (found.reactive, found.reactive_minus):
        kind = reading_type.table().get(name)
        if name and (kind is None or (kind.unit, kind.accumulation) != ("varh", "delta")):
            raise ValueError(f"{name!r} is no reading type of reactive intervals")
    for name in found.dials:
        _check_type(found, name, "cumulative", commodity, found.unit)
    if not found.interval and found.kind != REGISTERS:
        raise ValueError(f"{found.kind} needs an interval reading type")
    _check_numbers(found)
    if found.kind == BILLED_DEMAND:
        _check_basis(found)


def _check_numbers(found: Declared) -> None:
    window, step = found.window_seconds, found.step_seconds
    if step <= 0 or window <= 0 or window % step:
        raise ValueError(
            "window_minutes must be a whole number of step_minutes, both longer than 0"
        )
    if not 1 <= found.count <= 366 or not 0 <= found.cycles <= 120:
        raise ValueError("count must be from 1 to 366, cycles from 0 to 120")
    if found.power_factor > 1 or found.share > 1:
        raise ValueError("power_factor and share must be at most 1")
    if bool(found.share) != bool(found.cycles):
        raise ValueError("a ratchet needs both share and cycles")


def _check_basis(found: Declared) -> None:
    if found.basis != "active" and not found.reactive:
        raise ValueError(f"basis {found.basis!r} needs the key 'reactive'")
    if found.basis == "adjusted" and not found.power_factor:
        raise ValueError("basis 'adjusted' needs the key 'power_factor'")


def _check_type(found: Declared, name: str, accumulation: str, commodity: str, unit: str) -> None:
    if not name:
        return
    kind = reading_type.table().get(name)
    if kind is None or (kind.accumulation, kind.commodity) != (accumulation, commodity):
        raise ValueError(f"{found.kind}: {name!r} is no {accumulation} {commodity} reading type")
    # Active and reactive energy beside each other are shown in one scale: kWh and kvarh.
    if unit not in UNITS.get(kind.unit, {}):
        known = ", ".join(UNITS.get(kind.unit, {}))
        raise ValueError(f"{kind.unit} cannot be billed in {unit!r}; known: {known}")
