"""``miqyas listen``: takes what meters publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from console import show, store
from drivers.mqtt import broker as brokers
from drivers.mqtt import tls
from drivers.mqtt.broker import Broker
from drivers.mqtt.tls import Tls
from headend import listener
from schemas import database
from schemas.settings import Settings


def listen(
    broker: Annotated[
        str | None,
        typer.Argument(
            metavar="BROKER", help="mqtt://host:port, mqtts://user@host:port; MIQYAS_BROKER_URL."
        ),
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option("--ca-file", metavar="FILE", help="Who signs the broker's certificate, PEM."),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Our certificate, PEM.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its key, PEM.")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="The user's password.")
    ] = None,
    client_id: Annotated[
        str,
        typer.Option(help="Names the session that the broker keeps; one listener at a time."),
    ] = "miqyas",
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="FILTER", help="Only these, not every known convention's."),
    ] = None,
) -> None:
    """Take what meters publish over MQTT, until stopped (Ctrl-C).

    What has landed is acknowledged, nothing before. Passwords come from MIQYAS_BROKER_PASSWORD or
    a file, never from the command line.

    Example: miqyas listen mqtts://miqyas@broker.example --ca-file ca.pem
    """
    found = _broker(broker, Settings(), Tls(ca, certificate, key), password_file)
    show.log_events()
    with (
        store.url() as url,
        database.kept_open(url),
        show.until_stopped("Listening."),
        listener.running(
            url, found, client_id=client_id, topics=topics or listener.TOPICS
        ) as heard,
        show.out.status("listening…") as status,
    ):
        while True:
            heard.wait_for(heard.counts.messages + 1, seconds=1.0)
            # Raises what ended it, if anything did: a deaf listener must not look alive.
            heard.wait_until_subscribed()
            counts = heard.counts
            status.update(
                f"{counts.messages:,} messages, {counts.registers:,} new register readings, "
                f"{counts.quarantined:,} in quarantine"
            )


def _broker(
    written: str | None, settings: Settings, given: Tls, password_file: Path | None
) -> Broker:
    """Put the command line over the settings; refuse what is not usable."""
    if written is not None and brokers.has_password(written):
        raise typer.BadParameter(
            "a command line is seen by everybody on the machine: give the password by"
            " MIQYAS_BROKER_PASSWORD, or in a file by --password-file", param_hint="BROKER",
        )  # fmt: skip
    address = written or _opened(settings.broker_url)
    if address is None:
        raise typer.BadParameter("name the broker, such as mqtt://127.0.0.1:1883")
    secure = Tls(
        given.ca_file or settings.broker_ca_file,
        given.certificate_file or settings.broker_certificate_file,
        given.key_file or settings.broker_key_file,
    )
    password = _password(password_file or settings.broker_password_file)
    try:
        found = brokers.parse(
            address, password=password or _opened(settings.broker_password), tls=secure
        )
        if found.tls is not None:
            tls.context(found.tls)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="BROKER") from None
    return found


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise typer.BadParameter(f"{file}: {reason}", param_hint="--password-file") from None


def _opened(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
