"""What is told of a final interval: its versions, what was read, what was found, and the proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from mdm.explain_virtual import Input


@dataclass(frozen=True, slots=True)
class Version:
    """The interval in one version of its day.

    ``value`` is in the reading type's scaled unit, after the multiplier; None where it is missing.
    ``rule_set`` and ``rule_set_digest`` are those of the run that made it, ``person`` and
    ``reason`` those of an edit or an acceptance. ``made_at`` is when the interval first became so,
    ``recorded_at`` when its day did.
    """

    number: int
    recorded_at: datetime
    value: int | None
    quality: int
    kind: Literal["vee", "edit", "accept", "virtual"]
    rule_set: str | None
    rule_set_digest: str | None
    software: str
    person: str | None
    reason: str | None
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Raw:
    """A value that was read for the interval, before the multiplier; None where it was missing."""

    starts_at: datetime
    interval_seconds: int
    value: int | None
    quality: int
    source: str
    collected_at: datetime
    session_id: int | None


@dataclass(frozen=True, slots=True)
class Dial:
    """A register reading beside the interval, before the multiplier [scaled unit]."""

    read_at: datetime
    value: int
    quality: int
    source: str
    collected_at: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A finding that reaches over the interval."""

    id: int
    rule: str
    severity: str
    action: str
    observed: float | None
    limit: float | None
    starts_at: datetime
    ends_at: datetime
    state: str
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """The interval computed again.

    Attributes
    ----------
    value, quality : what came out
    same : whether that is what the record has
    estimate : the value before it was brought to the register's difference; None where it was read
    factor : value ÷ estimate, to 6 places; None where there is no estimate, or it is 0
    register : reading type of the tariff register that it was brought to; None for the total
    beneath : of a sum, days of other virtual channels that were computed again with it
    differing : of these, what came out otherwise than the record has it, in words
    """

    value: int | None
    quality: int
    same: bool
    estimate: int | None
    factor: Decimal | None
    register: str | None = None
    beneath: int = 0
    differing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a run goes by, and that has changed since the version was made.

    ``what`` is a word of ``mdm.explain_changes``; ``first`` and ``last`` are when, ``count`` how
    often.
    """

    what: str
    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """One final interval of a usage point, and all that it comes from.

    Attributes
    ----------
    end_device, multiplier : as the registry had them when the version was made
    versions : of its day, up to the one that is explained
    proof : None where a person made the value, or what it was made of is not kept
    inputs : what an interval of a virtual channel is the sum of
    waiting : whether something came for it that no run has looked at yet
    superseded : versions that its day has had since
    changes : what has changed since it was made
    today : where something has, what the same rules would make of it now
    """

    usage_point: str
    end_device: str | None
    multiplier: Decimal | None
    reading_type: str
    starts_at: datetime
    interval_seconds: int
    time_zone: str
    versions: tuple[Version, ...]
    raw: tuple[Raw, ...]
    dials: tuple[Dial, ...]
    findings: tuple[Found, ...]
    proof: Proof | None
    inputs: tuple[Input, ...] = ()
    waiting: bool = False
    superseded: int = 0
    changes: tuple[Change, ...] = ()
    today: Proof | None = None

    @property
    def final(self) -> Version:
        """The version that is explained: the one that counts, unless an older one was asked for."""
        return self.versions[-1]

    @property
    def ends_at(self) -> datetime:
        """The interval's end."""
        return self.starts_at + timedelta(seconds=self.interval_seconds)
