"""Whether, and when, a meter that failed is tried again: the class of the error alone decides.

=========  =================================================================================
``now``    within the same session: the line broke, and may be back in a second
``later``  after a pause that doubles with each failure in a row
``hold``   not before somebody acts: asking again would not help, and may lock the meter
=========  =================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from drivers import errors

Kind = Literal["now", "later", "hold"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What one class of error asks for.

    ``immediate`` is how often it may be tried again within the session; ``first`` and ``longest``
    bound the pause after that; ``first`` None means hold.
    """

    immediate: int
    first: timedelta | None
    longest: timedelta = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do; ``at`` is set for ``later``."""

    kind: Kind
    at: datetime | None = None


# The nearest class in the error's ancestry counts.
POLICIES: dict[type[errors.DriverError], Policy] = {
    errors.Unreachable: Policy(0, timedelta(minutes=5)),
    errors.Refused: Policy(0, timedelta(minutes=5)),
    errors.TimedOut: Policy(1, timedelta(minutes=5)),
    errors.Broken: Policy(3, timedelta(minutes=2)),
    errors.LinkError: Policy(1, timedelta(minutes=5)),
    errors.RemoteProtocolError: Policy(1, timedelta(minutes=15)),
    errors.LocalProtocolError: Policy(0, timedelta(hours=6), timedelta(days=1)),
    errors.ProtocolError: Policy(0, timedelta(minutes=15)),
    errors.WrongKey: Policy(0, None),
    # What a bus mixes up once it may have right a moment later; nothing wrong was taken.
    errors.WrongUnit: Policy(1, timedelta(minutes=5)),
    errors.Faulty: Policy(0, timedelta(hours=1)),
    errors.CounterOutOfSync: Policy(0, None),
    errors.AccessDenied: Policy(0, None),
    errors.NotOffered: Policy(0, timedelta(hours=6), timedelta(days=1)),
    errors.MeterRefused: Policy(0, None),
    errors.WrongMeter: Policy(0, None),
    errors.DriverError: Policy(0, timedelta(minutes=15)),
}
_NAMES = {kind.__name__: kind for kind in POLICIES}


def policy(error: type[errors.DriverError] | str) -> Policy:
    """Find the policy for a class of error, or for its name as the database keeps it."""
    kind = _NAMES.get(error, errors.DriverError) if isinstance(error, str) else error
    return next(POLICIES[ancestor] for ancestor in kind.__mro__ if ancestor in POLICIES)


def decide(
    error: type[errors.DriverError] | str,
    *,
    attempt: int,
    failures: int,
    now: datetime,
    progressed: bool = False,
    end_device_id: int = 0,
) -> Decision:
    """Decide what to do after a failed attempt.

    Parameters
    ----------
    attempt : how often it has been tried in this session, this one included
    failures : sessions that failed in a row before this one
    now : time of the failure
    progressed : True if this session has read something: the line is not dead. A meter that failed
        before and gives nothing now gets one try, so that the dead cost little
    end_device_id : spreads the pauses of many meters that failed together over a fifth more
    """
    rule = policy(error)
    if attempt <= rule.immediate and (progressed or not failures):
        return Decision("now")
    if rule.first is None:
        return Decision("hold")
    pause = min(rule.first * 2 ** min(failures, 20), rule.longest)
    spread = 1 + (end_device_id * 2_654_435_761 % 1024) / 5120
    return Decision("later", now + pause * spread)
