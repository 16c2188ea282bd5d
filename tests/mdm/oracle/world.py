"""A town as the oracle sees it: plain lists of (instant, value, quality), and a tariff's terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

ACTUAL, QUESTIONABLE, MISSING, ESTIMATED, EDITED = (
    "actual", "questionable", "missing", "estimated", "edited",
)  # fmt: skip
KINDS = (ACTUAL, QUESTIONABLE, MISSING, ESTIMATED, EDITED)

KIND_OF = {
    0: ACTUAL, 10: ACTUAL, 11: ACTUAL, 110: ACTUAL,
    17: QUESTIONABLE, 100: QUESTIONABLE, 200: MISSING, 201: MISSING,
    301: ESTIMATED, 302: ESTIMATED, 320: ESTIMATED, 333: ESTIMATED, 400: EDITED,
}  # fmt: skip
"""Quality codes that the towns have, as ``schemas/quality_codes.csv`` classes them."""


class Known(NamedTuple):
    """A value of one moment, and the quality code that came with it."""

    value: int
    code: int


@dataclass
class Series:
    """Equal intervals of one channel: by the instant at which each starts."""

    reading_type: str
    seconds: int
    values: dict[datetime, Known]


@dataclass
class Meter:
    """A meter at a usage point for some time; ``dials`` by reading type and moment."""

    name: str
    since: datetime
    until: datetime | None
    multiplier: Decimal = Decimal(1)
    modulus: int | None = None
    dials: dict[str, dict[datetime, Known]] = field(default_factory=dict)


class Term(NamedTuple):
    """From which day on another tariff or consumer counts."""

    starts_on: date
    tariff: str
    account: str


@dataclass
class House:
    """A usage point and everything that is known of it."""

    mrid: str
    zone: ZoneInfo
    tariff: str
    commodity: str = "electricity"
    meters: list[Meter] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    losses: list[tuple[str, date, Decimal]] = field(default_factory=list)

    def of(self, reading_type: str) -> list[Series]:
        return [one for one in self.series if one.reading_type == reading_type]


@dataclass(frozen=True)
class Tariff:
    """What a tariff asks for, before it becomes TOML."""

    name: str
    effective_from: date
    calendar: str
    unit: str
    determinants: Sequence[str]
    sources: Sequence[str] = ("register", "interval")
    commodity: str = "electricity"
    register: str = "active_energy_import"
    interval: str = "active_energy_import_interval"
    quantity: tuple[int, str] = (3, "half_up")
    demand: tuple[int, str] = (3, "half_up")
    ratio: tuple[int, str] = (4, "half_up")
    block_minutes: int = 30
    rolling_minutes: Sequence[int] = ()
    declared: Sequence[Mapping[str, Any]] = ()
    losses: Sequence[tuple[str, date, Decimal]] = ()
    prorated: bool = False
    further: str = ""

    @property
    def toml(self) -> str:
        """Write it as ``docs/billing.md`` says."""
        lines = [
            "[[tariff]]",
            *(f"{key} = {_said(getattr(self, key))}" for key in (
                "name", "commodity", "effective_from", "calendar", "unit", "register", "interval",
                "sources", "determinants",
            )),
            *(["proration = 'days'"] if self.prorated else []),
            *(
                f"rounding.{key} = {{ places = {places}, mode = '{mode}' }}"
                for key in ("quantity", "demand", "ratio")
                for places, mode in [getattr(self, key)]
            ),
            f"demand.block_minutes = {self.block_minutes}",
            f"demand.rolling_minutes = {list(self.rolling_minutes)}",
            self.further,
        ]  # fmt: skip
        for name, since, factor in self.losses:
            lines += ["[[tariff.loss]]", f"name = '{name}'"]
            lines += [f"effective_from = {since}", f"factor = {factor}"]
        for one in self.declared:
            plain = {key: value for key, value in one.items() if not isinstance(value, dict)}
            lines += ["[[tariff.determinant]]"]
            lines += [f"{key} = {_said(value)}" for key, value in plain.items()]
            for key, table in one.items():
                if isinstance(table, dict):
                    lines += [f"[tariff.determinant.{key}]"]
                    lines += [f"{name} = {_said(value)}" for name, value in table.items()]
        return "\n".join(lines) + "\n"


def _said(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date | int | Decimal):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    assert isinstance(value, Sequence)
    return "[" + ", ".join(_said(one) for one in value) + "]"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def grid(first: date, until: date, zone: ZoneInfo, seconds: int) -> Iterator[datetime]:
    """Give the starts of the whole intervals of each local day, counted from its midnight."""
    day, step = first, timedelta(seconds=seconds)
    while day < until:
        at, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        while at + step <= end:
            yield at
            at += step
        day += timedelta(days=1)
