"""What one meter offers, as it says itself, so that nobody has to type it.

Can be kept as JSON (``drivers.kept``) and given to later sessions in ``Endpoint.meter_profile``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AccessMode = Literal["none", "read", "write", "read_write"]


@dataclass(frozen=True, slots=True)
class AttributeAccess:
    """What this client may do with one attribute; ``secured``: only in protected messages."""

    index: int
    mode: AccessMode
    secured: bool = False

    @property
    def readable(self) -> bool:
        """Whether the meter lets this client read it."""
        return self.mode in ("read", "read_write")

    @property
    def writable(self) -> bool:
        """Whether the meter lets this client write it."""
        return self.mode in ("write", "read_write")


@dataclass(frozen=True, slots=True)
class MethodAccess:
    """Whether this client may call one method; ``secured``: only in protected messages."""

    index: int
    allowed: bool
    secured: bool = False


@dataclass(frozen=True, slots=True)
class OfferedObject:
    """One object of a meter: ``class_id``, its version, and its OBIS code."""

    class_id: int
    version: int
    obis: str
    attributes: tuple[AttributeAccess, ...]
    methods: tuple[MethodAccess, ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """One column of a profile.

    Attributes
    ----------
    source : ``class/OBIS/attribute`` of what is captured
    reading_type : what it means here, None if nothing is known of it
    scaler : power of ten of the meter's numbers, None if it is no register
    unit : number of the unit (IEC 62056-6-2, table of units), None if it is no register
    """

    source: str
    reading_type: str | None
    scaler: int | None
    unit: int | None


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """One profile of a meter: a load profile, billing periods, or an event log.

    Attributes
    ----------
    name : what the companion profile calls it, else its OBIS code
    source : ``class/OBIS/attribute`` of its buffer
    period_seconds : capture period, 0 if rows come with events [s]
    captures : its columns, in their order
    reads : what a session reads from it, of ``drivers.driver.Feature``: ``intervals``,
        ``register_history``, ``billing_registers``, ``events``
    rows, most_rows : rows that it has and can have, None if the meter does not say
    """

    name: str
    source: str
    period_seconds: int
    captures: tuple[Capture, ...]
    reads: tuple[str, ...] = ()
    rows: int | None = None
    most_rows: int | None = None


@dataclass(frozen=True, slots=True)
class OfferedChannel:
    """A series that a meter can give.

    Attributes
    ----------
    reading_type : name in ``reading_types.csv``
    interval_seconds : how often it is stored, 0 for a present value [s]
    profile : name of the profile that stores it, empty for a present value
    """

    reading_type: str
    interval_seconds: int
    profile: str


@dataclass(frozen=True, slots=True)
class MeterProfile:
    """A meter's association view.

    Attributes
    ----------
    companion : companion profile that it was read with
    objects : everything that this client may see
    profiles : profiles with their columns
    registers : reading types whose present value the meter has
    """

    companion: str
    objects: tuple[OfferedObject, ...]
    profiles: tuple[StoredProfile, ...]
    registers: tuple[str, ...]

    @property
    def channels(self) -> tuple[OfferedChannel, ...]:
        """The series that this meter can give, stored ones first."""
        stored = (
            OfferedChannel(capture.reading_type, profile.period_seconds, profile.name)
            for profile in self.profiles
            for capture in profile.captures
            if capture.reading_type is not None
        )
        return (*stored, *(OfferedChannel(name, 0, "") for name in self.registers))

    def serves(self, read: str) -> tuple[StoredProfile, ...]:
        """Give the profiles that a session reads for a feature, the first one first."""
        return tuple(profile for profile in self.profiles if read in profile.reads)

    def stored(self, source: str) -> StoredProfile | None:
        """Find a profile by its buffer's ``class/OBIS/attribute``."""
        return next((profile for profile in self.profiles if profile.source == source), None)

    def classes(self, obis: str) -> tuple[int, ...]:
        """Give the classes of the objects of an OBIS code that the meter has."""
        return tuple(one.class_id for one in self.objects if one.obis == obis)
