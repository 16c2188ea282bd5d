"""Which injected faults the system noticed, or came through unharmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

# A measured clock deviation may differ from the label by this: reading a clock takes time.
_CLOCK_SECONDS: Final = 5.0
_SLOW_TIMES: Final = 3.0
_LATE: Final = pd.Timedelta(days=1, hours=1)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the record says, to look faults up in.

    Attributes
    ----------
    findings : usage_point, rule, starts_at, ends_at
    sessions : end_device, protocol, starts_at, error, attempts, seconds
    deviations : measured clock deviation by end device [s]
    intervals : final intervals beside the truth: usage_point, starts_at, recorded, true
    exact : usage points whose billed quantity equals the truth
    until : the end of the data
    """

    findings: pd.DataFrame
    sessions: pd.DataFrame
    deviations: dict[str, float]
    intervals: pd.DataFrame
    exact: frozenset[str]
    until: pd.Timestamp


Check = Callable[[Evidence, Any], bool]


def found(evidence: Evidence, faults: pd.DataFrame) -> pd.DataFrame:
    """Count the faults of each kind, and those that were found.

    Returns
    -------
    columns kind, injected, found, how (what counts as found); by kind
    """
    marked = faults.assign(
        found=[_CHECKS[str(fault.kind)][1](evidence, fault) for fault in faults.itertuples()]
    )
    table = marked.groupby("kind", sort=True)["found"].agg(injected="size", found="sum")
    table["how"] = [_CHECKS[str(kind)][0] for kind in table.index]
    return table.reset_index()


def _end(evidence: Evidence, fault: Any) -> pd.Timestamp:
    return evidence.until if pd.isna(fault.ends_at) else fault.ends_at


def _rule(*rules: str) -> Check:
    def check(evidence: Evidence, fault: Any) -> bool:
        rows = evidence.findings
        here = rows["usage_point"].eq(fault.usage_point) & rows["rule"].isin(rules)
        meets = rows["starts_at"].lt(_end(evidence, fault)) & rows["ends_at"].gt(fault.starts_at)
        return bool((here & meets).any())

    return check


def _of_device(evidence: Evidence, fault: Any) -> pd.DataFrame:
    """Give the device's sessions while the fault was there, or soon after."""
    rows = evidence.sessions
    during = rows["starts_at"].between(fault.starts_at, _end(evidence, fault) + _LATE)
    return rows[rows["end_device"].eq(fault.end_device) & during]


def _error(*classes: str) -> Check:
    def check(evidence: Evidence, fault: Any) -> bool:
        return bool(_of_device(evidence, fault)["error"].isin(classes).any())

    return check


def _dead(evidence: Evidence, fault: Any) -> bool:
    """A polled meter's sessions fail; a silent publisher leaves a gap."""
    link = _error("Unreachable", "Refused", "TimedOut", "Broken", "LinkError")
    return link(evidence, fault) or _rule("gap")(evidence, fault)


def _slow(evidence: Evidence, fault: Any) -> bool:
    own = _of_device(evidence, fault)
    if own.empty:
        return False
    peers = evidence.sessions[evidence.sessions["protocol"].eq(own["protocol"].iloc[0])]
    return bool(own["seconds"].median() > _SLOW_TIMES * peers["seconds"].median())


def _resets(evidence: Evidence, fault: Any) -> bool:
    own = _of_device(evidence, fault)
    return bool((own["attempts"].gt(1) | own["error"].eq("Broken")).any())


def _clock(evidence: Evidence, fault: Any) -> bool:
    label = float(dict(pair.split("=") for pair in fault.detail.split(";"))["seconds"])
    measured = evidence.deviations.get(fault.end_device)
    return measured is not None and abs(measured - label) <= _CLOCK_SECONDS


def _absorbed(evidence: Evidence, fault: Any) -> bool:
    """The record equals the truth where the fault was."""
    rows = evidence.intervals
    here = rows["usage_point"].eq(fault.usage_point)
    during = rows["starts_at"].ge(fault.starts_at) & rows["starts_at"].lt(_end(evidence, fault))
    there = rows[here & during]
    return not there.empty and bool(there["recorded"].eq(there["true"]).all())


def _duplicate(evidence: Evidence, fault: Any) -> bool:
    same = "value=different" not in fault.detail
    return _absorbed(evidence, fault) if same else _rule("duplicate")(evidence, fault)


def _billed(evidence: Evidence, fault: Any) -> bool:
    return fault.usage_point in evidence.exact


_CHECKS: Final[dict[str, tuple[str, Check]]] = {
    "gap": ("a gap finding covers it", _rule("gap")),
    "duplicate": ("same value: absorbed; another value: a duplicate finding", _duplicate),
    "spike": ("a spike or sum-check finding covers it", _rule("spike", "sum_check")),
    "stuck_register": (
        "a stuck, zero-run, register or sum-check finding covers it",
        _rule("stuck", "zero_run", "short_zero_run", "sum_check", "register_misread"),
    ),
    "rollover": ("the bill is exact across it", _billed),
    "clock_drift": ("the measured clock deviation is the labelled one", _clock),
    "dead_line": ("failed sessions, or a gap where the meter publishes", _dead),
    "slow_line": (f"sessions last over {_SLOW_TIMES:.0f}× the median", _slow),
    "wrong_key": ("sessions end with WrongKey", _error("WrongKey")),
    "wrong_multiplier": ("the multiplier rule names it", _rule("other_multiplier")),
    "reset_in_transfer": ("sessions were broken and tried again", _resets),
    "meter_exchange": ("the bill is exact across it", _billed),
}
