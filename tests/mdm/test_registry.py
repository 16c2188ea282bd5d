"""The registry import, on a real database, as a metering engineer would use it."""

import csv
import io
from collections.abc import Iterator

import pytest

from mdm import csv_rows, registry, usage_points
from mdm.registry_row import COLUMNS
from schemas import database
from schemas.database import Connection

GOOD = {
    "usage_point": "UP-1",
    "commodity": "electricity",
    "sector": "residential",
    "time_zone": "Asia/Kuwait",
    "tariff": "kw-residential",
    "billing_group": "A",
    "segment": "cell-1",
    "end_device": "M-1",
    "manufacturer": "ACME",
    "model": "X1",
    "protocol": "dlms",
    "profile": "generic",
    "host": "127.0.0.2",
    "port": "4059",
    "address": "client=1;server=1",
    "security": "hls-gmac",
    "interval_seconds": "900",
    "register_modulus": "1000000000",
    "multiplier": "40",
    "installed_from": "2026-01-01T00:00:00+03:00",
    "installed_until": "",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url) as connection:
        yield connection


def file(*rows: dict[str, str]) -> io.StringIO:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    text.seek(0)
    return text


def test_good_rows_land_and_come_back(connection: Connection) -> None:
    report = registry.import_registry(connection, file(GOOD))
    assert report.rejected == []
    assert report.added == {"usage_point": 1, "end_device": 1, "installation": 1}
    point = usage_points.named(connection, "UP-1")
    assert point is not None
    assert point.sector == "residential"
    (installation,) = usage_points.installations(connection, [point.id])
    assert installation.multiplier == 40
    assert installation.ends_at is None


def test_importing_again_changes_nothing(connection: Connection) -> None:
    registry.import_registry(connection, file(GOOD))
    report = registry.import_registry(connection, file(GOOD))
    assert not report.added
    assert not report.changed
    assert report.unchanged == {"usage_point": 1, "end_device": 1, "installation": 1}


def test_a_meter_exchange_is_two_lines(connection: Connection) -> None:
    moment = "2026-06-10T09:30:00+03:00"
    old = GOOD | {"installed_until": moment}
    new = GOOD | {"end_device": "M-2", "host": "127.0.0.3", "installed_from": moment}
    report = registry.import_registry(connection, file(old, new))
    assert report.rejected == []
    assert report.added["installation"] == 2


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("usage_point", "", "must not be empty"),
        ("commodity", "steam", "must be one of electricity, gas, heat, water"),
        ("sector", "farm", "must be one of agricultural"),
        ("time_zone", "Asia/Quwait", "IANA time zone"),
        ("port", "70000", "1 to 65535"),
        ("address", "client", "key=value"),
        ("interval_seconds", "1000", "divides a day"),
        ("register_modulus", "-5", "whole number"),
        ("multiplier", "0", "greater than 0"),
        ("multiplier", "NaN", "greater than 0"),
        ("multiplier", "1.0000001", "at most 6 decimals"),
        ("installed_from", "2026-01-01", "with its offset"),
        ("installed_until", "2025-01-01T00:00:00Z", "must be after"),
        ("security", "strong", "must be one of"),
        ("host", "", "needs a host and a port"),
    ],
)
def test_a_bad_row_is_reported_and_the_good_ones_land(
    connection: Connection, column: str, value: str, reason: str
) -> None:
    good = GOOD | {"usage_point": "UP-2", "end_device": "M-2"}
    report = registry.import_registry(connection, file(GOOD | {column: value}, good))
    (rejected,) = report.rejected
    assert (rejected.line, rejected.column) == (2, column)
    assert reason in rejected.reason
    assert usage_points.named(connection, "UP-2") is not None


def test_two_meters_at_once_are_refused_and_nothing_of_the_line_stays(
    connection: Connection,
) -> None:
    second = GOOD | {"end_device": "M-2"}
    report = registry.import_registry(connection, file(GOOD, second))
    (rejected,) = report.rejected
    assert rejected.line == 3
    assert "already has a meter" in rejected.reason
    row = connection.execute("SELECT count(*) FROM end_device WHERE mrid = 'M-2'").fetchone()
    assert row == (0,)


def test_a_usage_point_keeps_its_commodity(connection: Connection) -> None:
    registry.import_registry(connection, file(GOOD))
    water = GOOD | {"commodity": "water", "installed_from": "2027-01-01T00:00:00+03:00"}
    report = registry.import_registry(connection, file(water))
    assert "cannot change" in report.rejected[0].reason


def test_a_missing_column_is_told_before_anything_is_imported(connection: Connection) -> None:
    with pytest.raises(csv_rows.HeadingError, match="sector"):
        registry.import_registry(connection, io.StringIO("usage_point,commodity\nUP-1,water\n"))


def test_a_row_with_too_many_cells_is_reported(connection: Connection) -> None:
    text = file(GOOD)
    lines = text.getvalue().splitlines()
    report = registry.import_registry(connection, io.StringIO(f"{lines[0]}\n{lines[1]},surplus\n"))
    assert "more cells than columns" in report.rejected[0].reason


def test_channels_are_made_once(connection: Connection) -> None:
    registry.import_registry(connection, file(GOOD))
    point = usage_points.named(connection, "UP-1")
    assert point is not None
    key = (point.id, "active_energy_import_interval", 900)
    first = usage_points.ensure_channels(connection, [key])
    assert usage_points.ensure_channels(connection, [key, key]) == first
    assert [c.id for c in usage_points.channels(connection, [point.id])] == list(first.values())
