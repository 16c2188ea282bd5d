"""Changes a meter's keys so that at every moment one of two kept sets is the meter's.

The new keys are in the key store, sealed, before they are sent. They take the old ones' place when
the meter has shown that it has them, here or in any later conversation (``conversation``).
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from drivers.control import KeyChange
from drivers.errors import DriverError, LinkError, LocalProtocolError, MeterRefused
from headend import pending_keys
from headend.control_ledger import Verdict
from headend.control_work import SessionSpent, Work
from headend.vault import Vault
from schemas.database import Connection

_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Alternative:
    """Secrets that a meter may have by now; ``kinds`` are those that are new."""

    kinds: tuple[str, ...]
    secrets: Mapping[str, bytes] = field(repr=False)


def alternatives(
    current: Mapping[str, bytes], pending: Mapping[str, bytes]
) -> tuple[Alternative, ...]:
    """List what the meter's keys may be while new ones are on their way, the likeliest first."""
    kinds = sorted(pending)
    return tuple(
        Alternative(some, {**current, **{kind: pending[kind] for kind in some}})
        for size in range(len(kinds), 0, -1)
        for some in itertools.combinations(kinds, size)
    )


async def change_keys(work: Work) -> Verdict:
    """Give the meter new keys, or find out what became of an earlier attempt.

    Raises
    ------
    SessionSpent
        with the verdict: after a change of keys a session is of no use.
    """
    vault = work.means.vault()
    kinds: list[str] = work.due.parameters["kinds"]
    new = await work.stored(lambda c, now: _new_keys(c, work, kinds, vault, now))
    if not new:
        proved = "the answer was lost; the meter proved that it has the new keys"
        return Verdict("done", {"in_force": dict.fromkeys(kinds, "new")}, message=proved)
    if not work.claim.may_send:
        # This session was opened with the old keys: the meter has them still.
        over = "the meter kept its old keys; its time is over, and the new ones are not sent again"
        return Verdict("failed", {"in_force": dict.fromkeys(new, "old")}, message=over)
    await work.sent()
    try:
        change = await work.session.change_keys(new)
    except (MeterRefused, LocalProtocolError) as error:
        if work.claim.sent_at is None:
            # It said no to the only time that they were sent, or they were not: nobody has them.
            await work.stored(lambda c, _: pending_keys.drop(c, work.due.end_device_id, new))
        raise SessionSpent(_refused(error)) from error
    await work.stored(lambda c, now: _keep(c, work, change, now))
    raise SessionSpent(_verdict(change))


def _new_keys(
    connection: Connection, work: Work, kinds: Sequence[str], vault: Vault, now: datetime
) -> dict[str, bytes]:
    """Give the keys to be sent, kept before that; none if an earlier attempt brought them in."""
    number, mrid = work.due.end_device_id, work.due.mrid
    waiting = pending_keys.opened(connection, number, mrid, vault=vault)
    if work.claim.sent_at is not None:
        return {kind: waiting[kind] for kind in kinds if kind in waiting}
    made = {
        kind: secrets.token_bytes(len(work.endpoint.secrets.get(kind, bytes(_KEY_BYTES))))
        for kind in kinds
        if kind not in waiting
    }
    pending_keys.put(connection, number, mrid, made, vault=vault, now=now)
    return {kind: {**waiting, **made}[kind] for kind in kinds}


def _keep(connection: Connection, work: Work, change: KeyChange, now: datetime) -> None:
    number = work.due.end_device_id
    proved = [kind for kind, state in change.in_force.items() if state == "new"]
    pending_keys.promote(connection, number, proved, now=now)
    refuted = [kind for kind, state in change.in_force.items() if state == "old"]
    if change.answered:
        pending_keys.drop(connection, number, refuted)


def _verdict(change: KeyChange) -> Verdict:
    told = {"in_force": dict(change.in_force)}
    if change.done:
        return Verdict("done", told)
    if "unknown" in change.in_force.values() or not change.answered:
        lost = "the answer was lost; old and new keys are kept until the meter shows which it has"
        return Verdict("waiting", told, error=LinkError.__name__, message=lost)
    return Verdict("failed", told, message="the meter kept its old keys")


def _refused(error: DriverError) -> Verdict:
    return Verdict("failed", error=type(error).__name__, message=str(error))
