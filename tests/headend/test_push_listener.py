"""The listener on real sockets: what lands, what is confirmed when, and what peers cannot do."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from drivers import errors
from drivers.dlms.push_inbox import Inbox
from drivers.dlms.push_lines import Limits
from drivers.dlms.push_receiver import Address
from headend import keys, push_listener
from headend.push_listener import PushListener
from schemas.database import Connection
from simulators import dlms_push
from tests.headend import push_meters
from tests.headend.push_meters import NOW, SECONDS, Pushing, register
from tests.headend.registry import count, end_device

SECURED, WAIT = "M00007", 30
# Wrapper, general-glo-ciphering with a title of 8, and a confirmation of 6 octets under it.
_CONFIRMATION = 8 + 1 + 9 + 1 + 5 + 6 + 12


@pytest.fixture(scope="module")
def meters() -> Pushing:
    return push_meters.pushing()


def listening(url: str, **options: object) -> push_listener.running:  # type: ignore[valid-type]
    addresses = [Address.parse("tcp://127.0.0.1:0"), Address.parse("udp://127.0.0.1:0")]
    return push_listener.running(url, addresses, clock=lambda: NOW, linger=0.02, **options)  # type: ignore[arg-type]


@contextmanager
def line(listener: PushListener, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(
        ("127.0.0.1", listener.receiver.addresses[0].port), WAIT, source_address=(host, 0)
    ) as connected:
        yield connected


def datagrams(listener: PushListener, *frames: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for frame in frames:
            sender.sendto(frame, ("127.0.0.1", listener.receiver.addresses[1].port))


def closed(connected: socket.socket) -> bool:
    try:
        return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def test_pushes_come_over_tcp_and_udp_whole_and_in_pieces(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frames = [dlms_push.wrapped(meters.registers(SECURED, SECONDS - i)) for i in range(6)]
    with listening(database_url) as heard, line(heard) as connected:
        whole = b"".join(frames[:4])
        for at in range(0, len(whole), 100):
            connected.sendall(whole[at : at + 100])
        assert heard.wait_for(4, seconds=WAIT)
        datagrams(heard, *frames[4:])
        assert heard.wait_for(6, seconds=WAIT)
        assert (heard.counts.registers, heard.counts.refused.total()) == (30, 0)
    assert count(connection, "raw_register_reading") == 30


def test_a_push_is_confirmed_when_it_is_committed_and_not_before(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frame = dlms_push.wrapped(meters.registers(SECURED, confirmed=True), source=3, destination=5)
    with listening(database_url) as heard, line(heard) as connected:
        with psycopg.connect(database_url) as blocker:
            blocker.execute("LOCK TABLE raw_register_reading")
            connected.sendall(frame)
            connected.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connected.recv(1)
        connected.settimeout(WAIT)
        answer = connected.recv(100)
        assert count(connection, "raw_register_reading") == 5
        # The head-end's own title and counter, under the meter's keys.
        assert answer[:6] == b"\0\1\0\5\0\3"
        assert (answer[8], answer[9]) == (0xDB, 8)
        suite = meters[SECURED].suite
        confirmed, counter, _ = suite.opened(answer[19:], answer[10:18])
        invoke = SECONDS & 0xFFFF | 0x4000_0000
        assert confirmed == b"\x10" + invoke.to_bytes(4) + b"\0"
        # Sent again, it is refused as heard before, and confirmed all the same.
        connected.sendall(frame)
        again, later, _ = suite.opened(connected.recv(100)[19:], answer[10:18])
        assert (again, later > counter) == (confirmed, True)
        assert heard.counts.refused == {"replay": 1}
    assert count(connection, "raw_register_reading") == 5


def test_a_plain_push_is_confirmed_in_plain(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters["M00001"])
    frame = dlms_push.wrapped(meters.registers("M00001", ciphered=False, confirmed=True))
    with listening(database_url) as heard, line(heard) as connected:
        connected.sendall(frame)
        invoke = SECONDS & 0xFFFF | 0x4000_0000
        assert connected.recv(100) == dlms_push.wrapped(b"\x10" + invoke.to_bytes(4) + b"\0")


KILLED = """
import sys, time
from datetime import UTC, datetime
from drivers.dlms.push_receiver import Address
from headend import push_listener
url = sys.argv[1]
with push_listener.running(url, [Address.parse("tcp://127.0.0.1:0")], linger=0.0) as heard:
    print("port", heard.receiver.addresses[0].port, flush=True)
    time.sleep(600)
