"""When a control needs a second person, and whom no group may disconnect. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from headend.control_kinds import ControlError
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings ask for.

    Attributes
    ----------
    disconnects_a_day : meters that may be disconnected within 24 hours without a second person
    group_disconnect, key_change, firmware : True if these always need one
    critical_sectors : sectors of usage points that no group disconnects
    """

    disconnects_a_day: int = 10
    group_disconnect: bool = True
    key_change: bool = True
    firmware: bool = True
    critical_sectors: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Take the rules from the settings."""
        sectors = (one.strip() for one in settings.critical_sectors.split(","))
        return cls(
            settings.disconnects_a_day,
            settings.approve_group_disconnect,
            settings.approve_key_change,
            settings.approve_firmware,
            frozenset(filter(None, sectors)),
        )


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a request reaches.

    Attributes
    ----------
    meters : that it concerns
    group : True if they were named as a group
    disconnected : other meters that somebody asked to disconnect within the last 24 hours
    critical : True if one of the meters is at a critical usage point
    activates : True if new firmware begins to run
    """

    meters: int
    group: bool = False
    disconnected: int = 0
    critical: bool = False
    activates: bool = False


def needs_approval(kind: str, extent: Extent, rules: Rules) -> str | None:
    """Say why a second person must approve a control; None if nobody needs to."""
    if kind == "disconnect":
        return _disconnect(extent, rules)
    if kind == "change_keys" and rules.key_change:
        return "keys are changed"
    if kind == "update_firmware" and extent.activates and rules.firmware:
        return "new firmware begins to run"
    return None


def is_critical(sector: str | None, marked: str | None, rules: Rules) -> str | None:
    """Say why a usage point is critical; None if it is not.

    Parameters
    ----------
    sector : of the usage point; None where the meter is installed nowhere
    marked : the reason for which somebody marked the usage point as critical
    """
    if marked is not None:
        return f"critical usage point: {marked}"
    return f"critical sector: {sector}" if sector in rules.critical_sectors else None


def check_second(requested_by: str, approved_by: str) -> None:
    """Refuse an approval by the person who asked.

    Raises
    ------
    ControlError
    """
    if requested_by.strip().casefold() == approved_by.strip().casefold():
        raise ControlError(
            f"{approved_by} asked for it; a second person must approve: --by with another name"
        )


def _disconnect(extent: Extent, rules: Rules) -> str | None:
    if extent.group and rules.group_disconnect:
        return "a group is disconnected"
    if extent.critical:
        return "a critical usage point is disconnected"
    total = extent.disconnected + extent.meters
    if total > rules.disconnects_a_day:
        return (
            f"{total} meters would be disconnected within 24 hours;"
            f" {rules.disconnects_a_day} may be without a second person"
        )
    return None
