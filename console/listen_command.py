"""``miqyas listen``: takes what meters publish over MQTT and push over DLMS."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from console import show, store
from drivers.dlms.push_receiver import Address
from drivers.mqtt import broker as brokers
from drivers.mqtt import tls
from drivers.mqtt.broker import Broker
from drivers.mqtt.tls import Tls
from headend import listener, push_listener
from headend.listener import Listener
from headend.push_listener import PushListener
from schemas import database
from schemas.settings import Settings

_PUSHES = ("tcp://", "udp://")
_SECONDS = 1.0


def listen(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ADDRESS]...",
            help="A broker: mqtt://host:port, mqtts://user@host:port. Where to take DLMS pushes: "
            "tcp://host:port, udp://host:port. MIQYAS_BROKER_URL if none is given.",
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
    """Take what meters publish over MQTT or push over DLMS, until stopped (Ctrl-C).

    What has landed is acknowledged, nothing before. Meters that push and that no registry has are
    kept: `miqyas unknown list`. Passwords come from MIQYAS_BROKER_PASSWORD or
    a file, never from the command line.

    Example: miqyas listen mqtts://miqyas@broker.example tcp://0.0.0.0:4059
    """
    pushes, brokers_named = _parted(addresses or [])
    found = None
    if brokers_named or not pushes:
        written = brokers_named[0] if brokers_named else None
        found = _broker(written, Settings(), Tls(ca, certificate, key), password_file)
    show.log_events()
    with (
        store.url() as url,
        database.kept_open(url),
        show.until_stopped("Listening."),
        ExitStack() as stack,
        show.out.status("listening…") as status,
    ):
        heard = pushed = None
        if found is not None:
            wanted = topics or listener.TOPICS
            heard = stack.enter_context(
                listener.running(url, found, client_id=client_id, topics=wanted)
            )
        if pushes:
            pushed = stack.enter_context(push_listener.running(url, pushes))
            where = ", ".join(str(one) for one in pushed.receiver.addresses)
            show.done(f"DLMS pushes are taken at {where}.")
        while True:
            _wait(heard, pushed)
            told = [_messages(heard)] if heard else []
            told += [_pushes(pushed)] if pushed else []
            status.update("; ".join(told))


def _wait(heard: Listener | None, pushed: PushListener | None) -> None:
    """Wait a little for more; raise what ended a listener: a deaf one must not look alive."""
    if pushed:
        pushed.wait_for(pushed.counts.pushes + 1, seconds=0 if heard else _SECONDS)
    if heard:
        heard.wait_for(heard.counts.messages + 1, seconds=_SECONDS)
        heard.wait_until_subscribed()


def _messages(heard: Listener) -> str:
    counts = heard.counts
    return (
        f"{counts.messages:,} messages, {counts.registers:,} new register readings, "
        f"{counts.quarantined:,} in quarantine"
    )


def _pushes(pushed: PushListener) -> str:
    counts = pushed.counts
    return (
        f"{counts.pushes:,} pushes, {counts.registers:,} new register readings, "
        f"{counts.intervals:,} new intervals, {counts.events:,} events, "
        f"{counts.refused.total():,} refused"
    )


def _parted(addresses: list[str]) -> tuple[list[Address], list[str]]:
    """Tell where to take pushes from brokers."""
    pushes = [one for one in addresses if one.startswith(_PUSHES)]
    others = [one for one in addresses if not one.startswith(_PUSHES)]
    if len(others) > 1:
        raise typer.BadParameter("one broker a process: start another for the second")
    try:
        return [Address.parse(one) for one in pushes], others
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="ADDRESS") from None


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
        raise typer.BadParameter(
            "name the broker, such as mqtt://127.0.0.1:1883, or where to take DLMS pushes, such as"
            " tcp://0.0.0.0:4059"
        )
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
