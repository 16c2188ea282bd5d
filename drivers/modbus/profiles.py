"""The table of Modbus profiles: register maps, and families that find theirs by asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final

from drivers.modbus import register_map, search, sunspec
from drivers.modbus.search import Search

FAMILIES: Final[Mapping[str, Callable[[], Search]]] = {
    "socomec": partial(search.by_product, "socomec"),
    "sunspec": sunspec.search,
}
"""Searches by profile."""


@cache
def is_known(name: str) -> bool:
    """Tell whether a meter's profile may be this."""
    return name in names()


def names() -> list[str]:
    """List what a meter's profile may be in the registry."""
    return sorted({*register_map.names(), *FAMILIES})
