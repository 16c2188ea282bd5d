"""Controls as rows: asked for, approved, cancelled, listed; every change is kept by the database.

How one is carried out stands in ``headend.control_steps``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from drivers.driver import Driver
from headend import control_kinds, control_rules, pending_keys
from headend.control_kinds import KINDS, RESUMED, ControlError
from headend.control_rules import Extent, Rules
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "controls.sql")
_A_DAY = timedelta(days=1)
_SOON = timedelta(minutes=10)
OPEN = ("requested", "approved", "running", "unknown")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for.

    Attributes
    ----------
    kind, parameters : see ``headend.control_kinds``
    by : who asks
    reason : why
    not_before, expires_at : when it may be done; None: from now on, and as long as its kind lasts
    soon : somebody waits for it: unless it waits for an approval, it expires after some minutes
    """

    kind: str
    by: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    not_before: datetime | None = None
    expires_at: datetime | None = None
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Requested:
    """A request as it was written down.

    Attributes
    ----------
    controls : ids of the controls that will be carried out
    needs_approval : why a second person must approve; None if nobody needs to
    left_out : meters that the request does not reach, with the reason
    """

    request_id: int
    controls: tuple[int, ...]
    needs_approval: str | None
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Control:
    """One control of one meter, as it stands."""

    id: int
    request_id: int
    end_device_id: int
    mrid: str
    kind: str
    parameters: Mapping[str, Any]
    state: str
    reason: str
    requested_by: str
    requested_at: datetime
    not_before: datetime
    expires_at: datetime
    needs_approval: str | None
    approved_by: str | None
    attempts: int
    next_attempt: datetime
    sent_at: datetime | None
    progress: Mapping[str, Any] | None
    result: Any
    error: str | None
    message: str | None
    changed_at: datetime
    session_id: int | None
    group: str | None

    @property
    def waits_for_approval(self) -> bool:
        """Whether a second person must approve it before anything happens."""
        return self.state == "requested" and self.needs_approval is not None


@dataclass(frozen=True, slots=True)
class Change:
    """One state that a control was in."""

    at: datetime
    by: str
    state: str
    attempts: int
    error: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class _Target:
    id: int
    mrid: str
    protocol: str
    sector: str | None
    marked: str | None


def request(
    connection: Connection,
    wish: Wish,
    *,
    drivers: Mapping[str, Driver],
    rules: Rules,
    now: datetime,
    mrid: str | None = None,
    group: str | None = None,
) -> Requested:
    """Write down what somebody asks of one meter or of a group, after checking it.

    Parameters
    ----------
    drivers : by protocol; a meter whose driver does not offer it is left out of a group
    mrid, group : one of both

    Raises
    ------
    ControlError
    """
    parameters = control_kinds.checked(wish.kind, wish.parameters)
    _check(wish, now)
    # Two requests at the same time must not both find room within a day's number.
    connection.execute(_SQL["only_one_at_a_time"])
    targets = _targets(connection, mrid, group, now)
    left = {one.mrid: why for one in targets if (why := _refusal(one, wish, group, drivers, rules))}
    if mrid is not None and left:
        raise ControlError(left[mrid])
    reached = [one for one in targets if one.mrid not in left]
    if not reached:
        raise ControlError(f"group {group!r} has no meter that this reaches: {_some(left)}")
    extent = _extent(connection, wish, reached, parameters, now, group=group, rules=rules)
    needs = control_rules.needs_approval(wish.kind, extent, rules)
    row = {
        "kind": wish.kind, "parameters": Jsonb(parameters), "group": group,
        "reason": wish.reason.strip(), "by": wish.by.strip(), "now": now,
    }  # fmt: skip
    [[request_id]] = connection.execute(_SQL["add_request"], row).fetchall()
    start = wish.not_before or now
    span = {
        "request": request_id, "not_before": start, "needs_approval": needs, "now": now,
        "expires_at": _expires(wish, start, waits=needs is not None), "by": wish.by.strip(),
    }  # fmt: skip
    made = _add(connection, span, [(one.id, None) for one in reached])
    _add(connection, span, [(one.id, left[one.mrid]) for one in targets if one.mrid in left])
    return Requested(request_id, made, needs, left)


