"""The table of who can try quarantined things again, by kind, and the trying.

A kind's replayer gets open rows, lands what they say through the usual landing, and tells what
became of each; rows and landing are one transaction, so nothing is lost or counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from headend import publishers, push_replay, pushes, quarantine
from headend.quarantine import Fate, Outcome, Row
from schemas import database
from schemas.database import Connection

Replayer = Callable[[Connection, Sequence[Row], datetime], Mapping[int, Outcome]]
"""Tries rows again at a time (now, aware); gives what became of each, by its id."""

REPLAYERS: Final[Mapping[str, Replayer]] = {
    publishers.KIND: publishers.replay,
    pushes.KIND: push_replay.replay,
}

_AT_ONCE: Final = 500


@dataclass(slots=True)
class Replayed:
    """How many rows were tried, what became of them, and why some stay: rows by reason."""

    tried: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    staying: Counter[str] = field(default_factory=Counter)


def replay(
    url: str,
    *,
    now: Callable[[], datetime],
    kinds: Sequence[str] = tuple(REPLAYERS),
    ids: Sequence[int] | None = None,
    subject: str | None = None,
    progress: Callable[[Replayed], object] | None = None,
) -> Replayed:
    """Try what is in the quarantine again, some hundred rows a transaction.

    Parameters
    ----------
    kinds : of ``REPLAYERS``
    ids : only these rows
    subject : only rows whose subject fits, ``*`` standing for anything
    progress : called after each transaction
    """
    done = Replayed()
    for kind in kinds:
        after = 0
        while True:
            with database.connect(url) as connection:
                tried = quarantine.to_replay(
                    connection, kind, after=after, ids=ids, subject=subject, limit=_AT_ONCE
                )
                if not tried:
                    break
                outcomes = REPLAYERS[kind](connection, tried, now())
                quarantine.replayed(connection, outcomes, now=now())
            after = tried[-1].id
            _count(done, outcomes)
            if progress:
                progress(done)
    return done


def _count(done: Replayed, outcomes: Mapping[int, Outcome]) -> None:
    done.tried += len(outcomes)
    for one in outcomes.values():
        if one.fate is None:
            done.staying[one.reason or ""] += 1
        else:
            done.fates[one.fate] += 1
