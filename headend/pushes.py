"""Lands what meters push over DLMS, thousands of pushes in one transaction.

Who sent a push, whether it is protected as it should be, whether it was heard before, and whether
its values are its sender's: each refusal has a reason, and what was refused goes to the quarantine,
so many a device. Landing the same again changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from drivers.dlms import push, push_events
from drivers.dlms.push_content import Content
from drivers.dlms.push_inbox import Received
from drivers.dlms.push_layouts import Layouts
from drivers.errors import DriverError
from headend import (
    landing,
    landing_columns,
    push_opening,
    push_reading,
    push_senders,
    quarantine,
    unknown_devices,
)
from headend.landing_columns import Columns
from headend.landing_rows import Answer
from headend.push_opening import Push
from headend.push_reading import Read
from headend.push_senders import Senders
from headend.quarantine import Aside
from headend.unknown_devices import Stranger
from headend.vault import Vault
from schemas import reading_type, statements
from schemas.database import Connection
from schemas.reading import IntervalBlock

_SQL = statements.load("headend", "pushes.sql")
KIND: Final = unknown_devices.SOURCE
_MICROSECONDS: Final = 1_000_000


@dataclass(slots=True)
class Desk:
    """What is remembered from batch to batch; not for two threads at a time."""

    vault: Vault
    senders: Senders = field(default_factory=Senders)
    layouts: Layouts = field(default_factory=Layouts)


@dataclass(slots=True)
class Heard:
    """What a batch came to.

    Attributes
    ----------
    pushes : each with the reason if it was refused
    registers, intervals, events : how many were new
    unplaced : pushes of which a part could not be taken
    """

    pushes: list[Push]
    registers: int = 0
    intervals: int = 0
    events: int = 0
    unplaced: int = 0

    def add(self, other: Heard) -> None:
        """Add another batch's."""
        self.pushes += other.pushes
        self.registers += other.registers
        self.intervals += other.intervals
        self.events += other.events
        self.unplaced += other.unplaced

    @property
    def refused(self) -> Counter[str]:
        """Count the refused by kind."""
        return Counter(one.refusal.kind for one in self.pushes if one.refusal is not None)


@dataclass(slots=True)
class Batch:
    """Pushes that are opened and read, and wait for their landing."""

    pushes: list[Push]
    found: Read


def land(
    connection: Connection,
    received: Sequence[Received],
    desk: Desk,
    *,
    now: datetime,
    replaying: bool = False,
) -> Heard:
    """Read pushes and land them (``prepared``, then ``landed``)."""
    return landed(connection, prepared(connection, received, desk), now=now, replaying=replaying)


def prepared(connection: Connection, received: Sequence[Received], desk: Desk) -> Batch:
    """Find the senders of pushes, take the protection off, and read them; writes nothing."""
    pushes = [Push(one) for one in received]
    _open(connection, pushes, desk)
    found = push_reading.read(pushes, desk.layouts)
    _check(connection, pushes, found, desk.senders)
    return Batch(pushes, found)


def landed(
    connection: Connection, batch: Batch, *, now: datetime, replaying: bool = False
) -> Heard:
    """Land what was read; what is refused goes to the quarantine. The caller owns the transaction.

    Parameters
    ----------
    now : collection time
    replaying : they come from the quarantine: they go nowhere else, and may be old
    """
    heard, found = Heard(batch.pushes), batch.found
    push_reading.check_times(heard.pushes, found, now)
    _count_up(connection, heard.pushes, replaying=replaying)
    for place, content in found.contents.items():
        if not (content.registers or content.blocks or content.events or content.unplaced):
            heard.pushes[place].refuse("empty", "nothing in it has a meaning that is known here")
    _land(connection, heard, found, now)
    _note_senders(connection, heard.pushes, found, now)
    if not replaying:
        set_aside(connection, heard, found)
    return heard


