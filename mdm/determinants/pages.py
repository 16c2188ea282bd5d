"""Determinants of many usage points at once, as columns of whole numbers.

Most usage points of a cycle are plain: one channel of which nothing is missing, one meter that was
read when the period began and ended. Their pages have the same lines, and only the figures differ.
What ``composition`` writes line by line for one usage point, ``page_desk`` writes for all of them
together, to the same bit; whoever is not plain, and whatever a tariff asks for beyond these kinds,
goes through ``composition``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from mdm import tariff as names
from mdm import tariff_declared as kinds
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.profile import KINDS
from mdm.tariff import Tariff
from schemas import reading_type

_OF_INTERVALS: Final = frozenset(
    {
        names.CONSUMPTION,
        names.INTERVAL_CONSUMPTION,
        names.TIME_OF_USE,
        names.BLOCK_DEMAND,
        names.ROLLING_DEMAND,
        names.LOAD_FACTOR,
    }
)
_OF_REGISTERS: Final = frozenset(
    {names.REGISTER_START, names.REGISTER_END, names.REGISTER_CONSUMPTION}
)
# Whoever gives tariffs another entry that changes figures finds pages out of use until it is here.
_ENTRIES: Final = frozenset(
    {
        *("name", "commodity", "effective_from", "calendar", "register", "interval", "sources"),
        *("unit", "determinants", "rounding", "demand", "gates", "terms", "note", "window"),
    }
)
_PARTS: Final = {
    "rounding": {"quantity", "demand", "ratio"},
    "demand": {"block_minutes", "rolling_minutes"},
}
_DECLARED: Final = frozenset({"kind", "name", "registers", "total", "unit", "tolerance"})
# From seven decimals on, Decimal writes a small number with an exponent.
_PLACES: Final = 6
# No text that JSON writes has this octet: it is where a page's own end device goes.
_DEVICE: Final = "\x00"
# Texts or numbers of all pages, and in what form they are written.
_Column = tuple[NDArray[Any], str]


class Page(Sequence[Determinant]):
    """One usage point's determinants, made when somebody looks at them."""

    def __init__(self, pages: Pages, row: int) -> None:
        self.pages, self.row = pages, row

    @cached_property
    def _made(self) -> tuple[Determinant, ...]:
        return self.pages.determinants(self.row)

    def __len__(self) -> int:
        return len(self.pages.headings)

    def named(self, name: str) -> Iterator[Determinant]:
        """Give the lines of a name without making the others."""
        for line, heading in enumerate(self.pages.headings):
            if heading.name == name:
                yield self.pages.determinant(self.row, line)

    @overload
    def __getitem__(self, index: int) -> Determinant: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Determinant]: ...
    def __getitem__(self, index: int | slice) -> Determinant | Sequence[Determinant]:
        return self._made[index]

    def __eq__(self, other: object) -> bool:
        return self._made == (other._made if isinstance(other, Page) else other)

    def __hash__(self) -> int:
        return hash(self._made)


