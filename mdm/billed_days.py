"""Which days of the record a bill was made from: they change only when a person says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from mdm import readings_columns
from schemas import statements
from schemas.database import Connection
from schemas.reading import BlockTable

_SQL = statements.load("mdm", "billed_days.sql")
ADVICE: Final = (
    "to change it all the same, say so (--after-billing): the next run of its cycle then raises a "
    "correction beside the bill"
)


@dataclass(frozen=True, slots=True)
class Billed:
    """A day that an exported or billed set of a cycle was made from."""

    usage_point: str
    starts_at: datetime
    time_zone: str
    billing_group: str
    starts_on: date
    state: str

    def __str__(self) -> str:
        day = self.starts_at.astimezone(ZoneInfo(self.time_zone)).date()
        return (
            f"{day} of {self.usage_point} is {self.state} in cycle {self.billing_group} from "
            f"{self.starts_on}"
        )


def of(connection: Connection, days: BlockTable) -> list[Billed]:
    """List those of the days that were billed or are on their way to it, oldest first."""
    if not len(days):
        return []
    rows = connection.execute(
        _SQL["billed_days"],
        {
            "channels": days.channel_id.tolist(),
            "starts": [readings_columns.moment(second) for second in days.starts_at],
        },
    )
    return [Billed(*row) for row in rows]
