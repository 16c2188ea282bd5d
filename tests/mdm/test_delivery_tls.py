"""Delivery by HTTPS to a real TLS server: who is trusted, who is shown what."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mdm import cycle, delivery
from mdm.delivery_access import Access, Retry, Way
from mdm.delivery_files import DeliveryError
from mdm.delivery_http import Conversation
from schemas import database
from schemas.database import Connection
from tests.mdm.billing import NOW, add_whole, june, later

TOKEN = "token-of-the-test"


class Authority:
    """Signs certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed(name, self.key, is_authority=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, address: str = "127.0.0.1") -> tuple[Path, Path]:
        """Give the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._signed(name, key, address=address)
        certificate, secret = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, secret

    def _signed(
        self, name: str, key: Any, *, address: str = "127.0.0.1", is_authority: bool = False
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(names, critical=False)
            .add_extension(own, critical=False)
            .add_extension(above, critical=False)
            .sign(self.key, hashes.SHA256())
        )


@dataclass
class Billing:
    """Bills everything; keeps who came."""

    tokens: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            part = await receive()
            content, more = content + part.get("body", b""), part.get("more_body", False)
        headers = dict(scope["headers"])
        self.tokens.append(headers.get(b"authorization", b"").decode())
        answer: dict[str, object] = {}
        if scope["method"] == "POST":
            points = json.loads(content)["usage_points"]
            answer["acknowledgements"] = [
                {"usage_point": p["usage_point"], "version": p["version"], "outcome": "billed"}
                for p in points
            ]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@contextmanager
def serving(
    certificate: tuple[Path, Path], clients: Path | None = None
) -> Iterator[tuple[str, Billing]]:
    application = Billing()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        configuration = uvicorn.Config(
            application, log_level="critical", lifespan="off", ws="none",
            ssl_certfile=certificate[0], ssl_keyfile=certificate[1],
            ssl_ca_certs=None if clients is None else str(clients),
            ssl_cert_reqs=ssl.CERT_NONE if clients is None else ssl.CERT_REQUIRED,
        )  # fmt: skip
        server = uvicorn.Server(configuration)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", application
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def this(connection: Connection) -> cycle.Cycle:
    add_whole(connection, "UP-1")
    found = june(connection)
    cycle.run(connection, found, now=NOW)
    return found


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


def deliver(
    connection: Connection, this: cycle.Cycle, url: str, access: Access
) -> delivery.Delivery:
    return delivery.deliver(
        connection, this, target=url, now=later(1), retry=Retry(attempts=1), access=access
    )


def test_our_own_authority_is_trusted_and_gets_the_token(
    connection: Connection, this: cycle.Cycle, ours: Authority, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n", "utf-8")
    with serving(ours.issue("server")) as (url, receiver):
        access = Access(ca_file=ours.file, token_file=token)
        assert deliver(connection, this, url, access).billed == 1
    assert receiver.tokens == [f"Bearer {TOKEN}"] * 2


@pytest.mark.parametrize("who", ["another authority", "another address", "nobody named"])
def test_nobody_else_is_trusted(
    connection: Connection, this: cycle.Cycle, ours: Authority, tmp_path: Path, who: str
) -> None:
    signer = Authority(tmp_path, "others") if who == "another authority" else ours
    address = "127.0.0.9" if who == "another address" else "127.0.0.1"
    access = Access(ca_file=None if who == "nobody named" else ours.file)
    with serving(signer.issue("server", address)) as (url, receiver):
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
            deliver(connection, this, url, access)
        assert receiver.tokens == []


def test_our_certificate_is_shown_to_who_asks_for_it(
    connection: Connection, this: cycle.Cycle, ours: Authority
) -> None:
    certificate, key = ours.issue("miqyas")
    with serving(ours.issue("server"), clients=ours.file) as (url, receiver):
        with pytest.raises(DeliveryError, match="did not take PUT"):
            deliver(connection, this, url, Access(ca_file=ours.file))
        assert receiver.tokens == []
        access = Access(ca_file=ours.file, certificate_file=certificate, certificate_key_file=key)
        assert deliver(connection, this, url, access).billed == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("ca_file", "nothing of use", "cannot be used as certificates"),
        ("certificate_file", "nothing of use", "cannot be used as certificates"),
        ("token_file", "", "must hold one secret in one line"),
        ("token_file", "se\ncret", "must hold one secret in one line"),
    ],
)
def test_a_file_that_is_no_good_is_named_without_its_content(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    file = tmp_path / "wrong.pem"
    file.write_text(content, "utf-8")
    way = Way(lambda _: None, access=Access(**{name: file}))
    with pytest.raises(DeliveryError, match=rf"wrong\.pem: {message}") as caught:
        Conversation("https://127.0.0.1:1", way)
    assert not content or content not in str(caught.value)