"""


def test_a_killed_listener_has_landed_nothing_twice_and_what_it_confirmed(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frames = [
        dlms_push.wrapped(meters.registers(SECURED, SECONDS - 60 + i, confirmed=True))
        for i in range(40)
    ]
    command = [sys.executable, "-c", KILLED, database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = next(line for line in process.stdout if line.startswith("port "))
            with socket.create_connection(("127.0.0.1", int(said.split()[1])), WAIT) as connected:
                for frame in frames:
                    connected.sendall(frame)
                answer = connected.recv(10_000)
        finally:
            process.kill()
    confirmed = len(answer) // _CONFIRMATION
    assert confirmed >= 1
    landed = count(connection, "raw_register_reading")
    assert landed >= 5 * confirmed
    with listening(database_url) as heard, line(heard) as connected:
        connected.sendall(b"".join(frames))
        assert heard.wait_for(40, seconds=WAIT)
        assert heard.counts.registers == 200 - landed
        assert heard.counts.refused["replay"] == landed // 5
    assert count(connection, "raw_register_reading") == 200


def test_a_lost_database_connection_loses_no_push(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frame = dlms_push.wrapped(meters.registers(SECURED))
    with listening(database_url) as heard:
        with psycopg.connect(database_url) as blocker:
            blocker.execute("LOCK TABLE raw_register_reading")
            datagrams(heard, frame)
            ended = 0
            deadline = time.monotonic() + WAIT
            while not ended and time.monotonic() < deadline:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                ).rowcount
                time.sleep(0.05)
            assert ended == 1
        assert heard.wait_for(1, seconds=WAIT)
        assert (heard.counts.registers, heard.counts.refused.total()) == (5, 0)


def test_a_push_that_breaks_a_rule_of_the_store_stops_no_other(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    gone = register(connection, meters["M00008"], host="127.9.0.2")
    connection.execute(
        "ALTER TABLE push_counter ADD CHECK (end_device_id <> %s)" % gone  # noqa: UP031
    )
    frames = [dlms_push.wrapped(meters.registers(mrid)) for mrid in (SECURED, "M00008")]
    with listening(database_url) as heard:
        datagrams(heard, *frames)
        assert heard.wait_for(2, seconds=WAIT)
        assert heard.counts.refused == {"defect": 1}
        assert heard.counts.registers == 5
    assert count(connection, "quarantine", "reason LIKE '%cannot be landed%'") == 1


def test_what_has_come_lands_before_the_listener_stops(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frames = [dlms_push.wrapped(meters.registers(SECURED, SECONDS - i)) for i in range(50)]
    with listening(database_url) as heard:
        datagrams(heard, *frames)
        while heard.receiver.traffic.pushes < 50:
            time.sleep(0.01)
    assert count(connection, "raw_register_reading") == 250


def test_peers_that_are_no_meters_are_told_apart_and_bounded(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frame = dlms_push.wrapped(meters.registers(SECURED))
    limits = Limits(connections=3, idle=0.4, unfinished=0.2)
    with listening(database_url, limits=limits) as heard, line(heard) as browser:
        with line(heard) as half, line(heard) as silent:
            half.sendall(frame[:50])
            browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert closed(browser)
            with line(heard), line(heard) as fifth:
                assert closed(fifth)
            assert closed(half)
            assert closed(silent)
        with line(heard) as connected:
            # What came whole before the damage counts.
            connected.sendall(frame + b"\x00\x02")
            assert heard.wait_for(1, seconds=WAIT)
            assert closed(connected)
        datagrams(heard, b"", b"\x00", frame[:-1], b"hello")
        deadline = time.monotonic() + WAIT
        while heard.receiver.traffic.broken < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        traffic = heard.receiver.traffic
        assert traffic.broken >= 5
        assert traffic.timed_out == 2
        assert traffic.turned_away == 1
    assert count(connection, "raw_register_reading") == 5


def test_a_full_inbox_holds_the_senders_up_and_loses_nothing_over_tcp(
    connection: Connection, database_url: str, meters: Pushing
) -> None:
    register(connection, meters[SECURED])
    frames = [dlms_push.wrapped(meters.registers(SECURED, SECONDS - i)) for i in range(300)]
    inbox = Inbox(most=20)
    with listening(database_url, inbox=inbox) as heard, line(heard) as connected:
        most = 0
        for frame in frames:
            connected.sendall(frame)
            most = max(most, len(inbox))
        assert heard.wait_for(300, seconds=WAIT)
        assert heard.counts.registers == 1500
        # One chunk of a connection may go beyond the limit.
        assert most < 20 + (256 << 10) // len(frames[0])


def test_an_address_in_use_is_an_error_at_the_start(database_url: str) -> None:
    with listening(database_url) as heard:
        taken = heard.receiver.addresses[0]
        with (
            pytest.raises(errors.LinkError, match="choose another port"),
            push_listener.running(database_url, [taken]),
        ):
            pass


def test_real_pushes_over_udp_are_deciphered_and_their_counters_kept(
    connection: Connection, database_url: str, shared: Path
) -> None:
    frames = json.loads((shared / "data" / "dlms_frames.json").read_text("utf-8"))
    chosen = [frame for frame in frames if "udp_wrapper_push" in frame["name"]]
    end_device(
        connection, "CELL-1", security="hls-gmac", profile="generic",
        address='{"system_title": "2f19229199164103"}',
    )  # fmt: skip
    held = chosen[0]["keys"]
    rows = [
        {"end_device": "CELL-1", "kind": kind, "key_hex": held[name]}
        for kind, name in (("encryption", "guek"), ("authentication", "gak"))
    ]
    keys.import_keys(connection, rows, now=NOW)
    sent = [bytes.fromhex(frame["hex"]) for frame in chosen]
    with listening(database_url) as heard:
        datagrams(heard, *sent)
        assert heard.wait_for(len(sent), seconds=WAIT)
        # Its maker's own octets: deciphered, kept, and said that nothing in them is known.
        assert heard.counts.refused == {"empty": len(sent)}
    last = [bytes.fromhex(frame["hex"])[20:24] for frame in chosen]
    highest = max(int.from_bytes(one) for one in last)
    row = connection.execute("SELECT highest FROM push_counter").fetchone()
    assert row == (highest,)