def _open(connection: Connection, pushes: Sequence[Push], desk: Desk) -> None:
    """Find the senders, and take the protection off."""
    titles = {one: _title(one.received.sent.apdu) for one in pushes}
    desk.senders.load(connection, titles=filter(None, titles.values()))
    lost = (one for one, title in titles.items() if title and not desk.senders.of_title(title))
    bare = (one for one in pushes if one.received.sent.apdu[:1] == b"\xca")
    desk.senders.load(
        connection, hosts={one.received.host for some in (lost, bare) for one in some}
    )
    for one in pushes:
        push_opening.open_(one, desk.senders, desk.vault)
    anonymous = [one for one in pushes if one.sender is None and one.refusal is None]
    if not anonymous:
        return
    names = push_reading.read(anonymous, desk.layouts).names
    nameless = {one.received.host for at, one in enumerate(anonymous) if not names.get(at)}
    desk.senders.load(connection, names=_all(names.values()), hosts=nameless)
    for place, one in enumerate(anonymous):
        if one.refusal is None:
            push_opening.assign(one, names[place], desk.senders)


def _title(apdu: bytes) -> bytes:
    try:
        return push.system_title(apdu)
    except DriverError:
        return b""


def _check(connection: Connection, pushes: Sequence[Push], found: Read, senders: Senders) -> None:
    """Refuse pushes that are protected too weakly, or whose values are another meter's."""
    strange = {
        place: names
        for place, names in found.names.items()
        if (sender := pushes[place].sender) is not None and not sender.names.issuperset(names)
    }
    senders.load(connection, names=_all(strange.values()))
    for one in pushes:
        push_opening.check_protection(one)
    for place, names in strange.items():
        push_opening.check_names(pushes[place], names, senders)


def _count_up(connection: Connection, pushes: Sequence[Push], *, replaying: bool) -> None:
    """Move the senders' counters up, and refuse what has no higher one than was heard before."""
    highest: dict[int, int] = {}
    counted = [one for one in pushes if one.counted and one.refusal is None]
    for one in counted:
        if one.sender is not None and one.header is not None:
            device, counter = one.sender.id, one.header.counter
            highest[device] = max(highest.get(device, 0), counter)
    before = push_senders.advance(connection, highest)
    if replaying:
        return
    for one in counted:
        if one.sender is None or one.header is None:
            continue
        device, counter = one.sender.id, one.header.counter
        if counter <= before[device]:
            one.refuse(
                "replay",
                f"{one.sender.mrid}: invocation counter {counter} is no higher than the "
                f"{before[device]} that was heard before: the push is late, or was recorded and "
                "sent again",
            )
        else:
            before[device] = counter


def _land(connection: Connection, heard: Heard, found: Read, now: datetime) -> None:
    answers = [
        Answer(one.sender.id, content.blocks, content.registers, content.events)
        for one, content in _taken(heard.pushes, found)
        if one.sender is not None
    ]
    with connection.transaction():
        registers, intervals = map(
            landing_columns.joined, push_reading.columns(found, heard.pushes)
        )
        if registers is not None:
            heard.registers += landing_columns.land_registers(
                connection, registers, source=KIND, now=now
            )
        if intervals is not None:
            fit = landing_columns.fits(intervals)
            if not fit.all():
                answers += _unfit(intervals, ~fit)
                intervals = intervals.at_places(fit)
            heard.intervals += landing_columns.land_intervals(
                connection, intervals, source=KIND, now=now
            )
        landed = landing.land(connection, answers, source=KIND, now=now).values()
    heard.registers += sum(one.registers for one in landed)
    heard.intervals += sum(one.intervals for one in landed)
    heard.events += sum(one.events for one in landed)


