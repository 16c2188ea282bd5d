"""Disconnect control, class 70: the supply switch.

References
----------
IEC 62056-6-2:2021, 4.5.8 (Disconnect control), with its table of control modes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from drivers.control import SwitchCommand, SwitchPosition, SwitchState
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks
from drivers.dlms.steps import Step
from drivers.errors import NotOffered, RemoteProtocolError

_OUTPUT, _CONTROL_STATE, _CONTROL_MODE = 2, 3, 4
_METHODS: Final[dict[SwitchCommand, int]] = {"disconnect": 1, "connect": 2, "arm": 2}
_POSITIONS: Final[dict[int, SwitchPosition]] = {
    0: "disconnected",
    1: "connected",
    2: "ready_for_reconnection",
}
_INTEGER: Final = 15


def read(association: Association, switch: Attribute) -> Step[SwitchState]:
    """Read where the switch stands.

    Raises
    ------
    RemoteProtocolError
        if its state is none that the standard knows.
    """
    output, state, mode = yield from checks.read(
        association, switch, (_OUTPUT, _CONTROL_STATE, _CONTROL_MODE)
    )
    if state not in _POSITIONS or not isinstance(mode, int):
        raise RemoteProtocolError(f"a switch in control state {state!r} and mode {mode!r} is none")
    return SwitchState(_POSITIONS[state], bool(output), mode)


def run(association: Association, switch: Attribute, command: SwitchCommand) -> Step[SwitchState]:
    """Switch, unless the switch stands there already, and read back where it stands.

    Raises
    ------
    NotOffered
        if its control mode does not follow the command; nothing was switched then. The same method
        arms a switch in one mode and connects the supply in another, so the mode is asked first.
    """
    state = yield from read(association, switch)
    if state.obeys(command):
        return state
    if command not in state.remote_commands:
        follows = ", ".join(sorted(state.remote_commands)) or "no command"
        raise NotOffered(
            f"the switch is in control mode {state.control_mode}, which follows {follows} from "
            f"afar, and not {command}; change the mode, or send what it follows"
        )
    method = replace(switch, index=_METHODS[command])
    yield from association.action(method, axdr.encode_number(_INTEGER, 0))
    return (yield from read(association, switch))
