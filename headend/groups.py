"""Groups of end devices: named members, or all that a selector matches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from psycopg.types.json import Jsonb

from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "groups.sql")
SELECTORS = (
    "protocol", "manufacturer", "model", "profile", "segment", "commodity", "sector", "tariff",
    "billing_group",
)  # fmt: skip


class GroupError(ValueError):
    """A group that cannot be; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group and how many end devices are in it now; a selector of None matches none."""

    name: str
    selector: Mapping[str, Sequence[str]] | None
    end_devices: int


def put(
    connection: Connection,
    name: str,
    *,
    selector: Mapping[str, Sequence[str]] | None = None,
    members: Iterable[str] = (),
) -> Group:
    """Make a group, or give an existing one this selector and these members.

    Parameters
    ----------
    selector : keys of ``SELECTORS`` with the values they may have; ``{}`` matches every end device
    members : mRIDs of end devices that are in it whatever the selector says

    Raises
    ------
    GroupError
        if the name is empty, a selector's key is unknown or a member is not in the registry.
    """
    unknown = sorted(set(selector or {}) - set(SELECTORS))
    if unknown or not name.strip():
        what = f"selector {unknown[0]!r}" if unknown else "an empty name"
        raise GroupError(
            f"group {name!r}: {what} cannot be used; give a name, and select by"
            f" {', '.join(SELECTORS)}, for example protocol=dlms"
        )
    wanted = sorted(set(members))
    chosen = None if selector is None else Jsonb({k: list(v) for k, v in selector.items()})
    connection.execute(_SQL["put_group"], {"name": name, "selector": chosen})
    rows = connection.execute(_SQL["put_members"], {"name": name, "members": wanted})
    known = {row[0] for row in rows}
    lacking = [member for member in wanted if member not in known]
    if lacking:
        raise GroupError(
            f"group {name!r}: no end device {lacking[0]!r} in the registry"
            + (f" (and {len(lacking) - 1} more)" if lacking[1:] else "")
            + "; import the registry first, or correct the mRID"
        )
    return next(group for group in groups(connection) if group.name == name)


def groups(connection: Connection) -> list[Group]:
    """List groups by name."""
    return [Group(*row) for row in connection.execute(_SQL["groups"])]


def remove(connection: Connection, name: str) -> None:
    """Remove a group that no schedule reads.

    Raises
    ------
    GroupError
        if there is none of that name, or schedules still read it.
    """
    users = [row[0] for row in connection.execute(_SQL["schedules_of_group"], {"name": name})]
    if users:
        raise GroupError(f"group {name!r} is read by schedule {users[0]!r}; remove that first")
    if not connection.execute(_SQL["remove_group"], {"name": name}).rowcount:
        raise GroupError(f"there is no group {name!r}")
