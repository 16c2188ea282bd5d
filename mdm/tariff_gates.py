"""A tariff's gates and billing window: over which limits, and until when, nothing is billed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, cast, get_args

SHARES: Final = (
    "missing", "estimated", "edited", "questionable", "not_validated", "accepted", "unscaled",
    "warned",
)  # fmt: skip
"""Gates on the share of the expected intervals [%]."""

BESIDE: Final = ("not_validated", "accepted", "unscaled", "warned")
"""Of these, those that a bill's counts do not tell: the days are looked at."""

_OF_DETERMINANT: Final = ("missing", "estimated", "edited", "questionable")
_LONGEST: Final = 3660

Against = Literal["last_year", "last_period"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Limits of the mean use a day against former periods.

    Source: Oracle Utilities MDM, High/Low Check: the first comparison that exists counts.

    Attributes
    ----------
    against : what to compare with, in this order
    low, high : of the former mean use a day [%]; None is no limit
    smallest : a difference up to which nothing is held [tariff's unit a day]
    not_actual : a former period with more intervals that are not actual is passed over [%]
    """

    against: tuple[Against, ...]
    low: Decimal | None
    high: Decimal | None
    smallest: Decimal
    not_actual: Decimal


@dataclass(frozen=True, slots=True)
class Gates:
    """Limits over which a usage point is held instead of billed; None is no limit.

    Attributes
    ----------
    missing, estimated, edited, questionable, not_validated : share of the expected intervals [%]
    accepted, unscaled, warned : the same: accepted by a person, estimated and not scaled to a
        register, and with an open finding that changed nothing
    unique_values : least share of the known intervals that are of different values [%]
    register_difference : of intervals and registers, where both are complete [% of the registers]
    days_without_actuals : days on which nothing was measured, in all
    consecutive_days_without_actuals : the same, one after another
    days_covered : least share of days of which more than half is known [%]
    period_days : shortest and longest period [days]
    usage : against former periods
    determinants : limits of single determinants: name, quality, share [%]
    registers_only : whether a usage point that has no channel of intervals is billed by registers:
        gates on intervals and days do not look at it, and nothing is waited for
    shares : the gates of ``SHARES`` that there are, with their limits
    """

    missing: Decimal | None = None
    estimated: Decimal | None = None
    edited: Decimal | None = None
    questionable: Decimal | None = None
    register_difference: Decimal | None = None
    not_validated: Decimal | None = None
    accepted: Decimal | None = None
    unscaled: Decimal | None = None
    warned: Decimal | None = None
    unique_values: Decimal | None = None
    days_without_actuals: int | None = None
    consecutive_days_without_actuals: int | None = None
    days_covered: Decimal | None = None
    period_days: tuple[int, int] | None = None
    usage: Usage | None = None
    determinants: tuple[tuple[str, str, Decimal], ...] = ()
    registers_only: bool = False
    shares: tuple[tuple[str, Decimal], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limits = ((gate, getattr(self, gate)) for gate in SHARES)
        object.__setattr__(self, "shares", tuple(each for each in limits if each[1] is not None))

    @property
    def looks_at_days(self) -> bool:
        """Whether a gate needs the days one by one."""
        days = (self.days_without_actuals, self.consecutive_days_without_actuals)
        more = (self.days_covered, self.not_validated, self.warned)
        return any(limit is not None for limit in (*days, *more)) or self.looks_at_intervals

    @property
    def looks_at_intervals(self) -> bool:
        """Whether a gate needs the intervals one by one, so that summed days will not do."""
        limits = (self.accepted, self.unscaled, self.unique_values)
        return any(limit is not None for limit in limits)


_PERCENT: Final = (*SHARES, "unique_values", "register_difference", "days_covered")
_DAYS: Final = ("days_without_actuals", "consecutive_days_without_actuals")
_KNOWN: Final = (*_PERCENT, *_DAYS, "period_days", "usage", "determinants", "registers_only")


def gates(entry: Mapping[str, Any]) -> Gates:
    """Read the table ``gates`` of a tariff.

    Raises
    ------
    ValueError
        saying which gate is unknown or has no proper limit.
    """
    if unknown := sorted(entry.keys() - set(_KNOWN)):
        raise ValueError(f"unknown gate {unknown[0]!r}; known: {', '.join(_KNOWN)}")
    limits: dict[str, Any] = {n: _percent(n, entry[n]) for n in _PERCENT if n in entry}
    limits |= {n: _days(n, entry[n]) for n in _DAYS if n in entry}
    return Gates(
        **limits,
        period_days=_span(entry["period_days"]) if "period_days" in entry else None,
        usage=_usage(entry["usage"]) if "usage" in entry else None,
        determinants=_of_determinants(entry.get("determinants", {})),
        registers_only=_flag("registers_only", entry.get("registers_only", False)),
    )


def wait_days(entry: Mapping[str, Any]) -> int | None:
    """Read the table ``window``: days after the period's end in which actuals are waited for.

    Raises
    ------
    ValueError
    """
    if unknown := sorted(entry.keys() - {"wait_days"}):
        raise ValueError(f"unknown key {unknown[0]!r} in window; known: wait_days")
    return _days("window.wait_days", entry["wait_days"]) if entry else None


def _flag(name: str, value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return value


def _percent(name: str, value: object) -> Decimal:
    limit = Decimal(str(value))
    if not 0 <= limit <= 100:
        raise ValueError(f"{name}: a gate is a percentage from 0 to 100, not {value}")
    return limit


def _days(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LONGEST:
        raise ValueError(f"{name} must be a number of days from 0 to {_LONGEST}, not {value!r}")
    return value


def _span(value: object) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("period_days must be [shortest, longest]")
    shortest, longest = (_days("period_days", one) for one in value)
    if not shortest <= longest:
        raise ValueError(f"period_days: {shortest} is more than {longest}")
    return shortest, longest


def _usage(entry: Mapping[str, Any]) -> Usage:
    known = {"against", "low", "high", "smallest", "not_actual"}
    if unknown := sorted(entry.keys() - known):
        raise ValueError(f"unknown key {unknown[0]!r} in usage; known: {', '.join(sorted(known))}")
    against = tuple(entry["against"])
    if not against or not set(against) <= set(get_args(Against)):
        raise ValueError(f"usage.against must list {' or '.join(get_args(Against))}")
    low, high = (Decimal(str(entry[n])) if n in entry else None for n in ("low", "high"))
    if low is None and high is None:
        raise ValueError("usage needs low, high or both")
    if min(low or 0, high or 0) < 0 or (low is not None and high is not None and low >= high):
        raise ValueError("usage: low must be below high, and none below 0")
    smallest = Decimal(str(entry.get("smallest", 0)))
    if smallest < 0:
        raise ValueError("usage.smallest must not be below 0")
    return Usage(
        against=cast("tuple[Against, ...]", against),
        low=low,
        high=high,
        smallest=smallest,
        not_actual=_percent("usage.not_actual", entry.get("not_actual", 100)),
    )


def _of_determinants(
    entry: Mapping[str, Mapping[str, Any]],
) -> tuple[tuple[str, str, Decimal], ...]:
    found = []
    for name, limits in sorted(entry.items()):
        for kind, value in sorted(limits.items()):
            if kind not in _OF_DETERMINANT:
                known = ", ".join(_OF_DETERMINANT)
                raise ValueError(f"determinants.{name}: unknown {kind!r}; known: {known}")
            found.append((name, kind, _percent(f"determinants.{name}.{kind}", value)))
    return tuple(found)
