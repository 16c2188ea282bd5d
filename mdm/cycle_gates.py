"""Gates: why a usage point is held instead of billed. Pure arithmetic on a result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from mdm import tariff as names
from mdm.cycle_days import Days
from mdm.determinants.composition import Result
from mdm.determinants.determinant import Counts, Determinant
from mdm.determinants.ground import factor
from mdm.determinants.pages import Page
from mdm.determinants.registers import MICRO
from mdm.tariff import Tariff
from mdm.tariff_declared import REGISTER_DIFFERENCE
from mdm.tariff_gates import BESIDE, Against, Usage

GATES: Final = {
    "consumption": "There is no complete source of the billed quantity.",
    "overlap": "Two channels have intervals of the same time, which would be billed twice.",
    "missing": "More intervals are missing than the tariff allows.",
    "estimated": "More intervals are estimated than the tariff allows.",
    "edited": "More intervals are edited than the tariff allows.",
    "questionable": "More intervals failed validation unresolved than the tariff allows.",
    "not_validated": "More intervals were not looked at by a rule set than the tariff allows.",
    "accepted": "More intervals were accepted by a person than the tariff allows.",
    "unscaled": "More estimates were not scaled to a register than the tariff allows.",
    "warned": "More intervals have an open finding than the tariff allows.",
    "unique_values": "Fewer intervals have different values than the tariff asks for.",
    "days_without_actuals": "Nothing was measured on more days than the tariff allows.",
    "consecutive_days_without_actuals": "The same, of days one after another.",
    "days_covered": "Of fewer days than the tariff asks for more than half is known.",
    "period_days": "The period is shorter or longer than the tariff allows.",
    "low": "The mean use a day is far below a former period's.",
    "high": "The mean use a day is far above a former period's.",
    "determinant_quality": "A single determinant has more of a quality than the tariff allows.",
    "register_difference": "Intervals and registers, both complete, differ by more than allowed.",
    "register_sum": "Registers by time of use do not sum to the register of the total.",
}
"""Every gate there is."""

_FORMER: Final[Mapping[Against, str]] = {
    "last_year": "last year's same period",
    "last_period": "the last period",
}
_DAY: Final = 86400


class Hold(NamedTuple):
    """A gate that a usage point did not pass, and the figures that say so."""

    gate: str
    detail: str


class Former(NamedTuple):
    """What a usage point used in a former period: [unit], [s], share that was not actual [%]."""

    value: Decimal
    unit: str
    seconds: int
    not_actual: Decimal


@dataclass(frozen=True, slots=True)
class Beside:
    """What gates look at beside the result; what is not there is not looked at.

    Attributes
    ----------
    seconds : length of the period [s], 0 if unknown
    local_days : the same in local days
    registers_only : whether it has no channel of intervals and its tariff lets it be billed so
    """

    seconds: int = 0
    local_days: int = 0
    days: Days | None = None
    former: Mapping[Against, Former] = field(default_factory=dict)
    registers_only: bool = False


_NOTHING: Final = Beside()
_NO_DAYS: Final = Days()


def holds(tariff: Tariff, result: Result, beside: Beside = _NOTHING) -> tuple[Hold, ...]:
    """List the gates that a result does not pass; none means that it may be billed."""
    found: dict[str, list[str]] = {}
    for hold in _holds(tariff, result, beside):
        # Of a period in parts each part may have its reason.
        found.setdefault(hold.gate, []).append(hold.detail)
    return tuple(Hold(gate, "; ".join(dict.fromkeys(why))) for gate, why in found.items())


def complete(result: Result, beside: Beside = _NOTHING) -> bool:
    """Tell whether nothing is missing or estimated, so that waiting would bring nothing."""
    counts = result.counts
    return beside.registers_only or not (counts.missing or counts.estimated)


def _holds(tariff: Tariff, result: Result, beside: Beside) -> Iterator[Hold]:
    # What was composed as columns has its billed quantity.
    for determinant in () if isinstance(result.determinants, Page) else result.determinants:
        if determinant.name == names.CONSUMPTION and determinant.value is None:
            yield Hold("consumption", determinant.note)
    if result.overlapping:
        yield Hold("overlap", "two channels have intervals of the same time")
    if not beside.registers_only:
        yield from _shares(tariff, result.counts, beside.days)
    if beside.days is not None and not beside.registers_only:
        yield from _days(tariff, beside.days)
        yield from _unique(tariff, beside.days)
    yield from _length(tariff, beside.local_days)
    yield from _usage(tariff, result, beside)
    if tariff.gates.determinants:
        yield from _of_determinants(tariff, result)
    yield from _difference(tariff, result)
    yield from _register_sum(tariff, result)


def _difference(tariff: Tariff, result: Result) -> Iterator[Hold]:
    limit, difference = tariff.gates.register_difference, result.difference
    if limit is None or difference is None or result.register_micro is None:
        return
    if abs(difference) * 100 > limit * abs(result.register_micro):
        # A composed tariff of parts has the first one's unit, as its register has.
        exact = difference * factor(tariff.register or "", tariff.unit) / MICRO
        amount = tariff.quantity_rounding.of(exact.numerator, exact.denominator)
        yield Hold(
            "register_difference",
            f"intervals − registers is {amount} {tariff.unit}, "
            f"more than {limit} % of the registers' consumption",
        )


def _shares(tariff: Tariff, counts: Counts, days: Days | None) -> Iterator[Hold]:
    expected = counts.expected
    for gate, limit in tariff.gates.shares:
        number = getattr(days or _NO_DAYS, gate) if gate in BESIDE else getattr(counts, gate)
        if number and expected and number * 100 > limit * expected:
            share = Decimal(number * 100) / expected
            yield Hold(
                gate,
                f"{number} of {expected} intervals ({share:.2f} %) are "
                f"{gate.replace('_', ' ')}, at most {limit} % may be",
            )


def _days(tariff: Tariff, days: Days) -> Iterator[Hold]:
    limits = tariff.gates
    for gate, number, row in (
        ("days_without_actuals", days.without_actuals, ""),
        ("consecutive_days_without_actuals", days.longest, " one after another"),
    ):
        limit: int | None = getattr(limits, gate)
        if limit is not None and number > limit:
            yield Hold(
                gate,
                f"nothing was measured on {number} of {days.expected} days{row}, "
                f"at most {limit} may be so",
            )
    least = limits.days_covered
    if least is not None and days.covered * 100 < least * days.expected:
        share = Decimal(days.covered * 100) / days.expected
        yield Hold(
            "days_covered",
            f"of {days.covered} of {days.expected} days ({share:.2f} %) more than half is known, "
            f"at least {least} % must be",
        )


def _unique(tariff: Tariff, days: Days) -> Iterator[Hold]:
    """Compare how many values there are with how many intervals (sufficiency, opendsm)."""
    least = tariff.gates.unique_values
    if least is not None and days.unique * 100 < least * days.known:
        share = Decimal(days.unique * 100) / days.known
        yield Hold(
            "unique_values",
            f"{days.known} intervals have {days.unique} different values ({share:.2f} %), "
            f"at least {least} % must be different",
        )


def _length(tariff: Tariff, local_days: int) -> Iterator[Hold]:
    span = tariff.gates.period_days
    if span is not None and local_days and not span[0] <= local_days <= span[1]:
        yield Hold(
            "period_days", f"the period has {local_days} days, {span[0]} to {span[1]} are usual"
        )


def _usage(tariff: Tariff, result: Result, beside: Beside) -> Iterator[Hold]:
    """Compare the mean use a day with the first former period that there is."""
    limits = tariff.gates.usage
    if limits is None or not beside.seconds or not beside.former:
        return
    now = next(_named(result, names.CONSUMPTION), None)
    if now is None or now.value is None:
        return
    for against in limits.against:
        former = beside.former.get(against)
        if former and former.unit == now.unit and former.not_actual <= limits.not_actual:
            mean = now.value * _DAY / beside.seconds
            yield from _compared(limits, mean, former, _FORMER[against], now.unit)
            return


def _named(result: Result, name: str) -> Iterator[Determinant]:
    """Give the lines of a name; of a page without making its other lines."""
    lines = result.determinants
    if isinstance(lines, Page):
        return lines.named(name)
    return (line for line in lines if line.name == name)


def _compared(
    limits: Usage, mean: Decimal, former: Former, called: str, unit: str
) -> Iterator[Hold]:
    before = former.value * _DAY / former.seconds
    if before < 0 or abs(mean - before) <= limits.smallest:
        # Of what is fed in more than taken out, neither low nor high says anything.
        return
    said = f"{mean:.3f} {unit} a day, {called} had {before:.3f}"
    if limits.low is not None and mean * 100 < limits.low * before:
        yield Hold("low", f"{said}: below {limits.low} % of it")
    if limits.high is not None and mean * 100 > limits.high * before:
        yield Hold("high", f"{said}: above {limits.high} % of it")


def _of_determinants(tariff: Tariff, result: Result) -> Iterator[Hold]:
    """Give one hold for all single determinants whose counts are over their own limits."""
    said = [
        f"{determinant.name} {determinant.part}".rstrip()
        + f": {number} of {determinant.counts.expected} are {kind}, at most {limit} % may be"
        for name, kind, limit in tariff.gates.determinants
        for determinant in result.determinants
        for number in [getattr(determinant.counts, kind)]
        if determinant.name == name and number * 100 > limit * determinant.counts.expected
    ]
    if said:
        yield Hold("determinant_quality", "; ".join(said))


def _register_sum(tariff: Tariff, result: Result) -> Iterator[Hold]:
    """Compare the registers by time of use with their total, as their declarations allow."""
    declared = [of for part in tariff.parts for of in part.tariff.declared] or tariff.declared
    if not declared:
        return
    limits = [(of, of.tolerance) for of in declared if of.tolerance is not None]
    for of, tolerance in limits:
        for line in _named(result, REGISTER_DIFFERENCE):
            ours = line.part.startswith(of.name)
            if ours and line.value is not None and abs(line.value) > tolerance:
                yield Hold(
                    "register_sum",
                    f"the total's register − the registers by time of use is {line.value} "
                    f"{line.unit}, more than {float(tolerance):g}",
                )