class Heading(NamedTuple):
    """What a line of all pages has in common.

    Attributes
    ----------
    part : None where it is the page's own end device
    places : decimals of the figures; None where there is no figure, and the note says why
    """

    name: str
    reading_type: str
    part: str | None
    unit: str
    places: int | None
    rounding: str
    note: str


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """The pages of n usage points with l lines each.

    Attributes
    ----------
    headings : l of them
    units : shape (n, l), figures in units of their last decimal; 0 where there is none
    starts_at, ends_at : shape (n, l) [s since 1970-01-01 UTC]
    counts : shape (n, l, 5), readings by ``QualityClass``
    end_devices : n of them; none where no heading asks for them
    """

    headings: tuple[Heading, ...]
    units: NDArray[np.int64]
    starts_at: NDArray[np.int64]
    ends_at: NDArray[np.int64]
    counts: NDArray[np.int64]
    end_devices: Sequence[str] = ()

    def determinants(self, row: int) -> tuple[Determinant, ...]:
        """Give a page as determinants."""
        return tuple(self.determinant(row, line) for line in range(len(self.headings)))

    def determinant(self, row: int, line: int) -> Determinant:
        """Give a line of a page as a determinant."""
        h, unit = self.headings[line], int(self.units[row, line])
        return Determinant(
            name=h.name,
            reading_type=h.reading_type,
            part=self.end_devices[row] if h.part is None else h.part,
            value=None if h.places is None else Decimal(unit).scaleb(-h.places),
            unit=h.unit,
            starts_at=int(self.starts_at[row, line]),
            ends_at=int(self.ends_at[row, line]),
            counts=Counts(*self.counts[row, line].tolist()),
            rounding=h.rounding,
            note=h.note,
        )

    def digests(self) -> list[str]:
        """Give each page's digest, as ``determinant.digest`` gives it of its determinants."""
        columns: list[_Column] = []
        for line, heading in enumerate(self.headings):
            columns += _parted(self.units[:, line], heading.places or 0)
            whole = (self.starts_at[:, line], self.ends_at[:, line], *self.counts[:, line].T)
            columns += [(column, "%d") for column in whole]
        # What all pages have alike (the period, counts of 0) is written once.
        alike = [bool((column == column[:1]).all()) for column, _ in columns]
        pairs = list(zip(columns, alike, strict=True))
        said = iter([form % column[0] if same else form for (column, form), same in pairs])
        template = f"[{','.join(_written(heading, said) for heading in self.headings)}]"
        others = [column.tolist() for (column, _), same in pairs if not same]
        rows = zip(*others, strict=True) if others else [()] * len(self.units)
        return [hashlib.sha256(text.encode()).hexdigest() for text in self._filled(template, rows)]

    def _filled(self, template: str, rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
        """Put each page's numbers into its text, and its end device where one is named."""
        written = (template % row for row in rows)
        if not self.end_devices:
            yield from written
            return
        for text, end_device in zip(written, self.end_devices, strict=True):
            yield text.replace(_DEVICE, json.dumps(end_device, ensure_ascii=False))


def serves(tariff: Tariff) -> bool:
    """Tell whether pages have everything that a tariff asks for."""
    roundings = tariff.quantity_rounding, tariff.demand_rounding, tariff.ratio_rounding
    places = [rounding.places for rounding in roundings]
    listed = _OF_INTERVALS
    if tariff.register is None:
        if tariff.interval is None or tariff.sources != ("interval",):
            return False
    else:
        listed = _OF_INTERVALS | _OF_REGISTERS
        places.append(-reading_type.named(tariff.register).display_exponent)
    return (
        tariff.determinants <= listed
        and known(tariff)
        and min(places) >= 0
        and max(places) <= _PLACES
    )


def known(tariff: Tariff) -> bool:
    """Tell whether a tariff has no entry but those that were there when this was written.

    Of the determinants that it declares one by one, registers by time of use are known.
    """
    entries = json.loads(tariff.definition)
    declared = entries.pop("determinant", ())
    return (
        set(entries) <= _ENTRIES
        and all(set(entries.get(part, ())) <= known for part, known in _PARTS.items())
        and all(of["kind"] == kinds.REGISTERS and set(of) <= _DECLARED for of in declared)
    )


def _parted(units: NDArray[np.int64], places: int) -> list[_Column]:
    """Give figures as what stands before the decimal point and what stands after it, if any."""
    if not places:
        return [(units, "%d")]
    whole, rest = np.divmod(np.abs(units), 10**places)
    after = rest, f"%0{places}d"
    if not (units < 0).any():
        return [(whole, "%d"), after]
    return [(np.char.add(np.where(units < 0, "-", ""), whole.astype("U20")), "%s"), after]


def _written(heading: Heading, said: Iterator[str]) -> str:
    """Write a line as ``determinant.digest`` does, with places for what is not said."""
    places = heading.places
    figure = f'"{next(said)}.{next(said)}"' if places else f'"{next(said)}"'
    if places is None:
        figure = "null"
    part = _DEVICE if heading.part is None else _text(heading.part)
    head = f"{_text(heading.name)},{_text(heading.reading_type)},{part}"
    tail = f"{_text(heading.rounding)},{_text(heading.note)}"
    numbers = ",".join(next(said) for _ in range(2 + KINDS))
    return f"[{head},{figure},{_text(heading.unit)},{numbers},{tail}]"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("%", "%%")
