"""Register readings that a bill needs and no meter gave, estimated at the ends of its period.

An estimate is a version like any other, with its own quality and, as its provenance, by what it was
estimated and what could not. The meter's own reading of that moment, whenever it comes, is the next
version; estimates are made again until then, from what is known by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mdm import readings, register_checks, register_intervals
from mdm.readings import RegisterTable
from mdm.register_intervals import Wanted
from schemas import quality, statements
from schemas.database import Connection
from schemas.period import Period
from schemas.quality import QualityClass
from validation import register_estimates
from validation.register_estimates import Estimated, Intervals, Readings

_SQL = statements.load("mdm", "register_ends.sql")
# A year and a month before, so that last year's use is known; a month after, for what comes late.
_BACK: Final = timedelta(days=400)
_ON: Final = timedelta(days=31)
_DAY: Final = 86_400
# A quarter's read and the one before it; a week of use says little of a month.
_RECENT_DAYS: Final = 190
_FEWEST_DAYS: Final = 7
# Two months of a bimonthly cycle.
_LOOK_BACK_DAYS: Final = 62
_YEAR, _MONTH = 365 * _DAY, 30 * _DAY
# Both ends of the earlier period are known or it does not count.
_ALL_GOOD: Final = 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """What was wanted and what became of it, in register readings.

    Attributes
    ----------
    wanted : without a reading of the meter's
    estimated : of these, with an estimate; ``versions`` of them are new or differ
    declined : that nothing can be said about: too little was ever read
    """

    wanted: int = 0
    estimated: int = 0
    versions: int = 0

    @property
    def declined(self) -> int:
        """How many no method could estimate."""
        return self.wanted - self.estimated

    def __add__(self, other: Report) -> Report:
        return Report(
            self.wanted + other.wanted,
            self.estimated + other.estimated,
            self.versions + other.versions,
        )


class _Method(NamedTuple):
    name: str
    quality: int


METHODS: Final = (
    _Method("from intervals", quality.REGISTER_FROM_INTERVALS),
    _Method("prorated", quality.REGISTER_PRORATED),
    _Method("recent load", quality.REGISTER_RECENT_LOAD),
    _Method("last year or month", quality.REGISTER_HISTORY),
)
"""In the order in which they are tried; the first that can wins."""


def complete(
    connection: Connection,
    usage_point_ids: Sequence[int],
    moments: Sequence[datetime],
    *,
    now: datetime,
) -> Report:
    """Estimate the register readings that are not there at some moments.

    Only registers that were read before have any; the meter's own readings, also those in doubt,
    and what a person edited stay as they are.

    Parameters
    ----------
    moments : aware; such as the beginning and the end of a billing period
    """
    rows = connection.execute(
        _SQL["registers"], {"usage_points": list(usage_point_ids), "moments": list(moments)}
    ).fetchall()
    registers = [_Register(*row) for row in rows]
    if not registers:
        return Report()
    period = Period(min(moments) - _BACK, min(max(moments) + _ON, now))
    channels = np.unique([register.channel_id for register in registers])
    known = readings.registers(connection, channels, period)
    table = _Known.of(registers, known)
    wanted = _wanted(registers, table, [int(moment.timestamp()) for moment in moments])
    if not len(wanted.at) or table.good is None:
        return Report(len(wanted.at))
    beside = register_intervals.beside(
        connection, wanted, table.good, look_back=_LOOK_BACK_DAYS * _DAY, until=period.end
    )
    done = _recorded(connection, registers, wanted, _estimates(table.good, wanted, beside), now)
    if done.versions:
        # Estimates are validated as what meters give is.
        register_checks.run(connection, usage_point_ids, now=now)
    return done


class _Register(NamedTuple):
    """A register at one installation; ``micro`` is the multiplier in millionths."""

    channel_id: int
    installation_id: int
    reading_type: str
    usage_point_id: int
    micro: int
    modulus: int
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """Good readings, None if there is none, and the moments at which nothing is wanted."""

    good: Readings | None
    settled: frozenset[tuple[int, int]]

    @classmethod
    def of(cls, registers: Sequence[_Register], table: RegisterTable) -> _Known:
        numbers = {(r.channel_id, r.installation_id): n for n, r in enumerate(registers)}
        keys = zip(table.channel_id.tolist(), table.installation_id.tolist(), strict=True)
        number = np.array([numbers.get(key, -1) for key in keys], np.int64)
        kinds = quality.classes(table.quality)
        own = (kinds != QualityClass.MISSING) & (kinds != QualityClass.ESTIMATED) & (number >= 0)
        settled = frozenset(zip(number[own].tolist(), table.read_at[own].tolist(), strict=True))
        good = own & (kinds != QualityClass.QUESTIONABLE)
        if not good.any():
            return cls(None, settled)
        number, at, value = number[good], table.read_at[good], table.value[good]
        order = np.lexsort((at, number))
        modulus = np.array([register.modulus for register in registers], np.int64)[number]
        return cls(Readings(number[order], at[order], value[order], modulus[order]), settled)


def _wanted(registers: Sequence[_Register], known: _Known, moments: Iterable[int]) -> Wanted:
    """List what is not there: each register at each moment of its installation."""
    found = [
        (number, moment)
        for moment in moments
        for number, register in enumerate(registers)
        if int(register.starts_at.timestamp()) <= moment
        and (register.ends_at is None or moment <= int(register.ends_at.timestamp()))
        and (number, moment) not in known.settled
    ]
    register = np.array([number for number, _ in found], np.int64)
    return Wanted(
        register=register,
        at=np.array([moment for _, moment in found], np.int64),
        usage_point=[each.usage_point_id for each in registers],
        reading_type=[each.reading_type for each in registers],
        micro=np.array([each.micro for each in registers], np.int64),
    )


def _estimates(
    good: Readings, wanted: Wanted, beside: Sequence[tuple[NDArray[np.intp], Intervals]]
) -> list[Estimated]:
    """Let every method try what it can, in the order of ``METHODS``."""
    register, at = wanted.register, wanted.at
    nothing = np.zeros(len(at), np.bool_)
    from_intervals = Estimated(nothing.copy(), np.zeros(len(at), np.int64))
    prorated = register_estimates.prorated(good, register, at)
    for rows, intervals in beside:
        _put(from_intervals, rows, register_estimates.usage_calculation(
            good, intervals, register[rows], at[rows], look_back_days=_LOOK_BACK_DAYS
        ))  # fmt: skip
        _put(prorated, rows, register_estimates.prorated(
            good, register[rows], at[rows], intervals
        ))  # fmt: skip
    recent = register_estimates.recent_load(
        good, register, at, within_days=_RECENT_DAYS, fewest_days=_FEWEST_DAYS
    )
    return [from_intervals, prorated, recent, _history(good, register, at)]


def _put(into: Estimated, rows: NDArray[np.intp], found: Estimated) -> None:
    """Take over what was found for some rows; what was there stays where nothing was found."""
    into.values[rows[found.filled]] = found.values[found.filled]
    into.filled[rows[found.filled]] = True


def _history(good: Readings, register: NDArray[np.int64], at: NDArray[np.int64]) -> Estimated:
    """Add last year's use, else last month's, to the reading before."""
    before = good.before(register, at)
    row = np.maximum(before, 0)
    begin = good.at[row]
    periods = []
    for shift in (_YEAR, _MONTH):
        first, last = (
            register_estimates.prorated(good, register, moment - shift) for moment in (begin, at)
        )
        used = last.values - first.values
        modulus = good.modulus[row]
        used = np.where(modulus > 0, used % np.maximum(modulus, 1), used)
        periods.append((used, at - begin, (first.filled & last.filled).astype(np.float64)))
    found = register_estimates.history(good.value[row], at - begin, periods, least_good=_ALL_GOOD)
    modulus = good.modulus[row]
    values = np.where(modulus > 0, found.values % np.maximum(modulus, 1), found.values)
    return Estimated(found.filled & (before >= 0), values)


def _recorded(
    connection: Connection,
    registers: Sequence[_Register],
    wanted: Wanted,
    tried: Sequence[Estimated],
    now: datetime,
) -> Report:
    """Record the first estimate of each; a provenance says which methods declined before it."""
    filled = np.stack([each.filled for each in tried])
    chosen = np.where(filled.any(axis=0), filled.argmax(axis=0), -1)
    versions = 0
    for number, method in enumerate(METHODS):
        rows = np.flatnonzero(chosen == number)
        if not len(rows):
            continue
        of = [registers[each] for each in wanted.register[rows].tolist()]
        table = RegisterTable(
            np.array([each.channel_id for each in of], np.int32),
            np.array([each.installation_id for each in of], np.int32),
            wanted.at[rows],
            np.zeros(len(rows), np.int32),
            tried[number].values[rows],
            np.full(len(rows), method.quality, np.int16),
        )
        new = readings.unrecorded(connection, table)
        if not len(new):
            continue
        declined = ", ".join(each.name for each in METHODS[:number])
        reason = f"register estimated by: {method.name}"
        provenance = readings.add_provenance(
            connection,
            "vee",
            recorded_at=now,
            reason=f"{reason}; declined: {declined}" if declined else reason,
        )
        versions += readings.record_registers(
            connection, new, provenance_id=provenance, recorded_at=now, known=True
        )
    return Report(len(wanted.at), int((chosen >= 0).sum()), versions)
