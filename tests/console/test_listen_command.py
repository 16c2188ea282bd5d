"""``miqyas listen`` over TLS with a password, and how it refuses what would give one away."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers.mqtt import tls
from drivers.mqtt.tls import Tls
from simulators import broker as brokers
from tests.console.shell import Shell, process, shell
from tests.drivers.mqtt.authority import Authority
from tests.drivers.mqtt.test_tls import password_file

SECRET = "s3cret-Word"
MESSAGE = '{"value": 1250.0, "timestamp": 1780484400, "obis": "1.8.0"}'


def test_a_secured_broker_with_the_password_in_a_file(
    database_url: str, tmp_path: Path, keeping_broker: brokers.Broker
) -> None:
    assert keeping_broker.kind == "mosquitto"
    authority = Authority(tmp_path)
    server = authority.issue("127.0.0.1")
    settings = [
        f"cafile {authority.file}", f"certfile {server.certificate}", f"keyfile {server.key}",
        f"password_file {password_file(tmp_path, 'miqyas', SECRET)}", "allow_anonymous false",
        *(["user root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    secret = tmp_path / "password"
    secret.write_text(f"{SECRET}\n")
    environment = {
        "MIQYAS_DATABASE_URL": database_url, "MIQYAS_HOME": str(tmp_path),
        "MIQYAS_BROKER_CA_FILE": str(authority.file),
    }  # fmt: skip
    with brokers.running("mosquitto", settings="\n".join(settings) + "\n") as broker:
        command = (
            "listen", f"mqtts://miqyas@127.0.0.1:{broker.port}", "--password-file", str(secret),
            "--client-id", "one", "--topic", "smartmeter/+/+",
        )  # fmt: skip
        with process(*command, environment=environment) as listening:
            _publish(broker.port, authority.file)
            _until_quarantined(database_url)
            listening.send_signal(signal.SIGINT)
            out, err = listening.communicate(timeout=20)
    assert "listener.started" in err
    assert SECRET not in out + err
    assert "Stopped." in out


def _publish(port: int, ca: Path) -> None:
    """Publish over and over until a listener that is on its way is there to hear it."""
    gateway = Client(CallbackAPIVersion.VERSION2)
    gateway.tls_set_context(tls.context(Tls(ca)))
    gateway.username_pw_set("miqyas", SECRET)
    gateway.connect("127.0.0.1", port)
    gateway.loop_start()
    gateway.publish("smartmeter/M1/ACTIVE_ENERGY_P", MESSAGE, 1, retain=True).wait_for_publish(5)
    gateway.disconnect()
    gateway.loop_stop()


def _until_quarantined(url: str) -> None:
    deadline = time.monotonic() + 30
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute("SELECT FROM quarantine").rowcount:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture
def miqyas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    with shell(monkeypatch, capsys) as run:
        yield run


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mqtt://u:s3cret-Word@b"], "by --password-file"),
        (["mqtt://b", "--ca-file", "/etc/hosts"], "write mqtts://host:port"),
        (["mqtts://b", "--ca-file", "/etc/hosts"], "no certificates of issuers"),
        (["mqtts://b", "--password-file", "/no/such"], "No such file"),
        (["mqtts://b", "--password-file", "/etc/hostname"], "a password needs its user"),
    ],
)
def test_what_is_refused_is_not_repeated(miqyas: Shell, arguments: list[str], said: str) -> None:
    refused = miqyas("listen", *arguments)
    assert refused.status == 2
    assert said in " ".join(refused.err.replace("│", " ").split())
    assert SECRET not in refused.out + refused.err
