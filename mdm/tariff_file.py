"""Reading of tariffs from TOML, with errors that say which entry is wrong.

A file has ``[terms.NAME]`` tables with what tariffs share, and ``[[tariff]]`` entries that name
their terms and add or replace keys.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from mdm import calendar_file, tariff_declared, tariff_gates, tariff_parts
from mdm.correction_limit import Limit
from mdm.determinants.rounding import MODES, UNITS, Rounding
from mdm.tariff import (
    BILLING_REGISTER,
    LISTED,
    SOURCES,
    Part,
    Tariff,
    TariffError,
    Tariffs,
    collected,
)
from schemas import reading_type
from schemas.reading_type import Commodity

_KEYS = {
    "name", "corrections",
    "commodity", "effective_from", "calendar", "register", "interval", "determinants",
    "sources", "unit", "rounding", "demand", "gates", "window", "note", "determinant", "loss",
    "proration",
}  # fmt: skip


@cache
def standing() -> Tariffs:
    """Read every tariff that comes with the program."""
    folder = resources.files("mdm").joinpath("tariffs")
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    texts = [(f"tariffs/{name}", folder.joinpath(name).read_text("utf-8")) for name in files]
    return collected(tariff for source, text in texts for tariff in parse(text, source))


def load(folder: Path) -> Tariffs:
    """Read every tariff of a folder of TOML files instead.

    Raises
    ------
    TariffError
        naming the file and entry that is wrong.
    """
    files = sorted(folder.glob("*.toml"))
    return collected(t for file in files for t in parse(file.read_text("utf-8"), file.name))


def parse(text: str, source: str) -> list[Tariff]:
    """Make tariffs of a TOML text.

    Raises
    ------
    TariffError
        naming the source and the entry that is wrong.
    """
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as problem:
        raise TariffError(f"{source}: {problem}") from problem
    terms, tariffs = content.get("terms", {}), []
    for number, entry in enumerate(content.get("tariff", []), 1):
        place = f"{source}: tariff {number} ({entry.get('name', 'without a name')})"
        wanted = entry.pop("terms", None)
        if wanted is not None and wanted not in terms:
            raise TariffError(f"{place}: no [terms.{wanted}]; known: {', '.join(terms)}")
        whole = {**terms.get(wanted, {}), **entry}
        tariffs.append(restored(json.dumps(whole, default=str), place))
    return tariffs


def restored(definition: str, place: str = "stored tariff") -> Tariff:
    """Make a tariff again from its ``definition``.

    Raises
    ------
    TariffError
        naming the place and what is wrong.
    """
    content = json.loads(definition)
    try:
        return _composed(content["parts"]) if "parts" in content else _tariff(content)
    except KeyError as problem:
        raise TariffError(f"{place}: {problem} is missing") from problem
    except (TypeError, ValueError, InvalidOperation) as problem:
        raise TariffError(f"{place}: {problem}") from problem


def _tariff(content: dict[str, Any]) -> Tariff:
    if unknown := sorted(content.keys() - _KEYS):
        raise ValueError(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(_KEYS))}")
    rounding, demand = content["rounding"], content.get("demand", {})
    tariff = Tariff(
        name=content["name"],
        commodity=content["commodity"],
        effective_from=date.fromisoformat(content["effective_from"]),
        calendar=content["calendar"],
        register=content.get("register"),
        interval=content.get("interval"),
        determinants=frozenset(content["determinants"]),
        sources=tuple(content["sources"]),
        unit=content["unit"],
        quantity_rounding=_rounding(rounding["quantity"]),
        demand_rounding=_rounding(rounding["demand"]),
        ratio_rounding=_rounding(rounding["ratio"]),
        block_seconds=60 * int(demand.get("block_minutes", 30)),
        rolling_seconds=tuple(60 * int(minutes) for minutes in demand.get("rolling_minutes", [])),
        gates=tariff_gates.gates(content.get("gates", {})),
        declared=tuple(
            tariff_declared.declared(entry, content) for entry in content.get("determinant", [])
        ),
        losses=_losses(content.get("loss", [])),
        proration=content.get("proration", "readings"),
        definition=json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
        wait_days=tariff_gates.wait_days(content.get("window", {})),
        corrections=Limit.of(content.get("corrections", {})),
    )
    _check(tariff)
    return tariff


def _composed(entries: list[dict[str, Any]]) -> Tariff:
    return tariff_parts.composed(
        [
            Part(
                starts_on=date.fromisoformat(entry["starts_on"]),
                account=entry["account"],
                tariff=_tariff(entry["tariff"]),
                calendar=calendar_file.restored(json.dumps(entry["calendar"])),
            )
            for entry in entries
        ]
    )


def _rounding(entry: Mapping[str, Any]) -> Rounding:
    places, mode = int(entry["places"]), entry.get("mode", "half_up")
    if not 0 <= places <= 9 or mode not in MODES:
        raise ValueError(f"rounding needs places 0 … 9 and a mode of {', '.join(MODES)}")
    return Rounding(places, mode)


def _losses(entries: list[Mapping[str, Any]]) -> dict[str, tuple[tuple[date, Decimal], ...]]:
    """Read dated loss factors; one without a factor is each usage point's own."""
    found: dict[str, list[tuple[date, Decimal]]] = {}
    for entry in entries:
        rows = found.setdefault(entry["name"], [])
        if "factor" in entry:
            factor = Decimal(str(entry["factor"]))
            if not 0 < factor < 10:
                raise ValueError(f"loss factor {entry['name']} must be over 0 and under 10")
            rows.append((date.fromisoformat(entry["effective_from"]), factor))
    return {name: tuple(sorted(rows)) for name, rows in found.items()}


