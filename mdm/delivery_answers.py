"""What receivers leave in files beside their exports, taken as often as one likes.

Acknowledgements, and what accounts owe. What was taken before changes nothing. What fits nothing is
kept for people to see, as is what names no export at all; a file that cannot be read is named and
keeps nobody from reading the others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from mdm import account_balance_file, acknowledgement, delivery_folder, delivery_targets
from mdm.acknowledgement import Taken
from mdm.cycle import Cycle
from mdm.delivery_access import Access, Retry, Way
from mdm.delivery_files import DeliveryError
from mdm.delivery_folder import Answer, Sought
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")

LOOKED_AFTER: Final = timedelta(days=7)
"""So long after a delivery files are looked for by themselves, acknowledged or not."""


@dataclass(slots=True)
class Collected:
    """What files of receivers said.

    Attributes
    ----------
    files : that were there and are of exports that wait for them, or of none
    balances : of accounts, that say something new
    problems : files that are none, and targets that did not answer, in words
    """

    files: int = 0
    taken: Taken = field(default_factory=Taken)
    balances: int = 0
    problems: list[str] = field(default_factory=list)


def collect(
    connection: Connection,
    cycle: Cycle,
    *,
    now: datetime,
    since: datetime | None = None,
    retry: Retry | None = None,
    access: Access | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Collected:
    """Take what receivers of a cycle's exports have left in files.

    Files stay where they are. Of targets without files everything was acknowledged as it was sent.

    Parameters
    ----------
    connection : in autocommit: what each file says lasts before the next is taken
    since : targets are left alone to which the last delivery is older, and of which nothing is
        waited for any more; none unless given
    """
    way = Way(wait, retry or Retry(), access or Access())
    waiting: dict[str, dict[str, int]] = defaultdict(dict)
    for number, name, target in connection.execute(_SQL["waiting"], {"cycle": cycle.id}):
        waiting[target][name] = number
    for (target,) in connection.execute(_SQL["targets"], {"cycle": cycle.id, "since": since}):
        # Balances come there after the last acknowledgement, too.
        waiting.setdefault(target, {})
    found = Collected()
    for target, mine in waiting.items():
        fetch = delivery_targets.of(target).answers
        if fetch is None:
            continue
        known = connection.execute(_SQL["names"], {"target": target})
        try:
            answers = fetch(target, Sought(mine, {row[0] for row in known}), way)
        except DeliveryError as problem:
            found.problems.append(str(problem))
            continue
        for answer in answers:
            found.files += 1
            try:
                if answer.export is None and account_balance_file.named(answer.name):
                    found.balances += _balances(connection, target, answer, now)
                else:
                    found.taken += _taken(connection, mine, answer, now)
            except DeliveryError as problem:
                found.problems.append(f"{target}: {problem}")
    return found


def _taken(
    connection: Connection, waiting: Mapping[str, int], answer: Answer, now: datetime
) -> Taken:
    """Take one file.

    Raises
    ------
    DeliveryError
        if it could not be read or is none.
    """
    given = list(delivery_folder.acknowledgements(answer.name, _content(answer)))
    with connection.transaction():
        if answer.export is None:
            return acknowledgement.keep_unknown(connection, answer.name, given, now=now)
        return acknowledgement.take(connection, waiting[answer.export], given, now=now)


def _balances(connection: Connection, target: str, answer: Answer, now: datetime) -> int:
    """Take one file with balances; give how many of them are new.

    Raises
    ------
    DeliveryError
        if it could not be read or is none.
    """
    content = _content(answer)
    return account_balance_file.take(connection, target, answer.name, content, now=now)


def _content(answer: Answer) -> bytes:
    if answer.problem:
        raise DeliveryError(answer.problem)
    return answer.content