def request_own(connection: Connection, wish: Wish, *, end_device_id: int, now: datetime) -> int:
    """Write down what a schedule does by itself with a meter that it talks to; give its number."""
    parameters = control_kinds.checked(wish.kind, wish.parameters)
    row = {
        "kind": wish.kind, "parameters": Jsonb(parameters), "group": None, "reason": wish.reason,
        "by": wish.by, "now": now,
    }  # fmt: skip
    [[request_id]] = connection.execute(_SQL["add_request"], row).fetchall()
    span = {
        "request": request_id, "not_before": now, "needs_approval": None, "now": now,
        "expires_at": _expires(wish, now, waits=False), "by": wish.by,
    }  # fmt: skip
    [made] = _add(connection, span, [(end_device_id, None)])
    return made


def find(connection: Connection, control_id: int) -> Control:
    """Give a control by its number.

    Raises
    ------
    ControlError
        if there is none.
    """
    found = listed(connection, control_id=control_id)
    if not found:
        raise ControlError(f"there is no control {control_id}; see `miqyas control list`")
    return found[0]


def listed(
    connection: Connection,
    *,
    control_id: int | None = None,
    request_id: int | None = None,
    end_device_id: int | None = None,
    states: Sequence[str] | None = None,
    limit: int = 1000,
) -> list[Control]:
    """List controls, newest first."""
    wanted = {
        "id": control_id, "request": request_id, "end_device": end_device_id,
        "states": None if states is None else list(states), "limit": limit,
    }  # fmt: skip
    return [Control(*row) for row in connection.execute(_SQL["controls"], wanted)]


def open_like(connection: Connection, end_device_id: int, wish: Wish) -> int | None:
    """Find a meter's open control of the same kind and parameters, to go on with it."""
    parameters = control_kinds.checked(wish.kind, wish.parameters)
    wanted = {"end_device": end_device_id, "kind": wish.kind, "parameters": Jsonb(parameters)}
    row = connection.execute(_SQL["open_like"], wanted).fetchone()
    return None if row is None else int(row[0])


def changes(connection: Connection, control_id: int) -> list[Change]:
    """List every state that a control was in, oldest first."""
    return [Change(*row) for row in connection.execute(_SQL["changes"], {"id": control_id})]


def approve(connection: Connection, control_id: int, *, by: str, now: datetime) -> None:
    """Approve a control as the second person.

    Raises
    ------
    ControlError
        if it does not wait for an approval, or the same person asked for it.
    """
    one = find(connection, control_id)
    if not one.waits_for_approval:
        raise ControlError(f"control {control_id} ({one.state}) does not wait for an approval")
    _check_name(by)
    control_rules.check_second(one.requested_by, by)
    row = {"id": control_id, "by": by.strip(), "now": now}
    if not connection.execute(_SQL["approve"], row).rowcount:
        raise ControlError(f"control {control_id}: its time is over; ask for it again")


def cancel(
    connection: Connection, control_id: int, *, by: str, now: datetime, note: str = ""
) -> bool:
    """Cancel a control that waits; what was sent already is only not sent again.

    Returns
    -------
    True if nothing of it has reached the meter

    Raises
    ------
    ControlError
        if it is over.
    """
    _check_name(by)
    one = find(connection, control_id)
    row = {"id": control_id, "by": by.strip(), "now": now, "note": note.strip() or None}
    if connection.execute(_SQL["cancel"], row).rowcount:
        if one.kind == "change_keys":
            pending_keys.drop(connection, one.end_device_id, one.parameters["kinds"])
        return True
    row["note"] = note.strip() or f"not to be sent again, says {by.strip()}"
    if connection.execute(_SQL["send_no_more"], row).rowcount:
        return False
    raise ControlError(f"control {control_id} is {one.state}: there is nothing to cancel")


def expire(connection: Connection, *, now: datetime) -> int:
    """End what waited for longer than it may; give how many."""
    return connection.execute(_SQL["expire"], {"now": now}).rowcount