def _unfit(intervals: Columns, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[Answer]:
    """Give values that the store cannot hold as blocks, which landing tells the quarantine of."""
    answers = []
    seconds = intervals.interval_seconds
    for place in which.nonzero()[0].tolist():
        start = datetime.fromtimestamp(int(intervals.at[place]) / _MICROSECONDS, UTC)
        block = IntervalBlock(
            reading_type.of_id(int(intervals.reading_type[place])).name,
            start,
            int(seconds[place]) if seconds is not None else 0,
            intervals.values[place : place + 1],
        )
        answers.append(Answer(int(intervals.end_device[place]), blocks=[block]))
    return answers


def _note_senders(
    connection: Connection, pushes: Sequence[Push], found: Read, now: datetime
) -> None:
    """Write down who was heard, not at each push, and whose power went off."""
    gasps = {
        one.sender.id: gasped
        for one, content in _taken(pushes, found)
        if one.sender is not None and (gasped := _gasped(content)) is not None
    }
    off = [device for device, gasped in gasps.items() if gasped]
    fresh = []
    for one in pushes:
        sender = one.sender
        if sender is None or one.refusal is not None:
            continue
        if sender.id in off:
            # The next push says that the power is back, and is to be written down at once.
            sender.noted = False
        elif not sender.noted:
            sender.noted = True
            fresh.append(sender.id)
    if fresh:
        connection.execute(_SQL["heard"], {"ids": sorted(set(fresh)), "now": now})
    if off:
        connection.execute(_SQL["gasped"], {"ids": sorted(off), "now": now})


def _gasped(content: Content) -> bool | None:
    """Tell whether a push says that the power is off, or on again; None if it says neither."""
    codes = {event.code for event in content.events}
    if codes & push_events.POWER_UP:
        return False
    return True if codes & push_events.LAST_GASP else None


def set_aside(connection: Connection, heard: Heard, found: Read | None = None) -> None:
    """Keep what was refused, so many pushes a device; a replay is only counted."""
    strangers: defaultdict[tuple[str, str], list[Push]] = defaultdict(list)
    asides = []
    for one in heard.pushes:
        if one.refusal is not None and one.refusal.identity is not None:
            strangers[one.refusal.identity].append(one)
        elif one.refusal is not None and one.refusal.kind != "replay":
            asides.append(_aside(one, _subject(one), one.refusal.reason))
    for one, content in _taken(heard.pushes, found or Read()):
        if content.unplaced:
            heard.unplaced += 1
            asides.append(_aside(one, _subject(one), "; ".join(content.unplaced)))
    noted = unknown_devices.note(connection, [_stranger(*pair) for pair in strangers.items()])
    for identity, some in strangers.items():
        if identity in noted:
            subject = unknown_devices.subject(*identity)
            newest = some[-unknown_devices.KEPT :]
            asides += [_aside(one, subject, one.refusal.reason) for one in newest if one.refusal]
    quarantine.put(connection, asides)
    unknown_devices.trim(connection, (one.subject for one in asides))


def _stranger(identity: tuple[str, str], pushes: Sequence[Push]) -> Stranger:
    last = pushes[-1]
    reason = last.refusal.reason if last.refusal else ""
    return Stranger(
        *identity, last.received.host, last.received.transport, push_reading.received_at(last),
        len(pushes), reason,
    )  # fmt: skip


def _aside(one: Push, subject: str, reason: str) -> Aside:
    came = one.received
    return Aside(
        source=KIND, subject=subject, payload=came.sent.apdu, reason=reason, kind=KIND,
        received_at=push_reading.received_at(one),
        context={"host": came.host, "transport": came.transport},
    )  # fmt: skip


def _subject(one: Push) -> str:
    """Name who or what a refused push is about: the meter, else the address it came from."""
    sender = one.sender
    return f"end device {sender.mrid}" if sender else f"host {one.received.host}"


def _taken(pushes: Sequence[Push], found: Read) -> Iterable[tuple[Push, Content]]:
    """Give the pushes that were read one by one and are not refused."""
    return (
        (pushes[place], content)
        for place, content in found.contents.items()
        if pushes[place].refusal is None
    )


def _all(names: Iterable[Sequence[str]]) -> set[str]:
    return {name for some in names for name in some}
