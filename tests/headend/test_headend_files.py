from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from headend import files
from schemas.database import Connection
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 3, tzinfo=UTC)
START = datetime(2026, 6, 1, tzinfo=UTC)
HEADER = "end_device,reading_type,starts_at,interval_seconds,value,unit,quality\n"


def row(device: str, hour: int, value: str, kind: str = "active_energy_import_interval") -> str:
    at = START + timedelta(hours=hour)
    return f"{device},{kind},{at.isoformat()},3600,{value},kWh,\n"


def import_csv(connection: Connection, text: str) -> files.FileReport:
    with connection.transaction():
        return files.import_readings(
            connection, text.encode(), file_format="csv", name="june.csv", now=NOW
        )


def test_good_rows_land_and_each_bad_one_is_reported(connection: Connection) -> None:
    end_device(connection, "M1", protocol="manual", host=None)
    text = (
        HEADER + row("M1", 0, "1.5") + row("M1", 1, "x") + row("M1", 2, "2.5") + row("NO", 0, "1")
    )
    report = import_csv(connection, text)
    assert (report.intervals, report.already_there, report.end_devices) == (2, 0, 1)
    assert [(one.line, one.column, one.value) for one in report.rejected] == [
        (3, "value", "x"),
        (5, "end_device", "NO"),
    ]
    assert "import it first" in report.rejected[1].reason
    rows = connection.execute(
        "SELECT starts_at, value, source FROM raw_reading ORDER BY 1"
    ).fetchall()
    assert rows == [
        (START, 1500, "file:june.csv"),
        (START + timedelta(hours=2), 2500, "file:june.csv"),
    ]
    assert count(connection, "arrival") == 2


def test_importing_again_changes_nothing_and_says_so(connection: Connection) -> None:
    end_device(connection, "M1", protocol="manual", host=None)
    text = HEADER + "".join(row("M1", hour, "1") for hour in range(30))
    first, again = import_csv(connection, text), import_csv(connection, text)
    assert (first.intervals, first.already_there) == (30, 0)
    assert (again.intervals, again.already_there) == (0, 30)
    # Two days: a block never crosses midnight.
    assert count(connection, "raw_interval_block") == 2


def test_a_serial_number_names_its_meter(connection: Connection) -> None:
    end_device(connection, "M1", protocol="manual", host=None, address='{"serial": "S-77"}')
    assert import_csv(connection, HEADER + row("S-77", 0, "1")).intervals == 1


def test_nem12_finds_the_meter_by_its_usage_point(connection: Connection) -> None:
    end_device(connection, "6103A", protocol="manual", host=None)
    values = ",".join(["0.25"] * 48)
    text = (
        "100,NEM12,202606030000,MDP,RETAILER\r\n"
        "200,UP-6103A,E1E2,,E1,N1,,KWH,30,\r\n"
        f"300,20260602,{values},A,,,20260603000000,\r\n"
        "200,UP-6103A,E1E2,,E2,N2,,KWH,30,\r\n"
        f"300,20260602,{values},A,,,20260603000000,\r\n"
        "900\r\n"
    )
    report = files.import_readings(
        connection, text.encode(), file_format="nem12", name="a.nem12", now=NOW
    )
    assert (report.intervals, report.end_devices) == (48, 1)
    # A second register of the same quantity cannot stand beside the first at one meter.
    [rejected] = report.rejected
    assert (rejected.column, rejected.value) == ("register", "E2")


def test_an_unknown_format_is_refused_by_name(connection: Connection) -> None:
    with pytest.raises(files.UnknownFormat, match="there are: csv, nem12"):
        files.import_readings(connection, b"", file_format="pdf", name="x", now=NOW)