def mark_critical(
    connection: Connection, usage_point: str, *, reason: str, by: str, now: datetime
) -> None:
    """Keep a usage point from ever being disconnected with a group.

    Raises
    ------
    ControlError
    """
    _check_name(by)
    if not reason.strip():
        raise ControlError("say why the usage point is critical: --reason")
    row = {"usage_point": usage_point, "reason": reason.strip(), "by": by.strip(), "now": now}
    if not connection.execute(_SQL["mark_critical"], row).rowcount:
        raise ControlError(f"there is no usage point {usage_point!r} in the registry")


def unmark_critical(connection: Connection, usage_point: str) -> None:
    """Let a usage point be disconnected like others again.

    Raises
    ------
    ControlError
    """
    if not connection.execute(_SQL["unmark_critical"], {"usage_point": usage_point}).rowcount:
        raise ControlError(f"usage point {usage_point!r} is not marked as critical")


def _expires(wish: Wish, start: datetime, *, waits: bool) -> datetime:
    kind = KINDS[wish.kind]
    # One that was watched and forgotten must not switch a supply the next day.
    soon = wish.soon and not waits and kind.effect not in RESUMED
    return wish.expires_at or start + (_SOON if soon else kind.lasts)


def _check(wish: Wish, now: datetime) -> None:
    _check_name(wish.by)
    if wish.kind == "disconnect" and not wish.reason.strip():
        raise ControlError("a disconnection needs a reason: --reason 'unpaid since March'")
    start = wish.not_before or now
    if wish.expires_at is not None and wish.expires_at <= max(start, now):
        raise ControlError("it would expire before it may begin; give a later end")


def _check_name(by: str) -> None:
    if not by.strip():
        raise ControlError("say who you are: --by NAME")


def _targets(
    connection: Connection, mrid: str | None, group: str | None, now: datetime
) -> list[_Target]:
    where = {"mrid": mrid, "group": group, "now": now}
    found = [_Target(*row) for row in connection.execute(_SQL["targets"], where)]
    if mrid is not None and not found:
        raise ControlError(f"no end device {mrid!r} in the registry; check the mRID, or import it")
    if group is not None and connection.execute(_SQL["group_exists"], where).fetchone() is None:
        raise ControlError(f"there is no group {group!r}; see `miqyas group list`")
    return found


def _refusal(
    one: _Target, wish: Wish, group: str | None, drivers: Mapping[str, Driver], rules: Rules
) -> str | None:
    """Say why a request does not reach a meter; None if it does."""
    driver = drivers.get(one.protocol)
    if driver is None or KINDS[wish.kind].feature not in driver.offers:
        return f"{one.mrid} speaks {one.protocol}, whose driver cannot do that ({wish.kind})"
    critical = control_rules.is_critical(one.sector, one.marked, rules)
    if group is not None and wish.kind == "disconnect" and critical:
        return f"never disconnected with a group: {critical}"
    return None


def _extent(
    connection: Connection, wish: Wish, reached: Sequence[_Target], parameters: Mapping[str, Any],
    now: datetime, *, group: str | None, rules: Rules,
) -> Extent:  # fmt: skip
    lately = {"since": now - _A_DAY, "except": [one.id for one in reached]}
    [[others]] = connection.execute(_SQL["disconnected_lately"], lately).fetchall()
    critical = any(control_rules.is_critical(one.sector, one.marked, rules) for one in reached)
    return Extent(len(reached), group is not None, others, critical, "activate_at" in parameters)


def _add(
    connection: Connection, span: Mapping[str, Any], rows: Sequence[tuple[int, str | None]]
) -> tuple[int, ...]:
    columns = {"end_devices": [row[0] for row in rows], "refusals": [row[1] for row in rows]}
    made = connection.execute(_SQL["add_controls"], {**span, **columns}).fetchall()
    return tuple(row[0] for row in made)


def _some(left: Mapping[str, str]) -> str:
    return next(iter(left.values()), "it is empty, or none is installed now")
