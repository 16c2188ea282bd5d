"""The head-end against meters of every security: keys, counters, what is shown of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from drivers.dlms.security_settings import Wanted
from headend import clock, devices, keys, on_demand, overview
from headend.capacity import Limits
from mdm import registry
from schemas.database import Connection
from simulators import control
from simulators import fleet as fleets
from simulators import keys as meter_keys
from tests.headend.registry import end_device

FLEET = fleets.load("security")
END = FLEET.period.end + timedelta(minutes=10)
LIMITS = Limits(timeout=2.0, lease_wait=1.0, flush_seconds=0.2)
KEYS = FLEET.keys()
METERS = {meter.group: meter.mrid for meter in FLEET.meters}
# One of each ciphering and of each mechanism.
ASKED = (
    "hls-md5", "hls-sha256", "hls-ecdsa-1", "gmac-open", "gmac-suite-2", "lls-encrypted",
    "dedicated", "general", "general-dedicated", "identified", "wrapped", "one-pass-ecdsa",
    "static",
)  # fmt: skip
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def url(database_url: str, connection: Connection) -> Iterator[str]:
    """A registered fleet, served."""
    with control.running("security", now=END) as running:
        rows = FLEET.registry(dlms_port=running.dlms_port, modbus_port=1, broker="mqtt://none")
        assert registry.import_rows(connection, rows).rejected == []
        assert keys.import_keys(connection, FLEET.keys(), now=END).rejected == ()
        clock.simulate(connection, END)
        yield database_url


def test_meters_are_read_twice_and_after_its_counters_were_lost(
    url: str, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """The second reading is another process' as far as counters go: none is used again.

    The third is as after a restored database: what a meter refuses is set right from its counter.
    """
    caplog.set_level(logging.DEBUG)
    for attempts in (1, 1, 2):
        if attempts == 2:
            connection.execute("UPDATE invocation_counter SET next_value = 1")
        for name in ASKED:
            mrid = METERS[name]
            done = on_demand.read(url, mrid, reads=["clock"], limits=LIMITS)
            assert (done.outcome, done.error) == ("ok", None), name
            expected = attempts if devices.named(connection, mrid).is_counted() else 1
            assert done.attempts == expected, name
    shown = caplog.text + dump(connection)
    for row in KEYS:
        assert row["key_hex"] not in shown


def dump(connection: Connection) -> str:
    """Give everything that the head-end's tables say, sealed keys too."""
    tables = ("end_device", "end_device_key", "device_status", "read_session", "job_batch")
    known = connection.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    ).fetchall()
    names = [name for (name,) in known if name in tables]
    assert "end_device_key" in names
    return "".join(
        str(connection.execute(f"SELECT json_agg(t) FROM {name} t").fetchone()) for name in names
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [("hls-ecdsa-2", "client_signing"), ("wrapped", "master"), ("one-pass", "meter_signing")],
)  # fmt: skip
def test_a_wrong_key_is_diagnosed_as_that_and_the_right_one_mends_it(
    url: str, connection: Connection, name: str, kind: str
) -> None:
    meter = next(one for one in FLEET.meters if one.group == name)
    right = next(row for row in KEYS if (row["end_device"], row["kind"]) == (meter.mrid, kind))
    other = meter_keys.of(meter, kind)[::-1]
    if kind.startswith(("client", "meter")):
        pair = meter_keys.pair(meter, kind, "/another")
        other = pair.private if kind.startswith("client") else pair.public
    keys.import_keys(connection, [right | {"key_hex": other.hex()}], now=END)
    failed = on_demand.read(url, meter.mrid, reads=["clock"], limits=LIMITS)
    assert failed.outcome == "failed"
    assert overview.status(connection, meter.mrid, now=END).verdict.name == "wrong_key"
    keys.import_keys(connection, [right], now=END)
    assert on_demand.read(url, meter.mrid, reads=["clock"], limits=LIMITS).outcome == "ok"


def test_keys_are_checked_by_kind_and_suite(connection: Connection) -> None:
    for suite in (0, 1, 2):
        end_device(connection, f"S{suite}", security="hls-gmac", address=f'{{"suite": {suite}}}')
    end_device(connection, "BAD", security="hls-gmac", address='{"suite": 7}')
    pairs = {suite: meter_keys.Pair(suite) for suite in (1, 2)}
    given = [
        ("S0", "encryption", bytes(16), ""),
        ("S0", "encryption", bytes(32), "suite 0 takes 16"),
        ("S2", "master", bytes(32), ""),
        ("S2", "authentication", bytes(16), "suite 2 takes 32"),
        ("S1", "client_signing", pairs[1].private, ""),
        ("S1", "client_agreement", bytes(32), "no private key of security suite 1"),
        ("S1", "meter_signing", pairs[2].public, "no public key of security suite 1"),
        ("S2", "meter_agreement", pairs[2].public, ""),
        ("S2", "meter_signing", pairs[2].public[:-1] + b"\x00", "no public key"),
        ("S0", "meter_signing", pairs[1].public, "suite 0 has no elliptic curve"),
        ("S0", "password", bytes(65), "1 to 64 bytes"),
        ("BAD", "encryption", bytes(16), "address suite '7' is none of 0, 1, 2"),
    ]
    rows = [{"end_device": d, "kind": k, "key_hex": key.hex()} for d, k, key, _ in given]
    report = keys.import_keys(connection, rows, now=NOW)
    assert report.added == sum(not reason for *_, reason in given)
    wrong = [(place + 2, reason) for place, (*_, reason) in enumerate(given) if reason]
    assert [one.line for one in report.rejected] == [line for line, _ in wrong]
    for one, (_, reason) in zip(report.rejected, wrong, strict=True):
        assert reason in str(one)
    said = " ".join(map(str, report.rejected))
    assert not any(key.hex() in said for _, _, key, _ in given)


def test_a_registry_that_cannot_be_is_said_to_be_wrong(connection: Connection) -> None:
    for mrid, security, address in (
        ("A", "hls-ecdsa", '{"suite": 0}'),
        ("B", "hls-gmac", '{"ciphering": "secret"}'),
        ("C", "hls-gmac", '{"protection": "none"}'),
        ("D", "hls-gmac", '{"title": "4d4951"}'),
    ):
        end_device(connection, mrid, security=security, address=address)
        with pytest.raises(Exception, match="correct the registry"):
            devices.named(connection, mrid).lacking_keys()
        assert not devices.named(connection, mrid).is_counted()
    end_device(connection, "E", security="lls", address='{"ciphering": "global"}')
    needed = ["authentication", "encryption", "password"]
    assert devices.named(connection, "E").lacking_keys() == needed
    assert list(Wanted.of("lls", {"ciphering": "global"}).kinds) == needed
