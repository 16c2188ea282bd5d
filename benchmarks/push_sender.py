"""Sends pushes made before, at a steady rate, from a process of its own (for ``benchmarks.push``).

Each is a data notification under general-glo-ciphering (suite 0, authenticated and encrypted): the
meter's name and clock, and eight registers with their scalers and units; or a quarter hour with
four interval energies. They come over some tens of connections, as gateways hand them on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

START: Final = datetime(2026, 6, 1, tzinfo=UTC)
STEP: Final = timedelta(minutes=15)
REGISTERS: Final = (
    ("0100010800ff", 30), ("0100020800ff", 30), ("0100030800ff", 32), ("0100040800ff", 32),
    ("0100010700ff", 27), ("0100020700ff", 27), ("0100030700ff", 29), ("0100040700ff", 29),
)  # fmt: skip
INTERVALS: Final = (
    ("0100011d00ff", 30), ("0100021d00ff", 30), ("0100031d00ff", 32), ("0100041d00ff", 32),
)  # fmt: skip
LISTS: Final = {"registers": REGISTERS, "intervals": INTERVALS}
_TICK_SECONDS: Final = 0.02


def title(meter: int) -> bytes:
    """Give a meter's system title."""
    return b"BEN" + meter.to_bytes(5, "big")


def key(meter: int, kind: str) -> bytes:
    """Give a meter's key."""
    return hashlib.blake2b(f"{meter}/{kind}".encode(), digest_size=16).digest()


def plain(meter: int, number: int, what: str) -> bytes:
    """Write one push of a meter, not ciphered."""
    values = random.Random(meter * 1_000_003 + number)  # values, not keys
    stamp = _stamp(START + number * STEP)
    items = [
        b"\x02\x02\x09\x06" + bytes.fromhex("0000600100ff") + _octets(f"M-{meter}".encode()),
        b"\x02\x02\x09\x06" + bytes.fromhex("0000010000ff") + _octets(stamp),
    ]
    items += [
        b"\x02\x03\x09\x06" + bytes.fromhex(name) + struct.pack(">BI", 6, values.getrandbits(27))
        + struct.pack(">BBBbBB", 2, 2, 15, 0, 22, unit)
        for name, unit in LISTS[what]
    ]  # fmt: skip
    head = b"\x0f" + number.to_bytes(4, "big") + b"\x00"
    return head + bytes((2, len(items))) + b"".join(items)


def frame(meter: int, number: int, what: str, cipher: AESGCM, authentication: bytes) -> bytes:
    """Write one push of a meter behind the wrapper's header."""
    name, control, counter = title(meter), b"\x30", (number + 1).to_bytes(4, "big")
    text = plain(meter, number, what)
    sealed = cipher.encrypt(name + counter, text, control + authentication)[: len(text) + 12]
    body = control + counter + sealed
    apdu = b"\xdb" + _octets(name)[1:] + _length(len(body)) + body
    return struct.pack(">HHHH", 1, 1, 1, len(apdu)) + apdu


def frames(meters: int, pushes: int, what: str) -> Iterator[bytes]:
    """Write pushes of all meters in turn."""
    ready = [(AESGCM(key(m, "encryption")), key(m, "authentication")) for m in range(1, meters + 1)]
    for place in range(pushes):
        number, meter = divmod(place, meters)
        yield frame(meter + 1, number, what, *ready[meter])


def _stamp(moment: datetime) -> bytes:
    date = moment.year.to_bytes(2, "big") + bytes((moment.month, moment.day, moment.isoweekday()))
    return date + bytes((moment.hour, moment.minute, moment.second, 0, 0, 0, 0))


def _octets(data: bytes) -> bytes:
    return b"\x09" + _length(len(data)) + data


def _length(count: int) -> bytes:
    if count < 0x80:
        return bytes((count,))
    return b"\x81" + bytes((count,)) if count < 0x100 else b"\x82" + count.to_bytes(2, "big")


def _send(made: Sequence[bytes], lines: Sequence[socket.socket], rate: int) -> float:
    """Send at a rate; give how many seconds late the last one left."""
    tcp, count = lines[0].type == socket.SOCK_STREAM, len(lines)
    began, sent = time.perf_counter(), 0
    while sent < len(made):
        due = min(len(made), int((time.perf_counter() - began + _TICK_SECONDS) * rate))
        # A meter's pushes come over the same connection, so in their order.
        for number, line in enumerate(lines):
            chosen = made[sent + (number - sent) % count : due : count]
            if tcp and chosen:
                line.sendall(b"".join(chosen))
            else:
                for one in chosen:
                    line.send(one)
        sent = due
        time.sleep(max(0.0, began + sent / rate - time.perf_counter()))
    return time.perf_counter() - began - len(made) / rate


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pushes, say so; at a line on standard input send them, and tell how it went."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.push_sender", description=__doc__)
    parser.add_argument("target", help="tcp://host:port or udp://host:port")
    parser.add_argument("--meters", type=int, required=True)
    parser.add_argument("--pushes", type=int, required=True)
    parser.add_argument("--rate", type=int, required=True, help="pushes a second")
    parser.add_argument("--what", choices=list(LISTS), default="registers")
    parser.add_argument("--lines", type=int, default=50, help="connections")
    given = parser.parse_args(arguments)
    if given.meters % given.lines:
        parser.error("the number of meters must be a multiple of that of connections")
    url = urlsplit(given.target)
    kind = socket.SOCK_STREAM if url.scheme == "tcp" else socket.SOCK_DGRAM
    made = list(frames(given.meters, given.pushes, given.what))
    print("ready", flush=True)
    sys.stdin.readline()
    lines = [socket.socket(socket.AF_INET, kind) for _ in range(given.lines)]
    for line in lines:
        line.connect((url.hostname or "127.0.0.1", url.port or 4059))
    before = time.process_time()
    late = _send(made, lines, given.rate)
    cpu = time.process_time() - before
    print(json.dumps({"late_s": round(late, 3), "cpu_s": round(cpu, 3)}), flush=True)
    # The connections stay until everything has landed.
    sys.stdin.readline()
    return 0


if __name__ == "__main__":
    sys.exit(main())
