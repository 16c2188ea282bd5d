"""Delivery of a cycle's determinants, exactly once, to an invoicing system.

An export claims determinant sets in the database before anything leaves the house, and its files
can be made again, byte for byte. So whoever dies and whenever, the next delivery finishes the same
export: the receiver knows the files and bills by their idempotency keys, and answers as before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from mdm import cycle_sets, delivery_files, delivery_folder, delivery_http
from mdm.cycle import Cycle
from mdm.delivery_files import DeliveryError, Package
from mdm.delivery_http import Acknowledgement, Retry
from mdm.export import formats
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery.sql")
_HTTP: Final = ("http://", "https://")


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
    package = delivery_files.packed(connection, head, file_format, parts)
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
    _write_items(connection, row[0], package)
    connection.execute(_SQL["mark_exported"], {"sets": sets})
    return _exports(connection, cycle.id, name)[0]


def refused(connection: Connection, cycle: Cycle, *, file_format: str, now: datetime) -> list[str]:
    """Say what may be billed but cannot be written in a format, and why, by usage point."""
    rows = connection.execute(_SQL["exportable"], {"cycle": cycle.id}).fetchall()
    head = delivery_files.head(cycle, _name(connection, cycle), now, cycle_sets.SOFTWARE)
    sets = [row[0] for row in rows]
    return sorted(delivery_files.refusals(connection, head, file_format, sets).values())


def package(connection: Connection, cycle: Cycle, export: Export) -> Package:
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
    file_format: str,
    now: datetime,
    retry: Retry | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Delivery:
    """Send what may be billed to a folder or an address; first what is still under way there.

    A cycle that was delivered and acknowledged whole delivers nothing when it is asked again.

    Parameters
    ----------
    connection : in autocommit: each step must last before the next is taken
    target : path of a folder, or address of an invoicing system (http…)
    retry : how often and how long an address is tried again

    Raises
    ------
    DeliveryError
        if the target cannot be reached or refuses; what was claimed stays claimed for it, and the
        next call goes on where this one stopped.
    ValueError
        if the connection is not in autocommit or the address carries a password.
    """
    if not connection.autocommit:
        raise ValueError("deliver needs a connection in autocommit")
    target = _target(target)
    done = []
    under_way = [e for e in exports(connection, cycle) if e.target == target and _open(e)]
    with connection.transaction():
        fresh = prepare(connection, cycle, file_format=file_format, target=target, now=now)
    for export in [*under_way, *([fresh] if fresh else [])]:
        try:
            _send(connection, cycle, export, now=now, retry=retry or Retry(), wait=wait)
        except DeliveryError as problem:
            connection.execute(_SQL["mark_problem"], {"export": export.id, "problem": str(problem)})
            raise
        done.append(_exports(connection, cycle.id, export.name)[0])
    return Delivery(tuple(done))


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
        if one is of a bill that is not in the export, or contradicts an earlier one.
    """
    # Two deliveries at once wait here for each other, and the later one finds what the first wrote.
    connection.execute(_SQL["lock_export"], {"export": export.id})
    known = {
        (mrid, version): (set_id, outcome)
        for set_id, mrid, version, outcome in connection.execute(
            _SQL["outcomes"], {"export": export.id}
        )
    }
    new: dict[int, Acknowledgement] = {}
    for given in acknowledgements:
        found = known.get((given.usage_point, given.version))
        if found is None:
            raise DeliveryError(
                f"{export.target} acknowledges {given.usage_point}, version {given.version}, "
                f"which is not in export {export.name}"
            )
        set_id, before = found
        before = new[set_id].outcome if set_id in new else before
        if before is None:
            new[set_id] = given
        elif before != given.outcome:
            raise DeliveryError(
                f"{export.target} says that {given.usage_point}, version {given.version}, is "
                f"{given.outcome}, and said before that it is {before}"
            )
    _settle(connection, export, new, now)
    return len(new)


def _settle(
    connection: Connection, export: Export, new: dict[int, Acknowledgement], now: datetime
) -> None:
    parameters = {
        "export": export.id,
        "now": now,
        "sets": list(new),
        "outcomes": [given.outcome for given in new.values()],
        "reasons": [given.reason for given in new.values()],
    }
    connection.execute(_SQL["acknowledge"], parameters)
    connection.execute(_SQL["settle"], parameters)


def _send(
    connection: Connection,
    cycle: Cycle,
    export: Export,
    *,
    now: datetime,
    retry: Retry,
    wait: Callable[[float], None],
) -> None:
    """Bring one export to its target."""
    whole = package(connection, cycle, export)
    if not export.target.startswith(_HTTP):
        delivery_folder.put(Path(export.target), export.name, whole)
    else:
        with delivery_http.Client(export.target, retry, wait) as client:
            client.announce(export.name, whole.manifest)
            for file in whole.files:
                answers = client.post(export.name, file)
                with connection.transaction():
                    acknowledge(connection, export, answers, now=now)
    connection.execute(_SQL["mark_delivered"], {"export": export.id, "now": now})


def _target(target: str) -> str:
    """Give a target by the one name under which it is known in the database."""
    if not target.startswith(_HTTP):
        return str(Path(target).resolve())
    if urlsplit(target).username is not None:
        # It would be kept, and shown in messages.
        raise ValueError("an address must not carry a user or a password")
    return target.rstrip("/")


def _open(export: Export) -> bool:
    """Tell whether something is left to send; a folder gives no acknowledgement to wait for."""
    if export.target.startswith(_HTTP):
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


def _write_items(connection: Connection, export_id: int, whole: Package) -> None:
    for file in whole.files:
        entry = file.entry
        fields = {
            "export": export_id,
            "name": entry.name,
            "sha256": entry.sha256,
            "bytes": entry.size,
            "usage_points": entry.usage_points,
        }
        connection.execute(_SQL["add_file"], fields)
        items = {"export": export_id, "file": entry.name, "sets": list(file.sets)}
        connection.execute(_SQL["add_items"], items)
