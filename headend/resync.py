"""Brings our invocation counter up to the one that a meter last accepted.

A meter refuses a counter that is not above the last one it saw, as after another head-end read it,
or a database was restored. Meters show that counter to a client without security.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import structlog

from drivers import errors
from drivers.dlms import security_settings
from drivers.driver import Driver, Endpoint
from headend.counters import Run

_log = structlog.get_logger(__name__)
# The public client of the DLMS UA's Blue Book.
_PUBLIC_CLIENT = 16
# A counter above this leaves no room: following it would wear out the key.
_HIGHEST = 2**32 - 2**28


# The public client is asked without ciphering; the serial number was checked before.
_NOT_PUBLIC = security_settings.ADDRESS | {"serial"}


@runtime_checkable
class ShowsCounter(Protocol):
    """A session that can tell which counter the meter last accepted."""

    async def read_invocation_counter(self) -> int:
        """Read the counter that the meter last accepted."""


async def resync(driver: Driver, endpoint: Endpoint, run: Run) -> bool:
    """Ask a meter for its counter without security, and go on above it; tell whether that is done.

    The answer is not authenticated. All that a false one could do is to spend counter values, and
    one that would spend too many is not followed.
    """
    address = {key: value for key, value in endpoint.address.items() if key not in _NOT_PUBLIC}
    public = replace(
        endpoint, security="none", secrets={}, address={**address, "client": _PUBLIC_CLIENT}
    )
    try:
        async with driver.session(public) as session:
            if not isinstance(session, ShowsCounter):
                return False
            seen = await session.read_invocation_counter()
    except errors.DriverError as error:
        _log.info("counter.resync.failed", end_device=endpoint.end_device, reason=str(error))
        return False
    # A meter that has seen less than what it refused has another reason.
    if not run.taken <= seen < _HIGHEST:
        return False
    run.skip_to(seen + 1)
    _log.info("counter.resynced", end_device=endpoint.end_device)
    return True
