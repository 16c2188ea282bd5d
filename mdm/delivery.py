"""Delivery of a cycle's determinants, exactly once, to an invoicing system.

An export claims determinant sets in the database before anything leaves the house, and its files
can be made again, byte for byte. So whoever dies and whenever, the next delivery finishes the same
export: the receiver knows the files and bills by their idempotency keys, and answers as before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mdm import (
    account_balance,
    acknowledgement,
    cycle_sets,
    delivery_access,
    delivery_files,
    delivery_targets,
)
from mdm.account_balance import Balance
from mdm.acknowledgement import Acknowledgement
from mdm.cycle import Cycle
from mdm.delivery_access import Access, Retry, Way
from mdm.delivery_files import DeliveryError, File, Package
from mdm.export import formats
from schemas import binary_copy, statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")


@dataclass(frozen=True, slots=True)
class Export:
    """One delivery of determinant sets, under way or done.

    Attributes
    ----------
    target : folder or address
    delivered_at : when all files were there; None before
    problem : why the last attempt failed; None if it did not
    items, billed, rejected : determinant sets in it, and how they were acknowledged
    """

    id: int
    cycle_id: int
    name: str
    format: str
    target: str
    prepared_at: datetime
    software: str
    delivered_at: datetime | None
    problem: str | None
    items: int
    billed: int
    rejected: int

    @property
    def waiting(self) -> int:
        """Determinant sets that nobody acknowledged yet."""
        return self.items - self.billed - self.rejected

    @property
    def state(self) -> Literal["prepared", "delivered", "acknowledged"]:
        """How far it is."""
        if self.delivered_at is None:
            return "prepared"
        return "delivered" if self.waiting else "acknowledged"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery did: exports that were finished now, and how they were acknowledged."""

    exports: tuple[Export, ...]

    @property
    def items(self) -> int:
        """Determinant sets delivered."""
        return sum(export.items for export in self.exports)

    @property
    def billed(self) -> int:
        """Determinant sets billed."""
        return sum(export.billed for export in self.exports)

    @property
    def rejected(self) -> int:
        """Determinant sets rejected."""
        return sum(export.rejected for export in self.exports)


def exports(connection: Connection, cycle: Cycle) -> list[Export]:
    """List a cycle's exports, oldest first."""
    return _exports(connection, cycle.id, None)


def prepare(
    connection: Connection, cycle: Cycle, *, file_format: str, target: str, now: datetime
) -> Export | None:
    """Claim everything that may be billed and was not sent yet; None if there is nothing.

    Raises
    ------
    KeyError
        if there is no such format (see ``export.formats``).
    """
    made = _prepared(connection, cycle, file_format=file_format, target=target, now=now)
    return made[0] if made else None


def _prepared(
    connection: Connection,
    cycle: Cycle,
    *,
    file_format: str,
    target: str,
    now: datetime,
    tell: Callable[[str], None] = delivery_access.silently,
    committed: bool = False,
) -> tuple[Export, Package] | None:
    """Claim what may be billed; give the export and its files, which need not be made again.

    What may be billed must be ``committed`` if it is said to be: others can read it then.

    Raises
    ------
    KeyError
        if there is no such format (see ``export.formats``).
    """
    kind = formats.named(file_format)
    size = kind.usage_points
    connection.execute(_SQL["lock_cycle"], {"cycle": cycle.id})
    rows = connection.execute(_SQL["exportable"], {"cycle": cycle.id}).fetchall()
    sets = [row[0] for row in sorted(rows, key=lambda row: row[1])]
    name = _name(connection, cycle)
    software = cycle_sets.SOFTWARE
    # What the format cannot say is not claimed: it stays to be delivered in another.
    head = delivery_files.head(cycle, name, now, software)
    refused = delivery_files.refusals(connection, head, file_format, sets)
    sets = [number for number in sets if number not in refused]
    if not sets:
        return None
    parts = [
        (f"{name}-{first // size + 1:04d}.{kind.suffix}", sets[first : first + size])
        for first in range(0, len(sets), size)
    ]
    row = connection.execute(
        _SQL["add_export"],
        {
            "cycle": cycle.id,
            "name": name,
            "format": file_format,
            "target": target,
            "prepared_at": now,
            "software": software,
        },
    ).fetchone()
    assert row is not None  # noqa: S101  # RETURNING gives a row for the row it inserts
    number = row[0]
    package = delivery_files.packed(
        connection,
        head,
        file_format,
        parts,
        keep=lambda file: _claim(connection, number, file),
        tell=_counting(tell, name, len(sets)),
        committed=committed,
    )
    return _exports(connection, cycle.id, name)[0], package


