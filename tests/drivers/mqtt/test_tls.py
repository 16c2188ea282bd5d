"""A broker over TLS: who it is, who we are, and a name for everything that can be wrong."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from drivers import errors
from drivers.mqtt import broker as urls
from drivers.mqtt import tls
from drivers.mqtt.subscriber import Subscriber, Version
from drivers.mqtt.tls import Tls
from simulators import broker as brokers
from tests.drivers.mqtt.authority import Authority, Pair

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOST = "127.0.0.1"
VERSIONS: tuple[Version, ...] = ("5", "3.1.1")


@dataclass(frozen=True)
class Place:
    """An issuer and a folder for its files."""

    folder: Path
    authority: Authority


@pytest.fixture
def place(tmp_path: Path) -> Place:
    if "mosquitto" not in brokers.available():
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed here (as root: make services)")
        pytest.skip("mosquitto is not installed here (as root: make services)")
    return Place(tmp_path, Authority(tmp_path))


@contextmanager
def secured(
    place: Place, pair: Pair, *more: str, port: int | None = None
) -> Iterator[brokers.Broker]:
    lines = [
        f"cafile {place.authority.file}", f"certfile {pair.certificate}", f"keyfile {pair.key}",
        *more,
    ]  # fmt: skip
    if os.geteuid() == 0:
        # Started by root it becomes another account, which cannot read a test's folder.
        lines.append("user root")
    with brokers.running("mosquitto", port, settings="\n".join(lines) + "\n") as running:
        yield running


def subscriber(
    broker: brokers.Broker,
    secure: Tls,
    *,
    host: str = HOST,
    user: str = "",
    password: str | None = None,
    version: Version = "5",
) -> Subscriber:
    account = f"{user}@" if user else ""
    url = f"mqtts://{account}{host}:{broker.port}"
    return Subscriber(
        urls.parse(url, password=password, tls=secure),
        client_id="head-end",
        topics=["a/b"],
        clock=lambda: NOW,
        version=version,
        timeout=5,
    )


def publish(broker: brokers.Broker, secure: Tls, payload: str) -> None:
    gateway = Client(CallbackAPIVersion.VERSION2)
    gateway.tls_set_context(tls.context(secure))
    gateway.connect(HOST, broker.port)
    gateway.loop_start()
    gateway.publish("a/b", payload, qos=1).wait_for_publish(5)
    gateway.disconnect()
    gateway.loop_stop()


def password_file(folder: Path, user: str, password: str) -> Path:
    """Write mosquitto's password file: PBKDF2 with SHA-512."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    parts = [base64.b64encode(part).decode() for part in (salt, digest)]
    file = folder / "passwords"
    file.write_text(f"{user}:$7$101${parts[0]}${parts[1]}\n")
    return file


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_certificate_lets_us_in(place: Place, version: Version) -> None:
    ours = place.authority.issue("head-end.example")
    secure = Tls(place.authority.file, ours.certificate, ours.key)
    with (
        secured(place, place.authority.issue(HOST), "require_certificate true") as broker,
        subscriber(broker, secure, version=version) as inbound,
    ):
        publish(broker, secure, "hello")
        batch = inbound.take(wait=5)
        assert batch is not None
        assert [one.payload for one in batch.messages] == [b"hello"]
        assert str(inbound._broker) == f"mqtts://{HOST}:{broker.port}"


def test_the_connection_is_encrypted(place: Place) -> None:
    with secured(place, place.authority.issue(HOST)) as broker:
        context = tls.context(Tls(place.authority.file))
        with subscriber(broker, Tls(place.authority.file)) as inbound:
            client = inbound._client
            assert client is not None
            socket = client.socket()
            assert isinstance(socket, ssl.SSLSocket)
            assert socket.version() in ("TLSv1.2", "TLSv1.3")
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_wrong_authority(place: Place, version: Version) -> None:
    (place.folder / "other").mkdir()
    other = Authority(place.folder / "other")
    with (
        secured(place, place.authority.issue(HOST)) as broker,
        pytest.raises(errors.UnknownIssuer, match="give the file of the right CA"),
    ):
        subscriber(broker, Tls(other.file), version=version).__enter__()


def test_a_wrong_name(place: Place) -> None:
    with (
        secured(place, place.authority.issue("broker.example")) as broker,
        pytest.raises(errors.WrongName, match="connect by the name that stands in it"),
    ):
        subscriber(broker, Tls(place.authority.file)).__enter__()


