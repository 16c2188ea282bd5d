"""Ciphered DLMS pushes a second through the listener into the database, and where the time goes.

A sender in a process of its own, with frames made before, pushes at a steady rate over TCP (or
UDP); the listener deciphers, checks, decodes and lands them as in production, in this process. All
must have landed at the end: that is counted in the database. Memory is sampled once a second. CPU
time is stated for the listener, PostgreSQL and the sender each. gurux-dlms deciphers and decodes
some of the same pushes, and lands nothing.

The last line is one JSON object::

    {"pushes_per_s": …,               landed, from the first sent to the last committed
     "offered_per_s": …, "pushes": …, "landed_readings": …, "all_landed": true, "dropped": …,
     "peak_mb": …, "grown_mb": …,     of the listener: at most, and what the 2nd half added
     "listener_cpu_ms_per_push": …, "postgresql_cpu_ms_per_push": …, "sender_cpu_ms_per_push": …,
     "gurux_ms_per_push": …, "ratio": …}   gurux-dlms' decoding ÷ the listener's all, in CPU time
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient

from benchmarks import push_sender
from benchmarks.scratch import add_meters, scratch_database
from drivers.dlms.push_receiver import Address
from headend import keys, push_listener
from headend.push_listener import PushListener
from schemas import database
from schemas.database import Connection

_GURUX_PUSHES: Final = 60
_PATIENCE_SECONDS: Final = 120.0
_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MB: Final = 1 << 20


@dataclass
class Memory:
    """Samples of this process's resident memory, once a second [B]."""

    samples: list[int] = field(default_factory=list)

    @contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample for the length of a block."""
        over = threading.Event()

        def sample() -> None:
            while not over.is_set():
                self.samples.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE)
                over.wait(1.0)

        thread = threading.Thread(target=sample)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def grown(self) -> int:
        """How much the second half's peak is above the first half's [B]."""
        half = len(self.samples) // 2 or 1
        return max(self.samples[half:], default=0) - max(self.samples[:half])


def register(connection: Connection, count: int) -> None:
    """Put meters into the registry with their titles and sealed keys."""
    ids = add_meters(connection, count)
    connection.execute(
        "UPDATE end_device SET security = 'hls-gmac', host = '127.0.0.1', port = 4059, address ="
        " jsonb_build_object('system_title', upper(encode('BEN'::bytea"
        " || substr(int8send(substr(mrid, 3)::bigint), 4), 'hex')))"
    )
    vault, kinds = keys.open_vault(), ("encryption", "authentication")
    rows = [
        (
            device,
            kind,
            vault.seal(keys.sealed_name(f"M-{meter}", kind), push_sender.key(meter, kind)),
        )
        # ``add_meters`` numbers them in the order of their ids.
        for meter, device in enumerate(ids, start=1)
        for kind in kinds
    ]
    with connection.cursor().copy(
        "COPY end_device_key (end_device_id, kind, sealed, imported_at) FROM STDIN"
    ) as copy:
        for row in rows:
            copy.write_row((*row, push_sender.START))
    connection.execute("ANALYZE end_device, end_device_key")


def by_gurux(frames: Sequence[bytes], meters: Sequence[int]) -> float:
    """Decipher and decode pushes with gurux-dlms; give the CPU time of one [s]."""
    clients = []
    for meter in meters:
        client = GXDLMSSecureClient(True, 1, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.blockCipherKey = push_sender.key(meter, "encryption")
        client.ciphering.authenticationKey = push_sender.key(meter, "authentication")
        clients.append(client)
    before = time.process_time()
    found = []
    for frame, client in zip(frames, clients, strict=True):
        reply, notified = GXReplyData(), GXReplyData()
        client.getData(GXByteBuffer(frame), reply, notified)
        found.append(notified.value or reply.value)
    cpu = time.process_time() - before
    for place, value in enumerate(found):
        numbers = [item[1] for item in value[2:]]
        if len(numbers) not in (4, 8):
            raise SystemExit(f"gurux-dlms reads push {place} as {value}")
    return cpu / len(frames)


def postgresql_cpu(connection: Connection) -> float:
    """Give the CPU time of the server and of all that it has started [s]."""
    (backend,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
    server = _stat(backend)[1]
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = _stat(int(entry.name))
            except (OSError, IndexError):
                continue
            if entry.name == str(server):
                total += sum(stat[11:15])
            elif stat[1] == server:
                total += sum(stat[11:13])
    return total / _TICK


def _stat(pid: int) -> list[int]:
    """Give /proc/PID/stat behind the name; field 0 is the state."""
    text = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return [0, *(int(one) for one in text[1:])]


@contextmanager
def sender(target: str, given: argparse.Namespace, pushes: int) -> Iterator[subprocess.Popen[str]]:
    """Start the sender, and wait until it has made its frames."""
    command = [sys.executable, "-m", "benchmarks.push_sender", target,
               "--meters", str(given.meters), "--pushes", str(pushes),
               "--rate", str(given.rate), "--what", given.what]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _wait(listener: PushListener, pushes: int, seconds: float) -> None:
    """Wait until all have landed, or nothing more does."""
    end, seen = time.monotonic() + seconds, -1
    while not listener.wait_for(pushes, seconds=5.0):
        counts = listener.counts
        print(f"{counts.pushes:,} landed, {len(listener.receiver.inbox):,} wait", flush=True)
        if counts.pushes != seen:
            end, seen = time.monotonic() + seconds, counts.pushes
        elif time.monotonic() > end or listener.receiver.dropped():
            return


def measure(url: str, given: argparse.Namespace) -> dict[str, object]:
    """Push, land, count."""
    pushes = given.rate * given.seconds
    with database.connect(url) as connection:
        register(connection, given.meters)
    address = Address.parse(f"{given.transport}://127.0.0.1:0")
    memory = Memory()
    with (
        push_listener.running(url, [address]) as listener,
        sender(str(listener.receiver.addresses[0]), given, pushes) as process,
        database.connect(url, autocommit=True) as watching,
    ):
        own, server, began = time.process_time(), postgresql_cpu(watching), time.perf_counter()
        with memory.sampled():
            _tell(process)
            _wait(listener, pushes, _PATIENCE_SECONDS)
            took = time.perf_counter() - began
        own, server = time.process_time() - own, postgresql_cpu(watching) - server
        _tell(process)
        assert process.stdout is not None
        sent = json.loads(process.stdout.readline())
        counts, dropped = listener.counts, listener.receiver.dropped()
    with database.connect(url) as connection:
        table = "raw_register_reading" if given.what == "registers" else "raw_interval_block"
        (landed,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
    wide = len(push_sender.LISTS[given.what])
    gurux = _gurux(given)
    return {
        "pushes_per_s": round(counts.pushes / took),
        "offered_per_s": given.rate,
        "pushes": pushes,
        "landed_readings": landed,
        "all_landed": landed == pushes * wide,
        "refused": dict(counts.refused),
        "dropped": dropped,
        "seconds": round(took, 1),
        "sender_late_s": sent["late_s"],
        "peak_mb": round(max(memory.samples) / _MB),
        "grown_mb": round(memory.grown / _MB, 1),
        "listener_cpu_ms_per_push": round(own / pushes * 1e3, 4),
        "postgresql_cpu_ms_per_push": round(server / pushes * 1e3, 4),
        "sender_cpu_ms_per_push": round(sent["cpu_s"] / pushes * 1e3, 4),
        "gurux_ms_per_push": round(gurux * 1e3, 3),
        "ratio": round(gurux / (own / pushes), 1),
    }


def _gurux(given: argparse.Namespace) -> float:
    count = min(_GURUX_PUSHES, given.meters)
    made = list(push_sender.frames(count, count, given.what))
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        return by_gurux(made, range(1, count + 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push", description=__doc__)
    parser.add_argument("--rate", type=int, default=5000, help="pushes a second")
    parser.add_argument("--seconds", type=int, default=60, help="how long")
    parser.add_argument("--meters", type=int, default=20_000, help="meters in the registry")
    parser.add_argument("--what", choices=list(push_sender.LISTS), default="registers")
    parser.add_argument("--transport", choices=["tcp", "udp"], default="tcp")
    given = parser.parse_args(arguments)
    with scratch_database("push") as url:
        figures = measure(url, given)
    print(json.dumps(figures))
    return 0 if figures["all_landed"] else 1


if __name__ == "__main__":
    sys.exit(main())
