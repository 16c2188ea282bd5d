"""Parts of a cycle's usage points: each is read when it is asked for, so one is in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from schemas import binary_copy, statements
from schemas.assets import UsagePoint
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle.sql")


class Partitions(Sequence[list[UsagePoint]]):
    """A group's usage points in the order of their ids, some at a time."""

    def __init__(self, connection: Connection, group: str, ids: Sequence[Sequence[int]]) -> None:
        self._connection, self._group, self.ids = connection, group, ids

    @property
    def usage_points(self) -> int:
        """How many there are in all parts."""
        return sum(map(len, self.ids))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> list[UsagePoint]: ...
    @overload
    def __getitem__(self, index: slice) -> Partitions: ...
    def __getitem__(self, index: int | slice) -> list[UsagePoint] | Partitions:
        if isinstance(index, slice):
            return Partitions(self._connection, self._group, self.ids[index])
        # One that has left the group meanwhile is no longer in the cycle.
        named = {"usage_points": binary_copy.array(self.ids[index]), "billing_group": self._group}
        return [UsagePoint(*row) for row in self._connection.execute(_SQL["partition"], named)]


def of_group(connection: Connection, group: str, size: int) -> Partitions:
    """Cut a billing group's usage points into parts of some size."""
    row = connection.execute(_SQL["members"], {"billing_group": group}).fetchone()
    ids = row[0] if row else []
    parts = [ids[first : first + size] for first in range(0, len(ids), size)]
    return Partitions(connection, group, parts)
