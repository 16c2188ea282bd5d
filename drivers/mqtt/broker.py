"""Where a broker is, and what its refusals mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from drivers import errors
from drivers.mqtt.tls import Tls

_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}

# CONNACK reasons as MQTT 5, §3.2.2.2 names them (paho gives MQTT 3.1.1's codes the same names).
_REFUSALS: Final[dict[str, type[errors.DriverError]]] = {
    "Bad user name or password": errors.AccessDenied,
    "Not authorized": errors.AccessDenied,
    "Banned": errors.AccessDenied,
    "Client identifier not valid": errors.LocalProtocolError,
    "Unsupported protocol version": errors.NotOffered,
}

UNSUPPORTED: Final = "Unsupported protocol version"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address and our account there."""

    host: str
    port: int = _PORTS["mqtt"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse(url: str, *, password: str | None = None, tls: Tls | None = None) -> Broker:
    """Read ``mqtt://user:password@host:port``, or ``mqtts://`` for TLS.

    User, password and port (1883, with TLS 8883) may be left out.

    Parameters
    ----------
    password : instead of one in the URL
    tls : what a connection by ``mqtts`` is secured with

    Raises
    ------
    ValueError
        if it is no such URL; the message does not repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme not in _PORTS or parts.path.strip("/"):
        raise ValueError("a broker is written mqtt://host:port or mqtts://user@host:port")
    if parts.scheme == "mqtt" and tls is not None and tls != Tls():
        raise ValueError("certificates are for TLS: write mqtts://host:port")
    user = unquote(parts.username) if parts.username else None
    secret = password or (unquote(parts.password) if parts.password else None)
    if secret and not user:
        raise ValueError("a password needs its user: write mqtts://user@host:port")
    secured = (tls or Tls()) if parts.scheme == "mqtts" else None
    return Broker(host, port, user, secret, secured)


def has_password(url: str) -> bool:
    """Tell whether a URL has a password in it."""
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return "@" in url


def refusal(broker: Broker, reason: str) -> errors.DriverError:
    """Turn a broker's refusal to connect into the error that says what to do.

    Anything that may pass, such as a server that is busy, is an error of the line.
    """
    kind = _REFUSALS.get(reason, errors.LinkError)
    advice = "; check user and password" if kind is errors.AccessDenied else ""
    return kind(f"{broker} refused the connection: {reason}{advice}")
