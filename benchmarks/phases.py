"""Where the time of validation goes: CPU by phase, of the worker and of its database backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from mdm import (
    intake,
    intake_channels,
    intake_raw,
    readings,
    readings_stretch,
    vee_findings,
    vee_light,
    vee_registers,
)
from validation import engine

Phases = tuple[tuple[ModuleType, str, str], ...]
"""Module, function, and the name of the phase on which its time is booked."""

_PHASES: Final[Phases] = (
    (intake, "claim", "claim"),
    (intake, "settle", "claim"),
    (intake_raw, "blocks", "raw out"),
    (intake_raw, "registers", "raw out"),
    (intake_channels, "of_points", "channels"),
    (intake_channels, "with_new", "channels"),
    (intake_channels, "recorded", "history out"),
    (intake_channels, "history", "history out"),
    (readings, "current", "history out"),
    (readings_stretch, "of", "stretches"),
    (readings_stretch, "follow", "stretches"),
    (vee_light, "keep", "stretches"),
    (vee_light, "lacking", "light or not"),
    (vee_light, "differing", "light or not"),
    (engine, "run", "engine"),
    (readings, "record", "final in"),
    (vee_registers, "record", "registers in"),
    (vee_findings, "keep", "findings"),
)
"""Functions whose time is a phase's; of one that calls another each has its own part."""

Share = dict[str, list[float]]


class Watch:
    """Counts CPU seconds by phase: ``spent[phase]`` is [worker, database]."""

    def __init__(self, backend: int) -> None:
        self.backend = backend
        self.spent: Share = {}
        self._open = ["rest"]
        self._since = self._now()

    def _now(self) -> tuple[float, float]:
        return time.process_time(), cpu_of(self.backend)

    def _turn(self) -> None:
        """Book what was spent since the last turn on the phase that is open."""
        now = self._now()
        spent = self.spent.setdefault(self._open[-1], [0.0, 0.0])
        for side in (0, 1):
            spent[side] += now[side] - self._since[side]
        self._since = now

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book a block's time on a phase."""
        self._turn()
        self._open.append(name)
        try:
            yield
        finally:
            self._turn()
            self._open.pop()

    def done(self) -> Share:
        """Give what was spent by phase."""
        self._turn()
        return self.spent

    def wrapped(self, of: Callable[..., Any], phase: str) -> Callable[..., Any]:
        """Give a function whose time is booked on a phase."""

        def booked(*arguments: Any, **named: Any) -> Any:
            with self.phase(phase):
                return of(*arguments, **named)

        return booked


@contextmanager
def watched(backend: int, phases: Phases = _PHASES) -> Iterator[Watch]:
    """Watch the phases of some work in this process for the length of a block.

    Parameters
    ----------
    backend : process id of the database backend that the worker talks to
    phases : functions and what their time is booked on; those of validation unless given
    """
    watch = Watch(backend)
    known = [(module, name, getattr(module, name)) for module, name, _ in phases]
    for module, name, phase in phases:
        setattr(module, name, watch.wrapped(getattr(module, name), phase))
    try:
        yield watch
    finally:
        for module, name, function in known:
            setattr(module, name, function)


def cpu_of(process: int) -> float:
    """Give the CPU time of a process on this machine [s]; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def shares(found: list[Share], of: int) -> dict[str, dict[str, float]]:
    """Give the µs of each phase for one of ``of`` channel-days, workers together."""
    names = list(dict.fromkeys(name for each in found for name in each))
    total = {
        name: [sum(each[name][side] for each in found if name in each) for side in (0, 1)]
        for name in names
    }
    ordered = sorted(total.items(), key=lambda item: -sum(item[1]))
    return {
        name: {"worker": round(1e6 * worker / of, 1), "database": round(1e6 * database / of, 1)}
        for name, (worker, database) in ordered
    }
