"""An MQTT broker for the length of a block: mosquitto where it is installed, else amqtt.

It listens on one port of 127.0.0.1 only, keeps nothing on disk and lets anybody on this machine in:
it is for simulated meters.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulators import leash

Kind = Literal["mosquitto", "amqtt"]

_HOST = "127.0.0.1"
_START_SECONDS = 30


class BrokerError(RuntimeError):
    """The broker is not installed or did not start; the message shows what it printed."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker; ``process`` is stopped by whoever started it."""

    kind: Kind
    host: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where clients connect: mqtt://host:port."""
        return f"mqtt://{self.host}:{self.port}"


def available() -> list[Kind]:
    """List the brokers that can run here, the better one first."""
    return ["mosquitto", "amqtt"] if _mosquitto() else ["amqtt"]


@contextmanager
def running(
    kind: Kind | None = None, port: int | None = None, *, settings: str = ""
) -> Iterator[Broker]:
    """Run a broker, by default the best there is on a free port, and stop it at the end.

    A ``port`` of a broker that was stopped before lets its clients come back to the same address.

    Parameters
    ----------
    settings : further lines of mosquitto's configuration, such as its certificates

    Raises
    ------
    BrokerError
        if that kind is not installed, the port is taken, or the broker is not up in time.
    """
    kind = kind or available()[0]
    port = _free_port(port or 0)
    with tempfile.TemporaryDirectory(prefix="miqyas-broker-") as folder:
        log = Path(folder, "log")
        with log.open("wb") as sink:
            process = leash.start(
                _command(kind, port, Path(folder), settings), stdout=sink, stderr=sink
            )
        try:
            _wait_for(process, port, kind, log)
            yield Broker(kind, _HOST, port, process)
        finally:
            leash.stop(process)


def _command(kind: Kind, port: int, folder: Path, settings: str) -> list[str]:
    if kind == "amqtt":
        configuration = folder / "amqtt.yaml"
        configuration.write_text(_amqtt_configuration(port), "utf-8")
        return [sys.executable, "-m", "amqtt.scripts.broker_script", "-c", str(configuration)]
    program = _mosquitto()
    if program is None:
        raise BrokerError("mosquitto is not installed here. As root: make services.")
    configuration = folder / "mosquitto.conf"
    configuration.write_text(_mosquitto_configuration(port) + settings, "utf-8")
    return [program, "-c", str(configuration)]


def _mosquitto() -> str | None:
    # Debian puts it where only root's search path looks.
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _mosquitto_configuration(port: int) -> str:
    """Write mosquitto's settings.

    By default it drops a client's messages beyond 1,000 waiting ones, even at QoS 1: a fleet's
    push on the hour is more.
    """
    return (
        f"listener {port} {_HOST}\n"
        "allow_anonymous true\npersistence false\nlog_dest stderr\nset_tcp_nodelay true\n"
        "max_queued_messages 0\nmax_inflight_messages 0\n"
    )


def _amqtt_configuration(port: int) -> str:
    """Write amqtt's settings, in JSON, which is YAML."""
    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    listener = {"type": "tcp", "bind": f"{_HOST}:{port}"}
    return json.dumps({"listeners": {"default": listener}, "plugins": anonymous})


def _free_port(port: int) -> int:
    """Choose a port if ``port`` is 0; else make sure that nobody else answers there."""
    with socket.socket() as probe:
        # Connections of a broker that has just gone do not count, as they do not for a broker.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise BrokerError(f"Port {port} of {_HOST} cannot be had: {error.strerror}.") from error
        return int(probe.getsockname()[1])


def _wait_for(process: subprocess.Popen[bytes], port: int, kind: Kind, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((_HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    said = log.read_text("utf-8", errors="replace")[-2000:]
    raise BrokerError(f"{kind} takes no connections on {_HOST}:{port}. It said:\n{said}")
