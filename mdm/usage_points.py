"""Usage points, what is installed at them, and their channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import binary_copy, statements
from schemas.assets import Channel, Installation, UsagePoint
from schemas.database import Connection

_SQL = statements.load("mdm", "usage_points.sql")

ChannelKey = tuple[int, str, int]


def usage_points(connection: Connection, *, billing_group: str | None = None) -> list[UsagePoint]:
    """List usage points, all or those of one billing group, by id."""
    rows = connection.execute(_SQL["usage_points"], {"billing_group": billing_group})
    return [UsagePoint(*row) for row in rows]


def lock(connection: Connection, usage_point_ids: Iterable[int]) -> list[int]:
    """Keep others from validating and billing usage points until the transaction ends.

    Returns
    -------
    ids of those that there are, ascending
    """
    limits = {"usage_points": binary_copy.array(usage_point_ids)}
    return [row[0] for row in connection.execute(_SQL["lock"], limits)]


def named(connection: Connection, mrid: str) -> UsagePoint | None:
    """Find a usage point by its mRID."""
    row = connection.execute(_SQL["usage_point_named"], {"mrid": mrid}).fetchone()
    return UsagePoint(*row) if row else None


def of_end_device(connection: Connection, mrid: str) -> UsagePoint | None:
    """Find the usage point at which an end device is or was last installed."""
    row = connection.execute(_SQL["usage_point_of_end_device"], {"mrid": mrid}).fetchone()
    return UsagePoint(*row) if row else None


def installations(connection: Connection, usage_point_ids: Sequence[int]) -> list[Installation]:
    """List what was and is installed, by usage point and then oldest first."""
    rows = connection.execute(_SQL["installations"], {"usage_points": list(usage_point_ids)})
    return [Installation(*row) for row in rows]


def channels(connection: Connection, usage_point_ids: Sequence[int] | None = None) -> list[Channel]:
    """List channels, all or those of some usage points, by id."""
    wanted = None if usage_point_ids is None else list(usage_point_ids)
    rows = connection.execute(_SQL["channels"], {"usage_points": wanted})
    return [Channel(*row) for row in rows]


def ensure_channels(connection: Connection, wanted: Iterable[ChannelKey]) -> dict[ChannelKey, int]:
    """Make the channels that are not there yet; give the id of every wanted one.

    Parameters
    ----------
    wanted : (usage point id, reading type's name, interval in seconds or 0 for a register)

    Raises
    ------
    KeyError
        if a reading type is not in the table.
    psycopg.errors.ForeignKeyViolation
        if a usage point does not exist.
    """
    keys = list(dict.fromkeys(wanted))
    columns = {
        "usage_points": [key[0] for key in keys],
        "reading_types": [key[1] for key in keys],
        "intervals": [key[2] for key in keys],
    }
    connection.execute(_SQL["add_channels"], columns)
    rows = connection.execute(_SQL["named_channels"], columns)
    known = {(point, kind, interval): number for point, kind, interval, number in rows}
    return {key: known[key] for key in keys}
