"""What receivers say became of bills, for ``miqyas bill acknowledge`` and ``advance``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer

from console import show, store
from mdm import acknowledgement, delivery, delivery_answers, delivery_folder
from mdm.acknowledgement import Taken
from mdm.cycle import Cycle
from mdm.delivery_access import Access
from mdm.delivery_files import DeliveryError
from schemas.database import Connection
from schemas.settings import Settings


def collect(connection: Connection, chosen: Cycle) -> None:
    """Take what receivers of folders and SFTP left; exit with 1 if a file is none."""
    found = delivery_answers.collect(
        connection, chosen, now=store.now(connection), access=Access.of(Settings())
    )
    for problem in found.problems:
        show.problem(problem)
    said = f"{show.count(found.files, 'file')}, {_told(found.taken)}"
    if found.balances:
        said += f"; {show.count(found.balances, 'balance')} new"
    show.done(said)
    if found.problems:
        raise typer.Exit(1)


def collected(connection: Connection, one: Cycle, now: datetime) -> tuple[str, str]:
    """Take the same for ``miqyas bill advance``; give what is new and what is wrong, in words."""
    since = now - delivery_answers.LOOKED_AFTER
    access = Access.of(Settings())
    found = delivery_answers.collect(connection, one, now=now, since=since, access=access)
    new, unseen = found.taken.new, found.taken.unseen
    parts = [f"{new:,} new"] if new else []
    if unseen:
        parts.append(f"{unseen:,} that fit no bill; see `miqyas bill strays`")
    if found.balances:
        parts.append(f"{found.balances:,} balances of accounts")
    return ", ".join(parts), "; ".join(found.problems)


def take(connection: Connection, chosen: Cycle, name: str, file: Path) -> None:
    """Take the acknowledgements of an export from a file.

    Raises
    ------
    DeliveryError
        if the cycle has no such export or the file holds no acknowledgements.
    """
    sent = {one.name: one for one in delivery.exports(connection, chosen)}
    if name not in sent:
        known = ", ".join(sent) or "none yet"
        raise DeliveryError(f"{chosen} has no export {name!r}; there are: {known}")
    given = list(delivery_folder.acknowledgements(file.name, file.read_bytes()))
    with connection.transaction():
        taken = acknowledgement.take(connection, sent[name].id, given, now=store.now(connection))
    show.done(f"{name}: {show.count(len(given), 'acknowledgement')}, {_told(taken)}")


def _told(taken: Taken) -> str:
    """Say what became of acknowledgements; name those that fit nothing."""
    for given, why in taken.strays:
        show.problem(f"{given.usage_point}, version {given.version}: {given.outcome}, but {why}")
    return f"{taken.new:,} of them new"
