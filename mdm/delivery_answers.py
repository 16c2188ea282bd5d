"""Acknowledgements that receivers leave in files beside their exports, taken as often as one likes.

What was taken before changes nothing. What fits nothing is kept for people to see, as is what names
no export at all; a file that cannot be read is named and keeps nobody from reading the others.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mdm import acknowledgement, delivery_folder, delivery_targets
from mdm.acknowledgement import Taken
from mdm.cycle import Cycle
from mdm.delivery_access import Access, Retry, Way
from mdm.delivery_files import DeliveryError
from mdm.delivery_folder import Answer, Sought
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")


@dataclass(slots=True)
class Collected:
    """What files of acknowledgements said.

    Attributes
    ----------
    files : that were there and are of exports that wait for them, or of none
    problems : files that are none, and targets that did not answer, in words
    """

    files: int = 0
    taken: Taken = field(default_factory=Taken)
    problems: list[str] = field(default_factory=list)


def collect(
    connection: Connection,
    cycle: Cycle,
    *,
    now: datetime,
    retry: Retry | None = None,
    access: Access | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Collected:
    """Take the acknowledgements of a cycle's exports that receivers have left in files.

    Files stay where they are. Of targets without files everything was acknowledged as it was sent.

    Parameters
    ----------
    connection : in autocommit: each file's acknowledgements last before the next is taken
    """
    way = Way(wait, retry or Retry(), access or Access())
    waiting: dict[str, dict[str, int]] = defaultdict(dict)
    for number, name, target in connection.execute(_SQL["waiting"], {"cycle": cycle.id}):
        waiting[target][name] = number
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
    if answer.problem:
        raise DeliveryError(answer.problem)
    given = list(delivery_folder.acknowledgements(answer.name, answer.content))
    with connection.transaction():
        if answer.export is None:
            return acknowledgement.keep_unknown(connection, answer.name, given, now=now)
        return acknowledgement.take(connection, waiting[answer.export], given, now=now)
