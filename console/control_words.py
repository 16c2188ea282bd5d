"""What came of a control, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from console import show, toml_text
from drivers import kept
from headend.control_kinds import KINDS
from headend.controls import Control
from headend.engineering import Engineering

_SHORT: Final = 40
_POSITIONS: Final = {
    "connected": "connected",
    "disconnected": "disconnected",
    "ready_for_reconnection": "ready for the customer's button",
}


def outcome(found: Control) -> list[str]:
    """Say in a few lines how a control stands, and what it gave."""
    head = f"{found.mrid}: {KINDS[found.kind].text}: {found.state} (control {found.id})"
    lines = [head + (f"; {found.message}" if found.message and found.state == "done" else "")]
    if isinstance(found.result, Mapping):
        lines += _WORDS.get(found.kind, _nothing)(found.result)
    return lines


def trouble(found: Control) -> str:
    """Say why a control is not done, and what to do."""
    why = found.message or "nothing was said"
    if found.state == "unknown":
        return (
            f"{found.mrid}: it was sent and the answer was lost ({why}). The next conversation with"
            f" the meter finds out: miqyas control run {found.id}, or a worker does it"
        )
    if found.state in ("requested", "approved"):
        return f"{found.mrid}: not done yet ({why}); the workers go on with it"
    return f"{found.mrid}: {found.state}: {why}"


def engineering(known: Engineering) -> list[str]:
    """Say where the switch stands, how firmware is, and what the meter offers."""
    lines = []
    if known.switch:
        doubt = "; a command has been sent since, and its answer was lost"
        said = switch(kept.dumped(known.switch.state)) + (doubt if known.switch.in_doubt else "")
        lines.append(f"Supply switch: {said} (read {known.switch.read_at:%Y-%m-%d %H:%M} UTC).")
    if known.image:
        image = known.image
        status = (image.status or image.state).replace("_", " ")
        lines.append(
            f"Firmware image {image.identifier}: {status},"
            f" {image.blocks_taken:,} of {image.blocks:,} blocks."
        )
    if known.profile:
        offers = known.profile.offers
        stored = ", ".join(
            f"{one.name} every {one.period_seconds} s" if one.period_seconds else one.name
            for one in offers.profiles
        )
        lines.append(
            f"It offers {len(offers.channels)} channels in {stored or 'registers only'}"
            f" (read {known.profile.confirmed_at:%Y-%m-%d %H:%M} UTC)."
        )
    return lines


def listing(title: str, found: Sequence[Control]) -> None:
    """Show controls as a table."""
    rows = [
        (one.id, one.mrid, one.kind.replace("_", " "),
         "waits for approval" if one.waits_for_approval else one.state, one.requested_by,
         f"{one.changed_at:%Y-%m-%d %H:%M}",
         short(one.result) if one.state == "done" else _clipped(one.message or ""))
        for one in found
    ]  # fmt: skip
    columns = ["no. #", "meter", "what", "state", "asked by", "since, UTC", ""]
    show.table(title, columns, rows)


def _clipped(message: str) -> str:
    """Cut a message to what a line bears; `miqyas control show` has the whole."""
    return message if len(message) <= _SHORT else message[: _SHORT - 1] + "…"


def short(result: Any) -> str:
    """Say in a few words what a control gave, for a line of a table."""
    if not isinstance(result, Mapping):
        return ""
    if "switch" in result:
        return switch(result["switch"])
    if "off_seconds" in result:
        return f"off by {result['off_seconds']:+g} s"
    if "in_force" in result:
        return ", ".join(f"{kind}: {state}" for kind, state in result["in_force"].items())
    if "channels" in result:
        return f"{len(result['channels'])} channels"
    return ""


def switch(state: Mapping[str, Any]) -> str:
    """Say where a supply switch stands."""
    position = _POSITIONS.get(str(state["position"]), str(state["position"]))
    return f"{position}, {'supplied' if state['supplied'] else 'no supply'}"


def _switch(result: Mapping[str, Any]) -> list[str]:
    state = result["switch"]
    return [f"The supply switch is {switch(state)} (control mode {state['control_mode']})."]


def _clock(result: Mapping[str, Any]) -> list[str]:
    was = result.get("was_off_seconds")
    before = "" if was is None else f"; it was off by {was:+g} s"
    return [f"The meter's clock is off by {result['off_seconds']:+g} s{before}."]


def _channels(result: Mapping[str, Any]) -> list[str]:
    lines = [
        f"  {one['reading_type']}"
        + (f", every {one['interval_seconds']} s" if one["interval_seconds"] else "")
        + (f" ({one['profile']})" if one["profile"] else ", present value")
        for one in result["channels"]
    ]
    return [f"The meter has {result['objects']} objects, and of these channels:", *lines]


def _registers(result: Mapping[str, Any]) -> list[str]:
    found = [
        f"  {one['read_at']}  {one['reading_type']}  {one['value']:,}"
        for one in result["registers"]
    ]
    return found or ["The meter has none of that time."]


def _keys(result: Mapping[str, Any]) -> list[str]:
    return [f"{kind} key: {state}" for kind, state in result["in_force"].items()]


def _image(result: Mapping[str, Any]) -> list[str]:
    state = result["image"]
    status = str(state["status"]).replace("_", " ")
    return [f"The image: {status}, {state['blocks_taken']:,} of {state['blocks']:,} blocks."]


def _toml(result: Mapping[str, Any]) -> list[str]:
    return toml_text.written(result).splitlines()


def _calendar(result: Mapping[str, Any]) -> list[str]:
    waiting = result["passive"]["name"]
    at = result["activate_at"]
    when = f"comes into force at {at}" if at else "has no time of activation"
    return [*_toml(result["active"]), "", f"# The calendar that waits, {waiting!r}, {when}."]


def _nothing(_: Mapping[str, Any]) -> list[str]:
    return []


_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[str]]]] = {
    **dict.fromkeys(("read_clock", "set_clock", "adjust_clock"), _clock),
    **dict.fromkeys(("read_switch", "connect", "disconnect", "arm"), _switch),
    "read_channels": _channels,
    "read_billing_registers": _registers,
    "change_keys": _keys,
    "update_firmware": _image,
    **dict.fromkeys(("read_activity_calendar", "write_activity_calendar"), _calendar),
    **dict.fromkeys(
        ("read_special_days", "write_special_days", "read_push_setup", "write_push_setup"), _toml
    ),
}