def _check(tariff: Tariff) -> None:
    """Refuse what does not fit together."""
    if tariff.commodity not in get_args(Commodity):
        raise ValueError(
            f"commodity {tariff.commodity!r} must be one of {', '.join(get_args(Commodity))}"
        )
    if unknown := sorted(tariff.determinants - LISTED):
        raise ValueError(f"no determinant {unknown[0]!r}; known: {', '.join(sorted(LISTED))}")
    _check_declared(tariff)
    if tariff.proration not in ("readings", "days"):
        raise ValueError(f"proration {tariff.proration!r} is none of readings, days")
    gated = {name for name, _, _ in tariff.gates.determinants}
    if unknown := sorted(gated - tariff.determinants - {of.kind for of in tariff.declared}):
        raise ValueError(f"gates.determinants names {unknown[0]!r}, which the tariff does not have")
    if not tariff.sources or not set(tariff.sources) <= set(SOURCES):
        raise ValueError(f"sources must list register, interval or both; known: {SOURCES}")
    if BILLING_REGISTER in tariff.sources and tariff.register is None:
        raise ValueError(f"sources name {BILLING_REGISTER}, but there is no register reading type")
    for source, name, kind in (
        ("register", tariff.register, "cumulative"),
        ("interval", tariff.interval, "delta"),
    ):
        _check_type(tariff, source, name, kind)
    if min((tariff.block_seconds, *tariff.rolling_seconds)) <= 0:
        raise ValueError("demand windows must be longer than 0 minutes")


def _check_declared(tariff: Tariff) -> None:
    named = [(of.kind, of.name) for of in tariff.declared]
    if twice := [each for each in named if named.count(each) > 1]:
        raise ValueError(f"{twice[0][0]} is declared twice with the name {twice[0][1]!r}")
    lost = {name for of in tariff.declared for name in of.losses} - tariff.losses.keys()
    if lost:
        raise ValueError(f"no [[tariff.loss]] with the name {min(lost)!r}")


def _check_type(tariff: Tariff, source: str, name: str | None, accumulation: str) -> None:
    """Refuse a reading type that is of another kind, or cannot be billed in the tariff's unit."""
    if name is None:
        if source in tariff.sources:
            raise ValueError(f"sources name {source}, but there is no {source} reading type")
        return
    found = reading_type.table().get(name)
    if found is None or (found.accumulation, found.commodity) != (accumulation, tariff.commodity):
        raise ValueError(f"{source} {name!r} is no {accumulation} {tariff.commodity} reading type")
    if tariff.unit not in UNITS.get(found.unit, {}):
        known = ", ".join(UNITS.get(found.unit, {}))
        raise ValueError(f"{found.unit} cannot be billed in {tariff.unit!r}; known: {known}")
