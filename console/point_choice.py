"""Which usage points a command is about, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from mdm import usage_points
from schemas.assets import UsagePoint
from schemas.database import Connection

Names = Annotated[
    list[str] | None,
    typer.Option("--usage-point", help="Only this one; may be repeated. Else all."),
]


class UnknownPointError(ValueError):
    """A usage point is not in the registry."""


def named(connection: Connection, mrids: Sequence[str] | None) -> list[UsagePoint] | None:
    """Give the usage points of these names, None for all.

    Raises
    ------
    UnknownPointError
        naming the first that is not in the registry.
    """
    if not mrids:
        return None
    found = []
    for mrid in mrids:
        point = usage_points.named(connection, mrid)
        if point is None:
            raise UnknownPointError(f"no usage point {mrid!r} in the registry")
        found.append(point)
    return found
