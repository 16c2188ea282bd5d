"""Random tariffs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.mdm.oracle import calendar
from tests.mdm.oracle.listed import LISTED
from tests.mdm.oracle.world import Tariff

CALENDARS = ("kuwait", "london", "four_rates", "gb_bands", "au_afternoon")
MODES = ("half_up", "half_even", "down")
EXPORT, REACTIVE = "active_energy_export_interval", "reactive_energy_import_interval"
REACTIVE_OUT = "reactive_energy_export_interval"

Keys = Mapping[str, Any]


def tariffs(random: Random, first: date, *, clean: bool) -> list[Tariff]:
    """Make two or three tariffs, one of them sometimes with a version that begins in the cycle."""
    names = ["home", "works", "farm"][: random.randint(2, 3)]
    found = [_electric(random, name, clean=clean) for name in names]
    if not clean and random.random() < 0.5:
        found.append(_water(random))
    if not clean and random.random() < 0.3:
        again = _electric(random, "home", clean=False)
        found.append(replace(again, effective_from=first + timedelta(days=random.randint(1, 2))))
    return found


def _rule(random: Random, most: int) -> tuple[int, str]:
    return random.randint(0, most), random.choice(MODES)


def _electric(random: Random, name: str, *, clean: bool) -> Tariff:
    of = Tariff(
        name=name,
        effective_from=date(2020, 1, 1),
        calendar=random.choice(CALENDARS),
        unit=random.choice(("kWh", "kWh", "Wh", "MWh")),
        determinants=("consumption", *random.sample(list(LISTED)[1:], random.randint(1, 8))),
        sources=random.choice(
            (("register", "interval"), ("interval",), ("interval", "register"), ("register",))
        ),
        quantity=_rule(random, 4), demand=_rule(random, 4), ratio=_rule(random, 5),
        block_minutes=random.choice((15, 30, 60)),
        rolling_minutes=tuple(sorted(random.sample((15, 30, 60, 120), random.randint(1, 3)))),
        losses=tuple(
            ("LLF", day, Decimal(random.randint(9_500, 12_000)).scaleb(-4))
            for day in (date(2025, 4, 1), random.choice((date(2026, 3, 29), date(2026, 10, 26))))
        ),
        prorated=random.random() < 0.3,
    )  # fmt: skip
    kinds = random.sample(sorted(KINDS), random.randint(0, 5)) if random.random() < 0.7 else []
    if clean:
        kinds.append("coincident_demand")
    declared = [
        {"kind": kind, "name": f"d{number}", **(KINDS | CLEAN)[kind](random, of)}
        for number, kind in enumerate(kinds)
        if kind != "time_of_use_register" or number == kinds.index(kind)
    ]
    return replace(of, declared=tuple(declared))


def _water(random: Random) -> Tariff:
    few = ["register_start", "register_end", "register_consumption", "interval_consumption"]
    few.append("time_of_use_consumption")
    return Tariff(
        name="home", effective_from=date(2020, 1, 1), calendar=random.choice(CALENDARS),
        commodity="water", register="water_volume", interval="water_volume_interval",
        unit=random.choice(("L", "m³", "imperial gallon", "1000 imperial gallons")),
        determinants=("consumption", *random.sample(few, random.randint(2, 5))),
        quantity=_rule(random, 7), demand=_rule(random, 6), prorated=random.random() < 0.3,
    )  # fmt: skip


def _window(random: Random) -> dict[str, Any]:
    window = random.choice((15, 30, 30, 60, 120))
    found: dict[str, Any] = {"window_minutes": window}
    if random.random() < 0.5:
        steps = [m for m in (5, 15, 30, 60) if m < window and window % m == 0]
        if steps:
            found["step_minutes"] = random.choice(steps)
    if random.random() < 0.3:
        found["losses"] = ["LLF"]
    return found


def _periods(random: Random, of: Tariff) -> dict[str, Any]:
    names = calendar.periods(of.calendar)
    if random.random() < 0.5:
        return {}
    return {"periods": random.sample(names, random.randint(1, len(names)))}


def _energy(random: Random, of: Tariff) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if random.random() < 0.5:
        found["interval"] = random.choice((EXPORT, REACTIVE))
    if found.get("interval") == REACTIVE:
        found["unit"] = "kvarh"
    if random.random() < 0.4:
        found["losses"] = ["LLF"]
    if random.random() < 0.5:
        found["split"] = True
    return found | _periods(random, of)


def _net(random: Random, _: Tariff) -> dict[str, Any]:
    found: dict[str, Any] = {"minus": EXPORT, "per": random.choice(("interval", "period"))}
    return found | ({"losses": ["LLF"]} if random.random() < 0.3 else {})


def _excess(random: Random, _: Tariff) -> dict[str, Any]:
    ratio = random.choice([Decimal(r) for r in ("0.33", "0.5", "0")])
    per = random.choice(("interval", "period"))
    return {"reactive": REACTIVE, "ratio": ratio, "per": per, "unit": "kvarh"}


def _peak(random: Random, of: Tariff) -> dict[str, Any]:
    found = _window(random) | _periods(random, of)
    if random.random() < 0.6:
        found["count"] = random.randint(2, 4)
    if random.random() < 0.4:
        found["one_a_day"] = True
    return found


def _lowest(random: Random, of: Tariff) -> dict[str, Any]:
    return _window(random) | _periods(random, of)


def _reactive(random: Random) -> dict[str, Any]:
    minus = {"reactive_minus": REACTIVE_OUT} if random.random() < 0.3 else {}
    return {"reactive": REACTIVE, **minus}


def _apparent(random: Random, of: Tariff) -> dict[str, Any]:
    return _window(random) | _periods(random, of) | _reactive(random)


def _power_factor(random: Random, _: Tariff) -> dict[str, Any]:
    at = {"at": "peak"} if random.random() < 0.5 else {}
    return _reactive(random) | at


def _adjusted(random: Random, of: Tariff) -> dict[str, Any]:
    found = _window(random) | _periods(random, of) | _reactive(random)
    found["power_factor"] = random.choice([Decimal(f) for f in ("0.93", "0.7", "1")])
    if random.random() < 0.5:
        found["cap"] = random.choice((10, 25))
    if random.random() < 0.5:
        found["from_demand"] = random.choice((1, 15))
    return found


def _billed(random: Random, of: Tariff) -> dict[str, Any]:
    basis = random.choice(("active", "apparent", "adjusted"))
    found = _window(random) | _periods(random, of) | {"basis": basis}
    if basis != "active":
        found |= _reactive(random)
    if basis == "adjusted":
        found["power_factor"] = Decimal("0.93")
    if random.random() < 0.7:
        found |= {"share": Decimal("0.8"), "cycles": random.randint(1, 11)}
    if random.random() < 0.5:
        found["minimum"] = random.choice((1, 50))
    return found


def _registers(random: Random, of: Tariff) -> dict[str, Any]:
    names = calendar.periods(of.calendar)[:4]
    found: dict[str, Any] = {
        "registers": {name: f"active_energy_import_t{n}" for n, name in enumerate(names, 1)}
    }
    if random.random() < 0.7:
        found["total"] = "active_energy_import"
    return found


def _coincident(random: Random, _: Tariff) -> dict[str, Any]:
    found: dict[str, Any] = {"peak_of": "billing_group", "window_minutes": 60}
    if random.random() < 0.5:
        found["count"] = random.randint(2, 3)
    if random.random() < 0.5:
        found["one_a_day"] = True
    return found


KINDS: dict[str, Callable[[Random, Tariff], dict[str, Any]]] = {
    "energy": _energy, "net_energy": _net, "excess_reactive_energy": _excess,
    "peak_demand": _peak, "minimum_demand": _lowest, "apparent_demand": _apparent,
    "power_factor": _power_factor, "adjusted_demand": _adjusted, "billed_demand": _billed,
    "time_of_use_register": _registers,
}  # fmt: skip
CLEAN: dict[str, Callable[[Random, Tariff], dict[str, Any]]] = {"coincident_demand": _coincident}
