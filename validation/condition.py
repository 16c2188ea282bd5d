"""When a rule or an estimator of a rule set applies: to which channels and days, after what."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from schemas import reading_type
from validation import days, parameters
from validation.matrix import Cube
from validation.parameters import RuleSetError, Signed
from validation.views import Views

_KINDS: Final = {"weekday": days.WEEKDAY, "weekend": days.WEEKEND, "holiday": days.HOLIDAY}


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold for a rule or an estimator to apply to a day; what is left out holds always.

    Attributes
    ----------
    reading_types : names of reading types
    other_reading_types : names of reading types to which it does not apply
    sectors : codes of sectors
    interval_seconds : lengths of intervals [s]
    months : months of the local day, January 1
    days : kinds of days: weekday, weekend, holiday
    above_per_day : mean use of the channel's whole days that must be exceeded [scaled unit]
    only_if : name of a rule that must have failed on the day
    """

    reading_types: tuple[str, ...] = ()
    other_reading_types: tuple[str, ...] = ()
    sectors: tuple[str, ...] = ()
    interval_seconds: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    days: tuple[str, ...] = ()
    above_per_day: float | None = None
    only_if: str = ""

    def of(self, cube: Cube, views: Views) -> NDArray[np.bool_]:
        """Tell to which days it applies, shape (c, d), ``only_if`` apart.

        A condition on what the cube doesn't know doesn't hold.
        """
        channels, count, _ = cube.shape
        row, day = np.ones((channels, 1), dtype=np.bool_), np.ones(count, dtype=np.bool_)
        if self.reading_types:
            row &= _among(cube.reading_type, _ids(self.reading_types))
        if self.other_reading_types:
            row &= ~_among(cube.reading_type, _ids(self.other_reading_types))
        if self.sectors:
            row &= _among(cube.sector, self.sectors)
        if self.interval_seconds:
            row &= cube.interval_seconds in self.interval_seconds
        if self.above_per_day is not None and row.any():
            row &= (_use_per_day(views) > self.above_per_day)[:, None]
        if self.months:
            day &= _among(cube.days.month, self.months)[:, 0]
        if self.days:
            day &= np.isin(cube.days.kind, [_KINDS[name] for name in self.days])
        return row & day


ALWAYS: Final = Condition()


def _ids(names: tuple[str, ...]) -> list[int]:
    return [reading_type.named(name).id for name in names]


def _among(column: NDArray[Any] | None, wanted: Any) -> NDArray[np.bool_]:
    if column is None:
        return np.zeros((1, 1), dtype=np.bool_)
    return np.isin(column, list(wanted))[:, None]


def _use_per_day(views: Views) -> NDArray[np.float64]:
    totals = views.totals
    whole = totals.sound & (totals.absent == 0)
    use = np.where(whole, totals.total, 0).sum(axis=1)
    return np.asarray(use / np.maximum(whole.sum(axis=1), 1))


def parse(table: object, where: str) -> Condition:
    """Make a condition of a TOML table.

    Raises
    ------
    RuleSetError
        naming the key, the value and what is allowed.
    """
    if not isinstance(table, dict):
        raise RuleSetError(f"{where} = {table!r} is not a table such as {{ months = [6, 7] }}")
    parameters.known_keys(table, [each.name for each in fields(Condition)], where)
    known = {each.name for each in reading_type.table().values()}
    types = dict.fromkeys(("reading_types", "other_reading_types"), sorted(known))
    words = {**types, "days": list(_KINDS), "sectors": None}
    given: dict[str, Any] = {}
    for key, value in table.items():
        at = f"{where}: {key}"
        if key == "only_if":
            given[key] = parameters.text(value, at)
        elif key == "above_per_day":
            given[key] = parameters.number(Signed, value, at)
        elif key in words:
            listed = _list(value, at)
            choices = words[key]
            given[key] = tuple(
                parameters.text(each, at)
                if choices is None
                else parameters.choice(each, choices, at)
                for each in listed
            )
        else:
            given[key] = tuple(int(parameters.number(int, each, at)) for each in _list(value, at))
    if not set(given.get("months", ())) <= set(range(1, 13)):
        raise RuleSetError(f"{where}: months = {table['months']!r} are not from 1 to 12")
    return Condition(**given)


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise RuleSetError(f"{where} = {value!r} is not a list of one or more")
    return value