def refused(connection: Connection, cycle: Cycle, *, file_format: str, now: datetime) -> list[str]:
    """Say what may be billed but cannot be written in a format, and why, by usage point."""
    rows = connection.execute(_SQL["exportable"], {"cycle": cycle.id}).fetchall()
    head = delivery_files.head(cycle, _name(connection, cycle), now, cycle_sets.SOFTWARE)
    sets = [row[0] for row in rows]
    return sorted(delivery_files.refusals(connection, head, file_format, sets).values())


def package(
    connection: Connection,
    cycle: Cycle,
    export: Export,
    tell: Callable[[str], None] = delivery_access.silently,
) -> Package:
    """Make an export's files again.

    Raises
    ------
    DeliveryError
        if they differ from what was prepared: a file is sent as it was recorded, or not at all.
    """
    parts: dict[str, list[tuple[str, int]]] = {}
    for file, set_id, mrid in connection.execute(_SQL["items"], {"export": export.id}):
        parts.setdefault(file, []).append((mrid, set_id))
    found = delivery_files.packed(
        connection,
        delivery_files.head(cycle, export.name, export.prepared_at, export.software),
        export.format,
        [(file, [set_id for _, set_id in sorted(parts[file])]) for file in sorted(parts)],
        tell=_counting(tell, export.name, export.items),
    )
    recorded = connection.execute(_SQL["files"], {"export": export.id}).fetchall()
    for file, (name, sha256, *_) in zip(found.files, recorded, strict=True):
        if (file.entry.name, file.entry.sha256) != (name, sha256):
            raise DeliveryError(
                f"{name} of export {export.name} cannot be made as it was prepared: its SHA-256 "
                f"is {file.entry.sha256}, not {sha256}; run the version that prepared it, "
                f"{export.software}"
            )
    return found


def deliver(
    connection: Connection,
    cycle: Cycle,
    *,
    target: str,
    file_format: str | None = None,
    now: datetime,
    retry: Retry | None = None,
    access: Access | None = None,
    wait: Callable[[float], None] = time.sleep,
    tell: Callable[[str], None] = delivery_access.silently,
) -> Delivery:
    """Send what may be billed to a target; first what is still under way there.

    A cycle that was delivered and acknowledged whole delivers nothing when it is asked again.

    Parameters
    ----------
    connection : in autocommit: each step must last before the next is taken
    target : a folder, or an address of a kind in ``delivery_targets.KINDS``
    file_format : the target's own unless given, or JSON
    retry : how often and how long an address is tried again
    access : keys and certificates
    tell : told in words how far it is

    Raises
    ------
    DeliveryError
        if the target cannot be reached or refuses; what was claimed stays claimed for it, and the
        next call goes on where this one stopped.
    ValueError
        if the connection is not in autocommit, or the target carries a password, is of no known
        kind or takes another format.
    """
    if not connection.autocommit:
        raise ValueError("deliver needs a connection in autocommit")
    target = delivery_targets.plain(target)
    file_format = delivery_targets.format_for(target, file_format)

    def told(target: str, balances: Sequence[Balance]) -> None:
        account_balance.record(connection, target, balances, now=now)

    way = Way(wait, retry or Retry(), access or Access(), told, tell)
    under_way = [e for e in exports(connection, cycle) if e.target == target and _open(e)]
    for export in under_way:
        with _noted(connection, export):
            if export.problem:
                # Before files are made for an hour's worth of attempts at somebody who is away.
                delivery_targets.knock(target)
            _send(connection, export, package(connection, cycle, export, tell), now, way)
    # Only then: what is claimed for somebody who is away waits for him.
    with connection.transaction():
        fresh = _prepared(
            *(connection, cycle),
            file_format=file_format,
            target=target,
            now=now,
            tell=tell,
            committed=True,
        )
    if fresh:
        with _noted(connection, fresh[0]):
            _send(connection, *fresh, now, way)
    done = [*under_way, *([fresh[0]] if fresh else [])]
    return Delivery(tuple(_exports(connection, cycle.id, export.name)[0] for export in done))