@pytest.mark.parametrize(
    ("begins", "ends"), [(timedelta(-3), timedelta(-1)), (timedelta(1), timedelta(3))]
)
def test_a_certificate_that_is_not_valid_today(
    place: Place, begins: timedelta, ends: timedelta
) -> None:
    with (
        secured(place, place.authority.issue(HOST, begins=begins, ends=ends)) as broker,
        pytest.raises(errors.Expired, match="renew it, or set the clock"),
    ):
        subscriber(broker, Tls(place.authority.file)).__enter__()


@pytest.mark.parametrize("version", VERSIONS)
def test_our_certificate_is_missing(place: Place, version: Version) -> None:
    with (
        secured(place, place.authority.issue(HOST), "require_certificate true") as broker,
        pytest.raises(errors.AccessDenied, match="does not accept our certificate"),
    ):
        subscriber(broker, Tls(place.authority.file), version=version).__enter__()


def test_our_certificate_is_of_another_authority(place: Place) -> None:
    (place.folder / "other").mkdir()
    ours = Authority(place.folder / "other", "other").issue("head-end.example")
    secure = Tls(place.authority.file, ours.certificate, ours.key)
    with (
        secured(place, place.authority.issue(HOST), "require_certificate true") as broker,
        pytest.raises(errors.AccessDenied, match="does not accept our certificate"),
    ):
        subscriber(broker, secure).__enter__()


@pytest.mark.parametrize("version", VERSIONS)
def test_user_and_password_over_tls(place: Place, version: Version) -> None:
    file = password_file(place.folder, "miqyas", "p@ss:word")
    accounts = (f"password_file {file}", "allow_anonymous false")
    secure = Tls(place.authority.file)
    with secured(place, place.authority.issue(HOST), *accounts) as broker:
        with subscriber(
            broker, secure, user="miqyas", password="p@ss:word", version=version
        ) as inbound:
            assert inbound.connected
        for user, password in (("miqyas", "wrong!"), ("nobody", "wrong!"), ("", None)):
            with pytest.raises(errors.AccessDenied, match="check user and password") as refused:
                subscriber(
                    broker, secure, user=user, password=password, version=version
                ).__enter__()
            assert "wrong!" not in str(refused.value)


def test_a_port_without_tls(broker: brokers.Broker) -> None:
    with pytest.raises(errors.DriverError, match="speak TLS"):
        subscriber(broker, Tls()).__enter__()


def test_a_port_with_tls_spoken_to_without(place: Place) -> None:
    with secured(place, place.authority.issue(HOST)) as broker:
        plain = Subscriber(
            urls.parse(f"mqtt://{HOST}:{broker.port}"),
            client_id="x", topics=["a"], clock=lambda: NOW, timeout=3,
        )  # fmt: skip
        with pytest.raises(errors.Broken, match="closed the connection before it answered"):
            plain.__enter__()


def test_a_broker_that_comes_back_with_an_expired_certificate_is_said_so(place: Place) -> None:
    """It is tried again with growing pauses, and the reason is there for whoever looks."""
    good = place.authority.issue(HOST)
    with secured(place, good) as first:
        inbound = subscriber(first, Tls(place.authority.file))
        with inbound:
            assert inbound.trouble == ""
            first.process.terminate()
            first.process.wait(10)
            kept = place.folder / "kept"
            kept.mkdir()
            shutil.copy(good.certificate, kept / "certificate")
            shutil.copy(good.key, kept / "key")
            bad = place.authority.issue(HOST, begins=timedelta(-3), ends=timedelta(-1))
            with secured(place, bad, port=first.port):
                _until(lambda: "renew it" in inbound.trouble)
            with secured(place, Pair(kept / "certificate", kept / "key"), port=first.port):
                _until(lambda: inbound.connected)
                assert inbound.trouble == ""


def _until(true: object) -> None:
    deadline = time.monotonic() + 20
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_files_that_cannot_be_used(place: Place) -> None:
    missing = place.folder / "nothing.pem"
    with pytest.raises(tls.BadFile, match=r"nothing\.pem: no certificates of issuers: No such"):
        tls.context(Tls(missing))
    garbage = place.folder / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(tls.BadFile, match=r"garbage\.pem"):
        tls.context(Tls(garbage))
    one, other = place.authority.issue("one.example"), place.authority.issue("other.example")
    with pytest.raises(tls.BadFile, match=r"one\.example\.pem, .*other\.example\.key"):
        tls.context(Tls(None, one.certificate, other.key))
    locked = place.authority.issue("locked.example", password=b"secret")
    with pytest.raises(tls.BadFile, match="the key is encrypted"):
        tls.context(Tls(None, locked.certificate, locked.key))
