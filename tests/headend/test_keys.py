from __future__ import annotations

import logging
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.driver import Endpoint
from headend import counters, devices, keys
from headend.vault import Vault, VaultError
from schemas import database
from schemas.database import Connection
from tests.headend.registry import count, end_device

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = "000102030405060708090a0b0c0d0e0f"


def rows(*triples: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"end_device": device, "kind": kind, "key_hex": text} for device, kind, text in triples]


def endpoint(connection: Connection, mrid: str) -> Endpoint:
    return devices.endpoint(devices.named(connection, mrid), keys.open_vault())


def test_keys_come_back_as_they_were_and_are_nowhere_in_clear(
    connection: Connection, master_key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    end_device(connection, "M1", security="hls-gmac")
    given = rows(("M1", "encryption", KEY), ("M1", "authentication", KEY[::-1]))
    report = keys.import_keys(connection, given, now=NOW)
    assert (report.added, report.changed, report.rejected) == (2, 0, ())
    made = endpoint(connection, "M1")
    assert made.secrets == {
        "encryption": bytes.fromhex(KEY),
        "authentication": bytes.fromhex(KEY[::-1]),
    }
    stored = connection.execute("SELECT string_agg(sealed, '') FROM end_device_key").fetchone()
    assert stored
    assert bytes.fromhex(KEY) not in stored[0]
    assert KEY not in repr(made) + repr(devices.named(connection, "M1")) + caplog.text
    assert stat.S_IMODE(master_key_file.stat().st_mode) == 0o600


def test_importing_again_changes_nothing_and_another_key_replaces(connection: Connection) -> None:
    end_device(connection, "M1")
    one = rows(("M1", "encryption", KEY))
    keys.import_keys(connection, one, now=NOW)
    before = connection.execute("SELECT sealed FROM end_device_key").fetchall()
    assert keys.import_keys(connection, one, now=NOW).unchanged == 1
    assert connection.execute("SELECT sealed FROM end_device_key").fetchall() == before
    assert keys.import_keys(connection, rows(("M1", "encryption", "ff" * 16)), now=NOW).changed == 1


def test_each_bad_row_is_reported_without_its_key_and_the_good_ones_land(
    connection: Connection,
) -> None:
    end_device(connection, "M1")
    report = keys.import_keys(
        connection,
        rows(
            ("NO", "encryption", KEY),
            ("M1", "guek", KEY),
            ("M1", "encryption", "xyz"),
            ("M1", "encryption", KEY[:-2]),
            ("M1", "password", "3132"),
        ),
        now=NOW,
    )
    assert report.added == count(connection, "end_device_key") == 1
    assert [(one.line, one.column) for one in report.rejected] == [
        (2, "end_device"),
        (3, "kind"),
        (4, "key_hex"),
        (5, "key_hex"),
    ]
    said = " ".join(map(str, report.rejected))
    assert "has 15 bytes; security suite 0 takes 16 bytes (32 digits)" in said
    assert KEY[:-2] not in said
    assert "xyz" not in said


def test_a_key_opens_only_for_its_own_meter_and_master_key(
    connection: Connection, tmp_path: Path
) -> None:
    end_device(connection, "M1", security="lls")
    end_device(connection, "M2", security="lls")
    keys.import_keys(connection, rows(("M1", "password", "3132")), now=NOW)
    connection.execute(
        "INSERT INTO end_device_key SELECT 2, kind, sealed, imported_at FROM end_device_key"
    )
    assert endpoint(connection, "M1").secrets == {"password": b"12"}
    with pytest.raises(VaultError, match="M2 does not open"):
        endpoint(connection, "M2")
    with pytest.raises(VaultError, match="MIQYAS_MASTER_KEY_FILE"):
        devices.endpoint(devices.named(connection, "M1"), Vault.open(tmp_path / "other.key"))


def test_a_master_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    Vault.open(file)
    file.chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        Vault.open(file)
    file.chmod(0o600)
    file.write_text("abcd\n")
    with pytest.raises(VaultError, match="64 hexadecimal digits"):
        Vault.open(file)


def test_many_processes_that_come_first_agree_on_one_master_key(tmp_path: Path) -> None:
    file, sealed = tmp_path / "keys" / "master.key", []

    def seal() -> None:
        sealed.append(Vault.open(file).seal("x", b"secret"))

    threads = [threading.Thread(target=seal) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Vault.open(file).unseal("x", one) for one in sealed] == [b"secret"] * 16
    assert list(file.parent.iterdir()) == [file]


def test_counters_are_never_given_twice_not_even_after_a_crash(
    connection: Connection, database_url: str
) -> None:
    device = end_device(connection, "M1")
    taken: list[int] = []
    for _ in range(3):
        # Each source dies without a word, as a killed process does.
        source = counters.Source(database_url)
        run = source.runs([device])[device]
        taken += [run.take(1) for _ in range(300)]
        first = run.take(5)
        taken += range(first, first + 5)
        source.__exit__()
    assert len(taken) == len(set(taken))
    assert taken == sorted(taken)
    # Runs of 256: a crash costs what was left of one.
    assert max(taken) < 3 * 2 * counters.RUN


def test_threads_share_a_counter_without_a_value_in_common(
    connection: Connection, database_url: str
) -> None:
    device = end_device(connection, "M1")
    got: list[int] = []

    def take(source: counters.Source) -> None:
        got.extend(source.reserve(device, 1) for _ in range(50))

    with counters.Source(database_url) as source:
        threads = [threading.Thread(target=take, args=[source]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(got) == list(range(1, 201))


def test_a_counter_is_not_reserved_where_it_could_be_rolled_back(
    connection: Connection, database_url: str
) -> None:
    device = end_device(connection, "M1")
    with database.connect(database_url) as open_connection, pytest.raises(ValueError, match="auto"):
        counters.reserve(open_connection, device, 1)
    assert counters.reserve(connection, device, 10) == 1
    counters.advance(connection, device, 5)
    assert counters.reserve(connection, device, 1) == 11
    counters.advance(connection, device, 1000)
    assert counters.reserve(connection, device, 1) == 1000