@contextmanager
def _noted(connection: Connection, export: Export) -> Iterator[None]:
    """Write down why an export is not delivered."""
    try:
        yield
    except DeliveryError as problem:
        what = {"export": export.id, "target": export.target, "problem": str(problem)}
        connection.execute(_SQL["mark_problem"], what)
        raise


def _counting(tell: Callable[[str], None], export: str, of: int) -> Callable[[int], None]:
    """Give who is told of more usage points that are written, and tells how many are."""
    done = 0

    def more(sets: int) -> None:
        nonlocal done
        done += sets
        tell(f"export {export}: {done:,} of {of:,} usage points written")

    return more


def acknowledge(
    connection: Connection,
    export: Export,
    acknowledgements: Sequence[Acknowledgement],
    *,
    now: datetime,
) -> int:
    """Write down what became of an export's usage points; give how many are new.

    The same acknowledgement may come any number of times.

    Raises
    ------
    DeliveryError
        if one is of a bill that is not in the export, or contradicts an earlier one: then nothing
        of them is written down.
    """
    new, strays = acknowledgement.sorted_out(connection, export.id, acknowledgements)
    for given, why in strays:
        raise DeliveryError(
            f"{export.target} says that {given.usage_point}, version {given.version}, is "
            f"{given.outcome} in export {export.name}, and {why}"
        )
    acknowledgement.settle(connection, export.id, new, now)
    return len(new)


def _send(connection: Connection, export: Export, whole: Package, now: datetime, way: Way) -> None:
    """Bring one export to its target."""
    kind = delivery_targets.of(export.target)
    for answers in kind.send(export.target, export.name, whole, way):
        with connection.transaction():
            acknowledge(connection, export, answers, now=now)
    # Whoever sends it elsewhere meanwhile has it delivered there, too.
    done = {"export": export.id, "target": export.target, "now": now}
    connection.execute(_SQL["mark_delivered"], done)


def _open(export: Export) -> bool:
    """Tell whether something is left to send; who does not answer at once is waited for apart."""
    if delivery_targets.of(export.target).answers is None:
        return export.state != "acknowledged"
    return export.state == "prepared"


def _exports(connection: Connection, cycle_id: int, name: str | None) -> list[Export]:
    rows = connection.execute(_SQL["exports"], {"cycle": cycle_id, "name": name})
    return [Export(*row) for row in rows]


def _name(connection: Connection, cycle: Cycle) -> str:
    """Give a name that is free and may be a file's."""
    row = connection.execute(_SQL["next_number"], {"cycle": cycle.id}).fetchone()
    group = re.sub(r"[^A-Za-z0-9_-]", "_", cycle.billing_group)
    return f"{group}-{cycle.starts_on}-{cycle.id}-{row[0] if row else 1:04d}"


def _claim(connection: Connection, export_id: int, file: File) -> None:
    """Write down what a file holds, and that its sets are under way."""
    entry = file.entry
    fields = {
        "export": export_id,
        "name": entry.name,
        "sha256": entry.sha256,
        "bytes": entry.size,
        "usage_points": entry.usage_points,
    }
    connection.execute(_SQL["add_file"], fields)
    # In the order of their ids, in which they stand in the tables and their indexes.
    sets = binary_copy.array(sorted(file.sets))
    connection.execute(_SQL["add_items"], {"export": export_id, "file": entry.name, "sets": sets})
    connection.execute(_SQL["mark_exported"], {"sets": sets})
