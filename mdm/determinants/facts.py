"""What a usage point's figures rest on besides its own readings; a bill keeps it as it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from mdm.determinants.determinant import Counts

Dated = tuple[tuple[date, Decimal], ...]
"""Values by the first day on which they count, oldest first."""


class Beyond(NamedTuple):
    """What was used in a peak's window that is outside of the usage point's own period.

    ``starts_at`` in seconds since 1970-01-01 UTC, ``energy`` in the scaled unit.
    """

    starts_at: int
    energy: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class Facts:
    """Inputs of a determinant set that are no readings of the usage point.

    Attributes
    ----------
    peaks : starts of a system's or group's highest windows [s since 1970-01-01 UTC], highest
        first, by the declared determinant's ``key``
    history : a figure of former cycles by their first day, by ``key``
    losses : the usage point's own loss factors, by name; before the tariff's
    parts : those of a period's parts, where its tariff changes
    beyond : of ``peaks``, what was used in those outside of the period, by ``key``
    """

    peaks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    history: Mapping[str, Dated] = field(default_factory=dict)
    losses: Mapping[str, Dated] = field(default_factory=dict)
    parts: tuple[Facts, ...] = ()
    beyond: Mapping[str, tuple[Beyond, ...]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All of it as canonical JSON, from which it can be made again; empty if there is none."""
        content: dict[str, object] = {
            "peaks": {key: list(moments) for key, moments in self.peaks.items()},
            "history": {key: _listed(rows) for key, rows in self.history.items()},
            "losses": {key: _listed(rows) for key, rows in self.losses.items()},
        }
        content["beyond"] = {
            key: [[one.starts_at, one.energy, list(one.counts)] for one in windows]
            for key, windows in self.beyond.items()
        }
        if any(part.text for part in self.parts):
            content["parts"] = [part.text for part in self.parts]
        kept = {name: table for name, table in content.items() if table}
        if not kept:
            return ""
        return json.dumps(kept, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def restored(text: str) -> Facts:
    """Make facts again from their ``text``."""
    content = json.loads(text) if text else {}
    return Facts(
        peaks={key: tuple(moments) for key, moments in content.get("peaks", {}).items()},
        history={key: _dated(rows) for key, rows in content.get("history", {}).items()},
        losses={key: _dated(rows) for key, rows in content.get("losses", {}).items()},
        parts=tuple(restored(part) for part in content.get("parts", [])),
        beyond={
            key: tuple(Beyond(at, energy, Counts(*counts)) for at, energy, counts in windows)
            for key, windows in content.get("beyond", {}).items()
        },
    )


def factor_on(rows: Dated, day: date) -> Fraction | None:
    """Give the value in force on a day, None before the first."""
    found = [value for first, value in rows if first <= day]
    return Fraction(found[-1]) if found else None


def _listed(rows: Dated) -> list[list[str]]:
    return [[day.isoformat(), str(value)] for day, value in rows]


def _dated(rows: list[list[str]]) -> Dated:
    return tuple((date.fromisoformat(day), Decimal(value)) for day, value in rows)
