"""Change of a meter's keys, and finding out which of them are in force when an answer was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from drivers import errors
from drivers.control import KeyChange, KeyState
from drivers.dlms.connection import Connection, connection
from drivers.dlms.objects import security_setup
from drivers.dlms.objects.security_setup import KEY_IDS
from drivers.dlms.settings import Settings
from drivers.driver import Endpoint

_SIZES: Final = (16, 32)
_ATTEMPTS: Final = 3
_PAUSE: Final = 0.5
# Keys that an association shows to be right or wrong.
_SHOWN: Final = frozenset({"encryption", "authentication"})


async def change(link: Connection, endpoint: Endpoint, new: Mapping[str, bytes]) -> KeyChange:
    """Give a meter new keys and find out which are in force.

    All keys go in one request, which a meter takes as a whole.

    Parameters
    ----------
    link : an association with the meter; given up afterwards
    endpoint : with the old keys, the master key among them

    Raises
    ------
    LocalProtocolError
        if a name or size is wrong, or the master key is missing; nothing was sent.
    MeterRefused
        if the meter refuses.
    """
    master = _checked(endpoint, new)
    setup = Settings.of(endpoint).companion.object("security_setup")
    try:
        await link.run(security_setup.transfer(link.association, setup, new, master))
        answered = True
    except (errors.LinkError, errors.ProtocolError, errors.WrongKey):
        # Lost, or protected under the new key already: only trying tells.
        answered = False
    # Most meters take one client at a time.
    await link.end()
    state = await _state(endpoint, new, answered=answered)
    return KeyChange(dict.fromkeys(sorted(new), state), answered)


async def in_force(endpoint: Endpoint, candidates: Sequence[Mapping[str, bytes]]) -> int | None:
    """Tell which of several sets of secrets a meter takes: its place, None if it takes none.

    Raises
    ------
    drivers.errors.DriverError
        if that cannot be told, since the line failed.
    """
    failed: errors.LinkError | None = None
    for place, known in enumerate(candidates):
        one = replace(endpoint, secrets={**endpoint.secrets, **known})
        try:
            async with connection(one, Settings.of(one)):
                return place
        except errors.WrongKey:
            continue
        except errors.LinkError as error:
            # Some meters hang up on a wrong key: another set may still be taken.
            failed = error
    if failed is not None:
        raise failed
    return None


async def _state(endpoint: Endpoint, new: Mapping[str, bytes], *, answered: bool) -> KeyState:
    """Find out whether the new keys are in force: all of them are, or none is."""
    shown = bool(_SHOWN & new.keys()) and endpoint.security not in ("none", "lls")
    if answered and not shown:
        return "new"
    for attempt in range(_ATTEMPTS):
        # A meter may need a moment to see that the last client has gone.
        await asyncio.sleep(_PAUSE if attempt else 0)
        try:
            if not shown:
                return await _by_repetition(endpoint, new)
            found = await in_force(endpoint, (new, {}))
            return "unknown" if found is None else ("new", "old")[found]
        except errors.LinkError:
            continue
        except errors.DriverError:
            break
    return "new" if answered else "unknown"


async def _by_repetition(endpoint: Endpoint, new: Mapping[str, bytes]) -> KeyState:
    """Give the keys once more, wrapped under the master key that is in force if the meter has them.

    That changes nothing if it has them. A new master key is refused otherwise, and any other taken.
    """
    settings = Settings.of(endpoint)
    setup = settings.companion.object("security_setup")
    master = new.get("master", endpoint.secrets["master"])
    async with connection(endpoint, settings) as link:
        try:
            await link.run(security_setup.transfer(link.association, setup, new, master))
        except errors.MeterRefused:
            return "old"
    return "new"


def _checked(endpoint: Endpoint, new: Mapping[str, bytes]) -> bytes:
    """Look at every name and size; give the master key."""
    unknown = sorted(new.keys() - KEY_IDS.keys())
    if unknown or not new:
        known = ", ".join(KEY_IDS)
        raise _defect(
            endpoint, f"keys to change are of {known}, not {', '.join(unknown) or 'none'}"
        )
    for name, key in new.items():
        size = len(endpoint.secrets.get(name, key))
        if len(key) not in _SIZES or len(key) != size:
            raise _defect(endpoint, f"the new {name} key has {len(key)} bytes, not {size}")
        if endpoint.secrets.get(name) == key:
            raise _defect(endpoint, f"the new {name} key is the old one")
    if "master" not in endpoint.secrets:
        raise _defect(
            endpoint, "a change of keys needs the secret 'master': import the meter's keys"
        )
    return endpoint.secrets["master"]


def _defect(endpoint: Endpoint, what: str) -> errors.LocalProtocolError:
    return errors.LocalProtocolError(f"{endpoint.end_device}: {what}; nothing was sent")
