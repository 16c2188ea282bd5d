"""Lands a batch of pushes even if one of them breaks a rule of the store."""

from __future__ import annotations

from datetime import datetime

import psycopg
import structlog

from headend import pushes
from headend.push_opening import Push
from headend.pushes import Batch, Desk, Heard
from headend.vault import Vault
from schemas.database import Connection

_log = structlog.get_logger(__name__)
# A single push that breaks a rule of the store: a defect of ours, and not the others' fault.
_UNFIT = (KeyError, ValueError, psycopg.DataError, psycopg.IntegrityError)


def landed(connection: Connection, batch: Batch, vault: Vault, now: datetime) -> Heard:
    """Land a batch as ``pushes.landed`` does; if that cannot be, its pushes one by one.

    A push that cannot be landed alone either goes to the quarantine.
    """
    try:
        with connection.transaction():
            return pushes.landed(connection, batch, now=now)
    except _UNFIT:
        _log.exception("push.unfit", pushes=len(batch.pushes))
    desk, whole = Desk(vault), Heard([])
    for one in batch.pushes:
        whole.add(_alone(connection, one, desk, now))
    return whole


def _alone(connection: Connection, one: Push, desk: Desk, now: datetime) -> Heard:
    try:
        with connection.transaction():
            return pushes.land(connection, [one.received], desk, now=now)
    except _UNFIT as error:
        one.refusal = None
        one.refuse("defect", f"it cannot be landed: {type(error).__name__}: {error}"[:500])
        heard = Heard([one])
        pushes.set_aside(connection, heard)
        return heard
