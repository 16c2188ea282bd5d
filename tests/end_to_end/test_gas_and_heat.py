"""Gas and heat meters by MQTT: from the telegram to the record's intervals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from drivers.mqtt.payload import Message
from headend import publishers
from headend.directory import Directory
from mdm import registry, vee
from schemas import database
from tests.console.town import row

START = datetime(2026, 6, 2, 21, tzinfo=UTC)
NOW = START + timedelta(days=3)


@pytest.mark.parametrize(
    ("commodity", "field", "kind", "step"),
    [
        ("gas", "total_m3", "gas_volume_interval", 250),
        ("heat", "total_kwh", "heat_energy_interval", 250),
    ],
)
def test_telegrams_become_intervals(
    database_url: str, commodity: str, field: str, kind: str, step: int
) -> None:
    meter = row(
        "G1", "UP1", commodity=commodity, protocol="mqtt", profile="wmbusmeters", host="", port="",
        interval_seconds="3600", sector="residential",
    )  # fmt: skip
    telegrams = [
        {
            "media": commodity, "name": "G1", "id": "1", field: 10 + hour * step / 1000,
            "timestamp": (START + timedelta(hours=hour)).isoformat(),
        }
        for hour in range(25)
    ]  # fmt: skip
    messages = [Message("wmbusmeters/G1", json.dumps(one).encode(), NOW) for one in telegrams]
    with database.connect(database_url) as connection:
        assert not registry.import_rows(connection, [meter]).rejected
        heard = publishers.land(connection, messages, Directory.load(connection), now=NOW)
        assert (heard.registers, heard.quarantined) == (25, 0)
        while vee.run(connection, now=NOW).taken:
            pass
        values = connection.execute(
            "SELECT reading_type, value, quality FROM reading"
            " WHERE starts_at >= %s AND starts_at < %s ORDER BY starts_at",
            [START, START + timedelta(days=1)],
        ).fetchall()
    assert values == [(kind, step, 0)] * 24
