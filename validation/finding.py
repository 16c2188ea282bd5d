"""Findings: what failed, where, and by how much, as columns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Severity(IntEnum):
    """How much a finding matters."""

    INFO = 0
    ISSUE = 1
    TERMINATE = 2


class Action(IntEnum):
    """What was done with the values that a finding names."""

    NOTE = 0
    SUSPECT = 1
    ESTIMATE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Findings as columns, one row a finding, ordered by channel, start, end and rule.

    Attributes
    ----------
    names : the rules' names, which ``rule`` counts into
    channel : shape (k,), row of the channel in the cube
    rule : shape (k,), index into ``names``
    severity : shape (k,), ``Severity``
    action : shape (k,), ``Action`` that was taken
    day : shape (k,), day of the first slot, counted in the cube's days
    first_slot : shape (k,), first slot in ``day``
    last_day : shape (k,), day of the last slot; ``day`` but for register spans
    last_slot : shape (k,), last slot, inclusive, in ``last_day``
    observed : shape (k,), what was seen, in the unit that the rule's page names
    limit : shape (k,), what it was held against
    """

    names: tuple[str, ...]
    channel: NDArray[np.int32]
    rule: NDArray[np.int16]
    severity: NDArray[np.int8]
    action: NDArray[np.int8]
    day: NDArray[np.int32]
    first_slot: NDArray[np.int32]
    last_day: NDArray[np.int32]
    last_slot: NDArray[np.int32]
    observed: NDArray[np.float64]
    limit: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.channel)
