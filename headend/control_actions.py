"""What each kind of control does with a meter: the table, and an action for each row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from drivers import kept
from drivers.activity_calendar import ActivityCalendar
from drivers.control import LONGEST_SHIFT, PushSetup, SwitchCommand, SwitchState
from drivers.driver import ClockReading
from headend import control_firmware, control_keys, control_kinds, meter_profiles
from headend.control_ledger import Verdict
from headend.control_work import Work
from schemas.period import Period

Action = Callable[[Work], Awaitable[Verdict]]
# Where the meter's clock says otherwise, it is by the time that an answer takes.
_AS_GOOD_AS_SET = timedelta(seconds=1)


async def _read_clock(work: Work) -> Verdict:
    reading = await work.session.read_clock(now=work.clock())
    work.result.clock = reading
    return Verdict("done", {"off_seconds": _seconds(reading), "meter": _iso(reading.meter)})


async def _set_clock(work: Work) -> Verdict:
    before = await work.session.read_clock(now=work.clock())
    return await _put_right(work, before, "set")


async def _adjust_clock(work: Work) -> Verdict:
    """Shift the clock by what it is off now: done again after a crash, it shifts the rest."""
    before = await work.session.read_clock(now=work.clock())
    off = abs(before.deviation)
    limit = timedelta(seconds=work.due.parameters.get("limit_seconds", 0))
    if off <= max(limit, _AS_GOOD_AS_SET):
        work.result.clock = before
        return Verdict("done", {"off_seconds": _seconds(before)}, message="it is right already")
    if off > timedelta(seconds=LONGEST_SHIFT):
        work.result.clock = before
        return Verdict(
            "failed",
            {"off_seconds": _seconds(before)},
            message=f"it is off by more than {LONGEST_SHIFT} s, which no shift puts right: set it",
        )
    return await _put_right(work, before, "shift")


async def _put_right(work: Work, before: ClockReading, how: Literal["set", "shift"]) -> Verdict:
    if how == "set":
        after = await work.session.set_clock(work.clock())
    else:
        seconds = -round(before.deviation.total_seconds())
        after = await work.session.adjust_clock(seconds, now=work.clock())
    work.result.clock = after
    told = {"was_off_seconds": _seconds(before), "off_seconds": _seconds(after)}
    return Verdict("done", told)


async def _read_switch(work: Work) -> Verdict:
    return Verdict("done", _switch_state(await work.session.read_switch()))


async def _switch(work: Work) -> Verdict:
    """Switch the supply; what an earlier attempt may have done is looked at first."""
    command = cast("SwitchCommand", work.due.kind)
    sent = work.claim.sent_at
    if sent is not None:
        state = await work.session.read_switch()
        if state.obeys(command):
            found = "the answer was lost; the switch was found where it was sent"
            return Verdict("done", _switch_state(state), message=found)
        if not work.claim.may_send:
            lost = f"sent at {sent:%Y-%m-%d %H:%M:%S} UTC, and not done; it is not sent again"
            return Verdict("failed", _switch_state(state), message=lost)
    elif not work.claim.may_send:
        return Verdict("failed", message="not sent: a later control switches the same meter")
    await work.sent()
    state = await work.session.switch(command)
    if state.obeys(command):
        return Verdict("done", _switch_state(state))
    return Verdict(
        "failed", _switch_state(state), message="the switch did not go where it was sent"
    )


async def _read_channels(work: Work) -> Verdict:
    offers = await work.session.read_channels()
    number = work.due.end_device_id
    new = await work.stored(lambda c, now: meter_profiles.store(c, number, offers, now=now))
    channels = [
        {"reading_type": one.reading_type, "interval_seconds": one.interval_seconds,
         "profile": one.profile}
        for one in offers.channels
    ]  # fmt: skip
    return Verdict("done", {"objects": len(offers.objects), "channels": channels, "changed": new})


async def _read_billing_registers(work: Work) -> Verdict:
    since, until = (datetime.fromisoformat(work.due.parameters[x]) for x in ("since", "until"))
    found = await work.session.read_billing_registers(Period(since, until))
    # They land with the conversation, like every other reading.
    work.result.registers += found
    rows = [
        {"reading_type": one.reading_type, "read_at": _iso(one.read_at), "value": one.value}
        for one in found
    ]
    return Verdict("done", {"registers": rows})


async def _read_calendar(work: Work) -> Verdict:
    return Verdict("done", kept.dumped(await work.session.read_activity_calendar()))


async def _write_calendar(work: Work) -> Verdict:
    at = work.due.parameters.get("activate_at")
    calendar = kept.loaded(ActivityCalendar, work.due.parameters["calendar"])
    when = datetime.fromisoformat(at) if at else None
    state = await work.session.write_activity_calendar(calendar, when)
    return Verdict("done", kept.dumped(state))


async def _read_special_days(work: Work) -> Verdict:
    days = await work.session.read_special_days()
    return Verdict("done", {"days": [kept.dumped(day) for day in days]})


async def _write_special_days(work: Work) -> Verdict:
    wanted = control_kinds.special_days(work.due.parameters["days"])
    days = await work.session.write_special_days(wanted)
    return Verdict("done", {"days": [kept.dumped(day) for day in days]})


async def _read_push_setup(work: Work) -> Verdict:
    channel = work.due.parameters.get("channel", 0)
    return Verdict("done", kept.dumped(await work.session.read_push_setup(channel)))


async def _write_push_setup(work: Work) -> Verdict:
    setup = kept.loaded(PushSetup, work.due.parameters["setup"])
    return Verdict("done", kept.dumped(await work.session.write_push_setup(setup)))


def _switch_state(state: SwitchState) -> dict[str, Any]:
    return {"switch": kept.dumped(state)}


def _seconds(reading: ClockReading) -> float:
    return round(reading.deviation.total_seconds(), 1)


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


ACTIONS: Final[Mapping[str, Action]] = {
    "read_clock": _read_clock,
    "set_clock": _set_clock,
    "adjust_clock": _adjust_clock,
    "read_switch": _read_switch,
    "connect": _switch,
    "disconnect": _switch,
    "arm": _switch,
    "read_channels": _read_channels,
    "read_billing_registers": _read_billing_registers,
    "read_activity_calendar": _read_calendar,
    "write_activity_calendar": _write_calendar,
    "read_special_days": _read_special_days,
    "write_special_days": _write_special_days,
    "read_push_setup": _read_push_setup,
    "write_push_setup": _write_push_setup,
    "change_keys": control_keys.change_keys,
    "update_firmware": control_firmware.update_firmware,
}
"""What each kind of ``control_kinds.KINDS`` does."""
