"""A cycle computed by several processes at once, a part of its usage points after the other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial

from mdm import cycle
from mdm.cycle import Cycle, Run
from mdm.cycle_partitions import Partitions
from schemas import database
from schemas.database import Connection

# A process's own connection, open as long as the process is.
_open = ExitStack()
_connections: list[Connection] = []


def runs(
    connection: Connection, url: str, one: Cycle, now: datetime, workers: int
) -> Iterator[Run]:
    """Compute a cycle; give what became of each part as it is done.

    Each part is a transaction: whoever is stopped in the middle goes on where this one was.

    Parameters
    ----------
    connection : computes all if there is one worker
    url : of the database, for others

    Raises
    ------
    CycleError
        if the cycle's period is not over; then not even the cycle is kept.
    """
    cycle.refuse_unfinished(connection, one, now)
    parts = cycle.partitions(connection, one).ids
    connection.commit()
    if workers == 1 or len(parts) < 2:
        for part in parts:
            yield _computed(connection, one, now, part)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(parts)), context, _connect, (url,)) as pool:
        yield from pool.map(partial(_by_worker, one, now), parts)


def _connect(url: str) -> None:
    """Open the process's connection."""
    _connections.append(_open.enter_context(database.connect(url)))


def _by_worker(one: Cycle, now: datetime, ids: Sequence[int]) -> Run:
    return _computed(_connections[0], one, now, ids)


def _computed(connection: Connection, one: Cycle, now: datetime, ids: Sequence[int]) -> Run:
    (points,) = Partitions(connection, one.billing_group, [ids])
    done = cycle.run_partition(connection, one, points, now=now)
    connection.commit()
    return done
