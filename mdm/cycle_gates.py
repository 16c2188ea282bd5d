"""Gates: why a usage point is held instead of billed. Pure arithmetic on a result."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, NamedTuple

from mdm import tariff as names
from mdm.determinants.composition import Result
from mdm.determinants.determinant import Counts
from mdm.determinants.registers import MICRO
from mdm.tariff import Tariff

GATES: Final = {
    "consumption": "There is no complete source of the billed quantity.",
    "overlap": "Two channels have intervals of the same time, which would be billed twice.",
    "missing": "More intervals are missing than the tariff allows.",
    "estimated": "More intervals are estimated than the tariff allows.",
    "edited": "More intervals are edited than the tariff allows.",
    "questionable": "More intervals failed validation unresolved than the tariff allows.",
    "register_difference": "Intervals and registers, both complete, differ by more than allowed.",
}
"""Every gate there is."""


class Hold(NamedTuple):
    """A gate that a usage point did not pass, and the figures that say so."""

    gate: str
    detail: str


def holds(tariff: Tariff, result: Result) -> tuple[Hold, ...]:
    """List the gates that a result does not pass; none means that it may be billed."""
    return tuple(_holds(tariff, result))


def _holds(tariff: Tariff, result: Result) -> Iterator[Hold]:
    for determinant in result.determinants:
        if determinant.name == names.CONSUMPTION and determinant.value is None:
            yield Hold("consumption", determinant.note)
    if result.overlapping:
        yield Hold("overlap", "two channels have intervals of the same time")
    yield from _shares(tariff, result.counts)
    limit, difference = tariff.gates.register_difference, result.difference
    if limit is None or difference is None or result.register_micro is None:
        return
    if abs(difference) * 100 > limit * abs(result.register_micro):
        # The gates work in the stored unit: Wh, litre.
        amount = Decimal(difference) / MICRO
        yield Hold(
            "register_difference",
            f"intervals − registers is {amount.normalize():f} in the stored unit, "
            f"more than {limit} % of the registers' consumption",
        )


def _shares(tariff: Tariff, counts: Counts) -> Iterator[Hold]:
    for gate in ("missing", "estimated", "edited", "questionable"):
        limit: Decimal | None = getattr(tariff.gates, gate)
        number: int = getattr(counts, gate)
        if limit is not None and number * 100 > limit * counts.expected:
            share = Decimal(number * 100) / counts.expected
            yield Hold(
                gate,
                f"{number} of {counts.expected} intervals ({share:.2f} %) are {gate}, "
                f"at most {limit} % may be",
            )
