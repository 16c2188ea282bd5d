"""Findings about registers in the worklist: new ones are opened, what is gone is closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from schemas import statements
from schemas.database import Connection
from schemas.period import local_day
from validation.dials import DialSteps
from validation.finding import Severity
from validation.reads import ReadSteps
from validation.rules import RULES

_SQL = statements.load("mdm", "register_checks.sql")
NAMES: Final = tuple(name for name, rule in RULES.items() if rule.view in (ReadSteps, DialSteps))
"""The rules that look at registers alone."""


class Found(NamedTuple):
    """One failure: of which channel, from when to when, of which rule, and by how much."""

    channel_id: int
    zone: ZoneInfo
    starts_at: datetime
    ends_at: datetime
    rule: str
    severity: Severity
    observed: float
    limit: float

    @property
    def key(self) -> tuple[int, datetime, str]:
        """What makes it the same finding when it is found again."""
        return self.channel_id, self.starts_at, self.rule


@dataclass(frozen=True, slots=True)
class Kept:
    """How many findings were opened and closed."""

    opened: int
    closed: int


class _Known(NamedTuple):
    id: int
    channel_id: int
    starts_at: datetime
    ends_at: datetime
    rule: str
    observed: float | None
    state: str


def keep(
    connection: Connection,
    channels: Sequence[int],
    found: Sequence[Found],
    *,
    since: datetime,
    now: datetime,
) -> Kept:
    """Write down what fails; what a person has decided stays so while it is about the same time.

    Parameters
    ----------
    channels : all that were looked at
    since : older findings are left alone
    """
    limits = {"channels": list(channels), "rules": list(NAMES), "since": since}
    rows = [_Known(*row) for row in connection.execute(_SQL["known_findings"], limits)]
    # The newest counts among several; an open one always is.
    known = {(row.channel_id, row.starts_at, row.rule): row for row in rows}
    wanted = {each.key: each for each in found}
    new = [each for key, each in wanted.items() if _is_new(known.get(key), each)]
    gone = [row for key, row in known.items() if row.state == "open" and key not in wanted]
    for key, row in known.items():
        each = wanted.get(key)
        if each and row.state == "open" and (row.ends_at, row.observed) != (
            each.ends_at, each.observed
        ):  # fmt: skip
            connection.execute(_SQL["see_finding_again"], {"id": row.id, **_words(each)})
    if new or gone:
        _write(connection, len(channels), new, gone, now)
    return Kept(len(new), len(gone))


def _is_new(known: _Known | None, each: Found) -> bool:
    return known is None or (known.state != "open" and known.ends_at != each.ends_at)


def _write(
    connection: Connection,
    channels: int,
    new: Sequence[Found],
    gone: Sequence[_Known],
    now: datetime,
) -> None:
    counts = {"channels": channels, "opened": len(new), "closed": len(gone), "now": now}
    [(run,)] = connection.execute(_SQL["add_run"], counts).fetchall()
    for each in new:
        day = local_day(each.starts_at.astimezone(each.zone).date(), each.zone).start
        about = {"channel": each.channel_id, "day": day, "starts_at": each.starts_at}
        connection.execute(
            _SQL["open_finding"],
            {**about, **_words(each), "rule": each.rule, "now": now, "run": run},
        )
    reason = f"validation run {run} no longer found it"
    for old in gone:
        connection.execute(_SQL["close_finding"], {"id": old.id, "now": now, "reason": reason})


def _words(each: Found) -> dict[str, object]:
    return {
        "ends_at": each.ends_at,
        "observed": each.observed,
        "limit": each.limit,
        "severity": each.severity.name.lower(),
    }
