"""What carrying out a control works with: the meter's session, the ledger, the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from drivers.driver import Endpoint, Session
from headend.control_ledger import Claim, Due, Ledger
from headend.exchange import Clock, Result
from headend.vault import Vault
from schemas.database import Connection

T = TypeVar("T")
Tell = Callable[[str], None]


class SessionSpent(Exception):
    """The session is of no more use; what is left to do needs a new one."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a process has for controls.

    Attributes
    ----------
    vault : opens the key store; raises VaultError
    slice : a long transfer gives the line back after this, so that readings get their turn
    """

    ledger: Ledger
    vault: Callable[[], Vault] = field(repr=False)
    slice: timedelta = timedelta(minutes=15)


@dataclass(slots=True)
class Work:
    """One attempt at one control, in an open session.

    ``tell`` says how far it is; ``result`` is the conversation's.
    """

    due: Due
    claim: Claim
    session: Session
    endpoint: Endpoint
    result: Result
    clock: Clock
    means: Means
    tell: Tell

    async def sent(self) -> None:
        """Note durably that from now on the meter may have done it."""
        await asyncio.to_thread(self.means.ledger.sent, self.due.id, now=self.clock())

    async def stored(self, action: Callable[[Connection, datetime], T]) -> T:
        """Do something in the database, committed when this returns."""
        now = self.clock()
        return await asyncio.to_thread(
            self.means.ledger.do, lambda connection: action(connection, now)
        )
