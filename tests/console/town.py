"""What tests of the pages share: a small town in the database, and the pages really served."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import uvicorn
from psycopg.types.json import Jsonb

from console.pages import application
from drivers import catalogue
from drivers.driver import ClockReading, Identity
from drivers.errors import DriverError, WrongKey
from drivers.meter_profile import Capture, MeterProfile, StoredProfile
from headend import clock, controls, devices, meter_profiles, sessions, unknown_devices
from headend.control_rules import Rules
from headend.controls import Wish
from headend.exchange import Request, Result
from headend.unknown_devices import Stranger
from mdm import cycle, registry, usage_points
from schemas import database, quality
from schemas.database import Connection
from schemas.event import EndDeviceEvent
from schemas.reading import IntervalBlock, RegisterReading
from tests.mdm import billing

NOW = billing.NOW
"""2026-06-05 09:00 in Kuwait."""

EVIL = "M/3?<script>alert('x')</script>&\"#%"
# The one script that pages have; any other would be somebody's name that ran.
SCRIPT = '<script src="/static/live.js" defer></script>'
INTERVALS_READ = 336

_INTERVAL, _REGISTER = "active_energy_import_interval", "active_energy_import"


def build(url: str) -> None:
    """Fill a database: one meter well, one that refuses, one never read, one read by hand."""
    with database.connect(url) as connection:
        clock.simulate(connection, NOW)
        rows = [
            row("M1", "UP1", multiplier="40", sector="commercial", tariff="kw-commercial"),
            row("M2", "UP2", security="hls-gmac"),
            row(EVIL, "<i>UP3</i>", segment="<b>cell</b>"),
            row("H1", "UP4", protocol="manual"),
        ]
        assert not registry.import_rows(connection, rows).rejected
        _well(connection)
        _refused(connection)
        _record(connection)
        _strangers(connection)
        _engineering(connection)
        run = cycle.run(connection, billing.june(connection, "monthly"), now=NOW)
        assert run.usage_points == 4


def _strangers(connection: Connection) -> None:
    """Have two devices push that the registry does not have, one with an evil name."""
    for kind, identity in (("system_title", "4D51530000000007"), ("name", EVIL)):
        reason = "no end device in the registry has it"
        seen = NOW - timedelta(hours=2)
        stranger = Stranger(kind, identity, "192.0.2.7", "udp", seen, 1234, reason)
        unknown_devices.note(connection, [stranger])


def _engineering(connection: Connection) -> None:
    """Controls of M1 in several states, and what it offers."""
    number = devices.named(connection, "M1").id
    rules = Rules(disconnects_a_day=0)
    for wish in (
        Wish("disconnect", "Noura", reason="<b>unpaid</b> since March"),
        Wish("read_switch", "Noura"),
        Wish("set_clock", "Salem", reason="after the repair"),
    ):
        asked = controls.request(
            connection, wish, drivers=catalogue.polled(), rules=rules, now=NOW, mrid="M1"
        )
        if wish.kind == "read_switch":
            done = {"switch": {"position": "disconnected", "supplied": False, "control_mode": 2}}
            for state in ("running", "done"):
                connection.execute(
                    "UPDATE end_device_control SET state = %s, result = %s WHERE id = %s",
                    [state, Jsonb(done), asked.controls[0]],
                )
    captured = Capture("3/1.0.1.29.0.255/2", _INTERVAL, 0, 30)
    profile = StoredProfile(
        "load_profile", "7/1.0.99.1.0.255/2", 900, (captured,), reads=("intervals",)
    )
    offers = MeterProfile("generic", (), (profile,), (_REGISTER,))
    meter_profiles.store(connection, number, offers, now=NOW)


def row(end_device: str, usage_point: str, **changes: str) -> dict[str, str]:
    """A line of the registry file."""
    return {
        "usage_point": usage_point, "commodity": "electricity", "sector": "residential",
        "time_zone": "Asia/Kuwait", "tariff": "kw-residential", "billing_group": "monthly",
        "segment": "cell-7", "end_device": end_device, "manufacturer": "ACME", "model": "X1",
        "protocol": "dlms", "profile": "generic", "host": "127.0.0.9", "port": "4059",
        "address": "", "security": "none", "interval_seconds": "900", "register_modulus": "",
        "multiplier": "1", "installed_from": "2026-05-01T00:00:00+03:00", "installed_until": "",
        **changes,
    }  # fmt: skip


@contextmanager
def served(url: str, *, hosts: tuple[str, ...] = ("127.0.0.1",), port: int = 0) -> Iterator[str]:
    """Serve the pages of a database on a port, 0 for a free one, for the length of a block."""
    listener = socket.create_server(("127.0.0.1", port))
    pages = application.application(url, hosts=hosts)
    server = uvicorn.Server(uvicorn.Config(pages, log_level="error", server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with database.kept_open(url, patience=3.0, checked=True):
        thread.start()
        try:
            deadline = time.monotonic() + 20
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.02)
            assert server.started
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            listener.close()


def _result(connection: Connection, mrid: str, when: datetime) -> Result:
    device = devices.named(connection, mrid)
    end = when + timedelta(seconds=3)
    return Result(Request(device, ("intervals",)), when, end, attempts=1, seconds=1.25)


def _well(connection: Connection) -> None:
    """M1 gave three and a half days of June, of which it says that one slot was never there."""
    result = _result(connection, "M1", NOW - timedelta(hours=3))
    start = billing.PERIOD.start
    codes = np.zeros(INTERVALS_READ + 1, np.int16)
    codes[-1] = quality.MISSING
    values = np.full(len(codes), 25, np.int64)
    result.blocks = [IntervalBlock(_INTERVAL, start, 900, values, codes)]
    result.registers = [RegisterReading(_REGISTER, result.started_at, 1_234_567)]
    result.events = [EndDeviceEvent(datetime(2026, 6, 3, 9, tzinfo=UTC), "power", 1, "Power down")]
    result.identity = Identity(serial="S-1", manufacturer="ACME", model="X1", firmware="2.7")
    result.clock = ClockReading(result.started_at + timedelta(seconds=4), result.started_at)
    sessions.record(connection, [result], batch_id=None, now=NOW)


def _refused(connection: Connection) -> None:
    result = _result(connection, "M2", NOW - timedelta(days=2))
    error: DriverError = WrongKey("M2: the meter refuses <our> key")
    result.error, result.failing = error, True
    sessions.record(connection, [result], batch_id=None, now=NOW)


def _record(connection: Connection) -> None:
    """The record of M1's place has every class of quality; validation doubts a spike in it."""
    point = usage_points.named(connection, "UP1")
    assert point
    keys = [(point.id, _INTERVAL, 900), (point.id, _REGISTER, 0)]
    channels = usage_points.ensure_channels(connection, keys)
    values = [1000] * billing.SLOTS
    values[50], values[60] = 90_000, 0
    codes = {
        50: quality.SUSPECT, 60: quality.MISSING, 100: quality.ESTIMATED_LINEAR,
        101: quality.EDITED,
    }  # fmt: skip
    billing.record_intervals(connection, channels[keys[0]], values, codes)
    (installation,) = usage_points.installations(connection, [point.id])
    dials = {billing.PERIOD.start: 1_000, billing.PERIOD.end: 10_450}
    billing.record_register(connection, channels[keys[1]], installation.id, dials)
    connection.execute(
        "INSERT INTO vee_run (ran_at, rule_set, rule_set_digest, channels, days, versions, opened,"
        " closed) VALUES (%s, 'tests', 'd', 1, 3, 3, 1, 0)",
        [NOW],
    )
    connection.execute(
        "INSERT INTO finding (channel_id, day, starts_at, ends_at, rule, severity, action,"
        " found_at, vee_run_id) SELECT %s, %s, %s, %s, 'spike', 'issue', 'suspect', %s, id"
        " FROM vee_run",
        [
            channels[keys[0]],
            billing.PERIOD.start,
            billing.PERIOD.start + timedelta(minutes=750),
            billing.PERIOD.start + timedelta(minutes=765),
            NOW,
        ],
    )
