"""What can be asked of a meter beside its readings: the table of controls, each with what it needs.

Pure. A control's parameters are checked here once, before anything is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from drivers import activity_calendar, kept
from drivers.activity_calendar import ActivityCalendar, SpecialDay
from drivers.control import PushSetup
from drivers.driver import Feature

Effect = Literal["reads", "writes", "switches", "keys", "firmware"]


class ControlError(ValueError):
    """A control that cannot be; the message says what, where and what to do."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named parameter; ``check`` gives it as it is kept, or raises ValueError."""

    check: Callable[[Any], Any]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of control.

    Attributes
    ----------
    feature : what the meter's driver must offer
    effect : ``reads`` changes nothing, ``writes`` may be done twice with the same result; what
        ``switches`` is sent again only after the state was read back; ``keys`` and ``firmware``
        go on where they were
    text : what it does, in words that follow the meter's name
    lasts : how long one waits for its meter unless the request says otherwise
    """

    name: str
    feature: Feature
    effect: Effect
    text: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    lasts: timedelta = timedelta(days=1)


def _key_kinds(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise ValueError("name the kinds of key, such as encryption and authentication")
    return sorted(set(value))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("must be a whole number from 1 on")
    return value


def special_days(value: Sequence[Any]) -> tuple[SpecialDay, ...]:
    """Make special days of what is kept of them.

    Raises
    ------
    ValueError
    """
    return activity_calendar.checked_days(kept.loaded(SpecialDay, one) for one in value)


def _calendar(value: Any) -> dict[str, Any]:
    return kept.dumped(activity_calendar.checked(kept.loaded(ActivityCalendar, value)))


def _special_days(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("must be a list of days")  # noqa: TRY004  the file's fault
    return [kept.dumped(day) for day in special_days(value)]


def _push_setup(value: Any) -> dict[str, Any]:
    return kept.dumped(kept.loaded(PushSetup, value))


def _channel(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 255:
        raise ValueError("must be a number from 0 to 255")
    return value


def _moment(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("must be a time such as 2026-07-01T02:00+03:00") from None
    if moment.tzinfo is None:
        raise ValueError("must have an offset, such as 2026-07-01T02:00+03:00")
    return moment.isoformat()


def _moment_or_verified(value: Any) -> str:
    return "verified" if value == "verified" else _moment(value)


_TABLE: Final = (
    Kind("read_clock", "clock", "reads", "clock is read"),
    Kind("set_clock", "set_clock", "writes", "clock is set"),
    Kind("adjust_clock", "set_clock", "writes", "clock is shifted by what it is off",
         {"limit_seconds": Parameter(_number, required=False)}),
    Kind("read_switch", "switch", "reads", "supply switch's state is read"),
    Kind("connect", "switch", "switches", "supply is switched on"),
    Kind("disconnect", "switch", "switches", "supply is switched off"),
    Kind("arm", "switch", "switches", "supply switch is made ready for the customer's button"),
    Kind("read_channels", "channels", "reads", "list of channels is read"),
    Kind("read_billing_registers", "billing_registers", "reads",
         "registers of past billing periods are read",
         {"since": Parameter(_moment), "until": Parameter(_moment)}),
    Kind("read_activity_calendar", "activity_calendar", "reads", "activity calendar is read"),
    Kind("write_activity_calendar", "activity_calendar", "writes", "activity calendar is written",
         {"calendar": Parameter(_calendar),
          "activate_at": Parameter(_moment, required=False)}),
    Kind("read_special_days", "special_days", "reads", "special days are read"),
    Kind("write_special_days", "special_days", "writes", "special days are written",
         {"days": Parameter(_special_days)}),
    Kind("read_push_setup", "push_setup", "reads", "push set-up is read",
         {"channel": Parameter(_channel, required=False)}),
    Kind("write_push_setup", "push_setup", "writes", "push set-up is written",
         {"setup": Parameter(_push_setup)}),
    Kind("change_keys", "keys", "keys", "keys are changed",
         {"kinds": Parameter(_key_kinds)}, timedelta(days=7)),
    Kind("update_firmware", "image", "firmware", "firmware image is transferred",
         {"image": Parameter(_number),
          "activate_at": Parameter(_moment_or_verified, required=False)},
         timedelta(days=14)),
)  # fmt: skip
KINDS: Final[Mapping[str, Kind]] = {kind.name: kind for kind in _TABLE}

RESUMED: Final[tuple[Effect, ...]] = ("keys", "firmware")
"""Effects of controls that go on later by themselves, even where somebody waited for them."""

SWITCHES: Final = [kind.name for kind in _TABLE if kind.effect == "switches"]
"""Kinds that switch a supply."""


def checked(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Check a control's kind and parameters; give the parameters as they are kept.

    Raises
    ------
    ControlError
    """
    kind = KINDS.get(name)
    if kind is None:
        raise ControlError(f"there is no control {name!r}; choose from {', '.join(KINDS)}")
    unknown = sorted(set(parameters) - set(kind.parameters))
    if unknown:
        raise ControlError(f"{name} has no parameter {unknown[0]!r}")
    kept = {}
    for key, parameter in kind.parameters.items():
        if parameters.get(key) is None:
            if parameter.required:
                raise ControlError(f"{name} needs the parameter {key!r}")
            continue
        try:
            kept[key] = parameter.check(parameters[key])
        except ValueError as error:
            raise ControlError(f"{name}, {key}: {error}") from error
    return kept
