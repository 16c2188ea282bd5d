"""Registers beside each other: resets, tariff registers, two meters, reactive energy."""

from datetime import datetime

from mdm import vee
from schemas.database import Connection
from tests.mdm import record
from tests.mdm.record import NOW
from tests.mdm.taking_in import CURVE, DAY, HOUR, ONE, WEEKS, dials, meter
from validation import ruleset

REGISTERS = (
    ruleset.parse(
        """
        name = "electricity"
        effective_from = 2000-01-01
        description = "Rules about what stands beside the intervals."
        scale_to_register = false
        estimators = []
        [rules.register_limit]
        severity = "issue"
        action = "note"
        high_per_day = 90000
        low_per_day = 0
        [rules]
        register_decrease = { severity = "issue", action = "note" }
        register_rollover = { severity = "info", action = "note" }
        tou_sum_check = { severity = "issue", action = "note", tolerance = 4, relative = 0 }
        sibling_missing = { severity = "info", action = "note" }
        sibling_zero = { severity = "issue", action = "note", minimum = 100 }
        """,
        "tests",
    ),
)


def beside(connection: Connection) -> list[tuple[str, datetime, datetime]]:
    vee.run(connection, now=NOW, weeks=WEEKS, rule_sets=REGISTERS)
    return record.findings(connection)


def test_a_register_that_falls_is_reset_or_rolls_over(connection: Connection) -> None:
    meter(connection, register_modulus=100_000)
    record.land(connection, "M-1", DAY, CURVE * 3)
    record.land_registers(connection, "M-1", dials(99_986, 11, 5000, 4000))
    # A tariff's register falls at the same time: one finding says so.
    record.land_registers(connection, "M-1", dials(7, 8, 9, 8), reading_type_id=5)
    found = beside(connection)
    assert ("register_rollover", DAY, DAY + ONE) in found
    falls = [each for each in found if each[0] == "register_decrease"]
    assert falls == [("register_decrease", DAY + 2 * ONE, DAY + 3 * ONE)]


def test_tariff_registers_are_held_against_the_total(connection: Connection) -> None:
    meter(connection, multiplier="40")
    record.land(connection, "M-1", DAY, CURVE * 2)
    record.land_registers(connection, "M-1", dials(0, 100, 300))
    record.land_registers(connection, "M-1", dials(0, 60, 160), reading_type_id=5)
    record.land_registers(connection, "M-1", dials(0, 40, 139), reading_type_id=6)
    assert beside(connection) == [("tou_sum_check", DAY + ONE, DAY + 2 * ONE)]
    row = connection.execute('SELECT observed, "limit" FROM finding').fetchone()
    assert row == (199 * 40, 200 * 40)


def test_two_meters_registers_are_never_compared(connection: Connection) -> None:
    point = record.usage_point(connection, "UP-1")
    noon = DAY + 12 * HOUR
    record.installation(connection, point, "OLD", until=noon)
    record.installation(connection, point, "NEW", since=noon)
    record.land(connection, "OLD", DAY, CURVE[:48])
    record.land(connection, "NEW", noon, CURVE[48:])
    record.land_registers(connection, "OLD", [(DAY, 9000), (noon, 9500)])
    record.land_registers(connection, "NEW", [(noon, 3), (DAY + ONE, 80_000)])
    # 80,000 in half a day is more than 90,000 a day.
    assert beside(connection) == [("register_limit", noon, DAY + ONE)]


def test_reactive_energy_stands_beside_active_energy(connection: Connection) -> None:
    meter(connection)
    record.land(connection, "M-1", DAY, CURVE * 2)
    record.land(connection, "M-1", DAY, [0] * 96, reading_type_id=13)
    assert beside(connection) == [
        ("sibling_missing", DAY + ONE, DAY + 2 * ONE),
        ("sibling_zero", DAY, DAY + ONE),
    ]
