"""An export that was claimed for a wrong target goes elsewhere: the same files, the same keys."""

from __future__ import annotations

from datetime import datetime

from mdm import delivery, delivery_targets
from mdm.cycle import Cycle
from mdm.delivery import Export
from mdm.delivery_files import DeliveryError
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("mdm", "delivery_redirect.sql")


def redirect(
    connection: Connection,
    cycle: Cycle,
    name: str,
    target: str,
    *,
    person: str,
    reason: str,
    now: datetime,
) -> tuple[Export, str]:
    """Have an export go to another target; the next delivery there brings it.

    Its files and keys stay as they are, so one receiver never bills it twice under two addresses.

    Returns
    -------
    the export as it is now, and where it was to go before

    Raises
    ------
    DeliveryError
        if person or reason is empty, there is no such export, it goes there already, or somebody
        has acknowledged some of it.
    TargetError
        if the target is of no known kind or takes another format.
    """
    if not person.strip() or not reason.strip():
        raise DeliveryError("sending an export elsewhere needs a person and a reason")
    target = delivery_targets.plain(target)
    with connection.transaction():
        one = _named(connection, cycle, name)
        connection.execute(_SQL["lock_export"], {"export": one.id})
        one = _named(connection, cycle, name)
        delivery_targets.format_for(target, one.format)
        if target == one.target:
            raise DeliveryError(f"export {name} goes to {target} already")
        if one.billed or one.rejected:
            raise DeliveryError(
                f"{one.target} has acknowledged {one.billed + one.rejected} of {one.items} usage "
                f"points of export {name}: deliver the rest there, too"
            )
        told = {"person": person, "reason": reason, "now": now}
        was = {"former": one.target, "delivered_at": one.delivered_at}
        connection.execute(_SQL["add"], {"export": one.id, **was, **told})
        connection.execute(_SQL["redirect"], {"export": one.id, "target": target})
        return _named(connection, cycle, name), one.target


def _named(connection: Connection, cycle: Cycle, name: str) -> Export:
    found = delivery.exports(connection, cycle)
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in found) or "none"
    raise DeliveryError(f"there is no export {name} of {cycle}; there is: {known}")
