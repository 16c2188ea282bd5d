"""Carries out one control in an open session, and writes down at once what became of it.

A control that broke off is taken up by the same path as one whose process died: what may be done
twice is done again, and of what may not, the meter's state is read first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import psycopg

from drivers import errors
from drivers.driver import Endpoint, Session
from headend import control_actions, retry
from headend.control_kinds import KINDS, RESUMED
from headend.control_ledger import Due, Verdict
from headend.control_work import Means, SessionSpent, Tell, Work
from headend.exchange import Clock, Result
from headend.vault import VaultError

# These end an attempt and not the control: the next attempt may find the meter well.
_PASSING = (errors.LinkError, errors.RemoteProtocolError, errors.CounterOutOfSync)
_ALWAYS = 10**6
# Where the class of error asks to hold and the control may still be done.
_PAUSE = timedelta(minutes=15)


async def carry_out(
    due: Due,
    session: Session,
    *,
    endpoint: Endpoint,
    result: Result,
    clock: Clock,
    means: Means,
    tell: Tell,
) -> None:
    """Carry out a control, if it still waits for that; write down what became of it.

    Raises
    ------
    drivers.errors.DriverError
        if the session is of no more use.
    SessionSpent
        the same, where nothing is wrong.
    """
    claim = await asyncio.to_thread(means.ledger.claim, due.id, now=clock())
    if claim is None:
        return
    result.controls.append(due.id)
    work = Work(due, claim, session, endpoint, result, clock, means, tell)
    try:
        verdict = await control_actions.ACTIONS[due.kind](work)
    except asyncio.CancelledError:
        # Whoever stops this process must not wait for the meter, and the next finds it as it was.
        _settle(work, Verdict("waiting", message="broken off", next_attempt=clock()))
        raise
    except SessionSpent as spent:
        await asyncio.to_thread(_settle, work, spent.args[0])
        raise
    except (errors.DriverError, VaultError, ValueError) as error:
        await asyncio.to_thread(_settle, work, failed(due, error, claim.attempts, clock()))
        if isinstance(error, _PASSING):
            raise
    except psycopg.OperationalError:
        raise
    except Exception as error:
        await asyncio.to_thread(_settle, work, failed(due, error, claim.attempts, clock()))
        raise
    else:
        await asyncio.to_thread(_settle, work, verdict)


def failed(due: Due, error: BaseException, attempts: int, now: datetime) -> Verdict:
    """Tell what an error means for a control: whether it waits for another attempt, and until when.

    What was sent and not answered is ``unknown`` while it waits (``control_ledger.settle``).
    """
    name, message = type(error).__name__, str(error)
    if not isinstance(error, _PASSING):
        return Verdict("failed", error=name, message=message)
    decision = retry.decide(
        type(error), attempt=_ALWAYS, failures=attempts - 1, now=now,
        end_device_id=due.end_device_id,
    )  # fmt: skip
    at = decision.at or now + _PAUSE
    return Verdict("waiting", error=name, message=message, next_attempt=at)


def conclude(means: Means, result: Result, *, on_demand: bool, now: datetime) -> None:
    """Write down what a conversation means for the controls that it did not come to.

    Where somebody waited for them (``on_demand``), what can be asked again has failed: nothing is
    left behind that would switch a supply tomorrow.
    """
    error = result.error
    if error is None or not result.failing:
        return
    decision = retry.decide(
        type(error), attempt=_ALWAYS, failures=result.request.device.failures, now=now,
        end_device_id=result.request.device.id,
    )  # fmt: skip
    verdict = Verdict(
        "waiting", error=type(error).__name__, message=str(error), next_attempt=decision.at or now
    )
    for give_up in (True, False):
        ids = [
            one.id
            for one in _left(result, on_demand=on_demand)
            if give_up == (on_demand and KINDS[one.kind].effect not in RESUMED)
        ]
        if ids:
            means.ledger.put_off(ids, verdict, now=now, give_up=give_up)


def _left(result: Result, *, on_demand: bool) -> Iterable[Due]:
    """List what was not begun; where somebody waits, also what was begun and waits again."""
    return (one for one in result.request.controls if on_demand or one.id not in result.controls)


def _settle(work: Work, verdict: Verdict) -> None:
    work.means.ledger.settle(work.due.id, verdict, now=work.clock())
