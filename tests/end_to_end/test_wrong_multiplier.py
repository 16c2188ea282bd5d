"""A meter that is set to another transformer ratio than the registry has: from the meter to the
worklist.

Simulated meters are read by the head-end's queue and collector; validation finds what they say.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from headend import clock, groups, jobs, schedules
from headend.capacity import Limits
from mdm import registry, vee
from schemas import database, quality
from simulators import control
from simulators import fleet as fleets

LIMITS = Limits(timeout=2.0, lease_wait=1.0, flush_seconds=0.2)
FLEET = """
seed = 7
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
now = "end"

[[group]]
name = "shops"
protocol = "dlms"
count = 2
profile = "generic"
security = "none"
sector = "commercial"
tariff = "kw-commercial"
multiplier = 40
first_address = "127.11.7.1"

[[group]]
name = "works"
protocol = "modbus"
count = 2
profile = "chint-dtsu666"
sector = "commercial"
tariff = "kw-commercial"
multiplier = 40
interval = 3600
first_address = "127.11.7.11"

[[fault]]
kind = "wrong_multiplier"
meters = ["M00002", "M00004"]
at = 2026-06-02T00:00:00
factor = 2
"""


def test_a_ratio_that_is_not_the_registrys_is_on_the_worklist(
    database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text(FLEET, "utf-8")
    fleet = fleets.load(path)
    end = fleet.period.end + timedelta(minutes=10)
    with (
        database.connect(database_url, autocommit=True) as connection,
        control.running(path, now=end) as running,
    ):
        rows = fleet.registry(
            dlms_port=running.dlms_port, modbus_port=running.modbus_port, broker="mqtt://none"
        )
        assert registry.import_rows(connection, rows).rejected == []
        groups.put(connection, "all", selector={})
        schedules.add(
            connection, "daily", group="all", now=end - timedelta(days=1), cron="0 0 * * *",
            reads=["registers", "register_history", "intervals"], time_zone="Asia/Kuwait",
        )  # fmt: skip
        clock.simulate(connection, end)
        jobs.drain(database_url, end, limits=LIMITS)
        told = connection.execute(
            "SELECT d.mrid, r.current_ratio, r.voltage_ratio FROM transformer_ratio r"
            " JOIN end_device d ON d.id = r.end_device_id ORDER BY 1"
        ).fetchall()
        # 200 A to 5 A is 40; the wrong ones say 400 to 5, and IrAt 80.
        assert told == [
            ("M00001", 40_000, 1000), ("M00002", 80_000, 1000),
            ("M00003", 40_000, 1000), ("M00004", 80_000, 1000),
        ]  # fmt: skip
        while vee.run(connection, now=end + timedelta(hours=1)).taken:
            pass
        found = connection.execute(
            "SELECT DISTINCT u.mrid, f.severity::text, f.observed, f.limit FROM finding f"
            " JOIN channel c ON c.id = f.channel_id JOIN usage_point u ON u.id = c.usage_point_id"
            " WHERE f.rule = 'other_multiplier' ORDER BY 1"
        ).fetchall()
        (point,) = connection.execute(
            "SELECT u.mrid FROM usage_point u JOIN installation i ON i.usage_point_id = u.id"
            " JOIN end_device d ON d.id = i.end_device_id WHERE d.mrid = 'M00002'"
        ).fetchall()
        assert found == [(point[0], "issue", 80.0, 40.0)]
        doubted = connection.execute(
            "SELECT bool_and(quality = %s) FROM reading WHERE usage_point = %s"
            " AND reading_type = 'active_energy_import_interval'",
            [quality.SUSPECT, point[0]],
        ).fetchone()
        assert doubted == (True,)
