"""The demonstration's judgement: what it takes for found, and what makes it fail."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest

from console.demo import evidence, reconciliation
from console.demo.evidence import Evidence
from simulators import faults

AT = pd.Timestamp("2026-06-10T09:00:00Z")
HOUR = pd.Timedelta(hours=1)


def bill(**changed: object) -> dict[str, object]:
    """Make a bill of 1.5 kWh that is right."""
    return {
        "usage_point": "UP1",
        "unit": "kWh",
        "state": "billed",
        "consumption": Decimal("1.500"),
        "register_consumption": Decimal("1.500"),
        "interval_consumption": Decimal("1.500"),
    } | changed


def judged(faults: list[tuple[str, str]], true: int = 1500, **changed: object) -> pd.DataFrame:
    energy = pd.DataFrame(
        [("UP1", "active_energy_import_interval", true)],
        columns=["usage_point", "reading_type", "value"],
    )
    table = pd.DataFrame(faults, columns=["usage_point", "kind"])
    return reconciliation._bills(pd.DataFrame([bill(**changed)]), energy, table)


def test_a_right_bill_is_no_violation() -> None:
    bills = judged([])
    assert bills["difference"].tolist() == [Decimal(0)]
    assert reconciliation._violations(bills) == []


def test_a_single_watt_hour_at_a_meter_without_fault_is_one() -> None:
    (problem,) = reconciliation._violations(judged([], true=1501))
    assert "UP1: no fault" in problem
    assert "-0.001" in problem


def test_a_meter_with_a_fault_may_differ_from_the_truth() -> None:
    assert reconciliation._violations(judged([("UP1", "clock_drift")], true=1501)) == []


def test_intervals_must_equal_a_register_that_is_known_at_both_ends() -> None:
    bills = judged([("UP1", "gap")], interval_consumption=Decimal("1.499"))
    (problem,) = reconciliation._violations(bills)
    assert "intervals give 1.499 kWh, the register gives 1.500" in problem


def test_a_fault_free_meter_that_is_not_billed_is_one() -> None:
    bills = judged([], consumption=None, register_consumption=None, interval_consumption=None)
    assert len(reconciliation._violations(bills)) == 1


def test_water_is_compared_in_the_bills_unit() -> None:
    # 4546.09 litres are 1000 imperial gallons.
    assert reconciliation._in_unit(454_609, "1000 imperial gallons") == Decimal("100.000000")


@pytest.fixture
def seen() -> Evidence:
    columns = ["usage_point", "rule", "starts_at", "ends_at", "state"]
    return Evidence(
        findings=pd.DataFrame([("UP1", "gap", AT, AT + HOUR, "open")], columns=columns),
        sessions=pd.DataFrame(
            [
                ("M1", "dlms", AT, AT + HOUR, "WrongKey", 1, 0.1),
                ("M2", "dlms", AT, AT + HOUR, None, 2, 0.9),
                ("M3", "dlms", AT, AT + HOUR, None, 1, 0.1),
            ],
            columns=[
                "end_device", "protocol", "starts_at", "ends_at", "error", "attempts", "seconds",
            ],
        ),
        deviations={"M1": 301.0},
        intervals=pd.DataFrame(
            [("UP1", AT, 5, 5)], columns=["usage_point", "starts_at", "recorded", "true"]
        ),
        exact=frozenset({"UP1"}),
        until=AT + 24 * HOUR,
    )  # fmt: skip


def fault(kind: str, *, device: str = "M1", point: str = "UP1", detail: str = "") -> pd.DataFrame:
    return pd.DataFrame(
        [(device, point, kind, AT, AT + HOUR, detail)],
        columns=["end_device", "usage_point", "kind", "starts_at", "ends_at", "detail"],
    )


@pytest.mark.parametrize(
    ("there", "elsewhere"),
    [
        (fault("gap"), fault("gap", point="UP2")),
        (fault("wrong_key"), fault("wrong_key", device="M3")),
        (fault("reset_in_transfer", device="M2"), fault("reset_in_transfer", device="M3")),
        (fault("slow_line", device="M2"), fault("slow_line", device="M3")),
        (fault("clock_drift", detail="seconds=300"), fault("clock_drift", detail="seconds=-300")),
        (fault("rollover"), fault("rollover", point="UP2")),
        (fault("duplicate", detail="value=same"), fault("duplicate", detail="value=different")),
        (fault("dead_line"), fault("dead_line", device="M3", point="UP2")),
    ],
)
def test_a_fault_is_found_where_it_left_its_mark_and_not_elsewhere(
    seen: Evidence, there: pd.DataFrame, elsewhere: pd.DataFrame
) -> None:
    assert evidence.found(seen, there)["found"].tolist() == [1]
    assert evidence.found(seen, elsewhere)["found"].tolist() == [0]


def test_every_kind_of_fault_has_its_evidence() -> None:
    assert set(evidence._CHECKS) == set(faults.KINDS)
