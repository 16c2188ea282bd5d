"""What is known of pushed lists that do not say all of what they are (``push_lists.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from schemas.obis import Obis

ScalerUnit = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PushList:
    """Facts of one maker's lists.

    Attributes
    ----------
    channel : OBIS group B of the meter's own registers
    values : OBIS codes of the values that come without one, by the list's number of elements
    scales : scaler and unit of registers that come without, by OBIS groups C and D
    """

    channel: int
    values: Mapping[int, tuple[Obis, ...]]
    scales: Mapping[tuple[int, int], ScalerUnit]


UNKNOWN = PushList(0, {}, {})
"""A list of which nothing is known."""


def identified(text: str) -> PushList:
    """Find the facts of a list by the text that it begins with, "" if it begins with none."""
    return _table().get(text, UNKNOWN)


def is_list(text: str) -> bool:
    """Tell whether a text names a list that we know, and so no meter."""
    return text in _table()


@cache
def _table() -> dict[str, PushList]:
    text = resources.files("drivers.dlms").joinpath("push_lists.toml").read_text("utf-8")
    return {
        entry["id"]: PushList(
            channel=entry["channel"],
            values={
                int(count): tuple(Obis.parse(code) for code in codes)
                for count, codes in entry.get("values", {}).items()
            },
            scales={
                _groups(groups): (scaler, unit)
                for groups, (scaler, unit) in entry.get("scales", {}).items()
            },
        )
        for entry in tomllib.loads(text)["list"]
    }


def _groups(text: str) -> tuple[int, int]:
    c, d = text.split(".")
    return int(c), int(d)
