"""Where a broker is, and what its refusals mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from drivers import errors

_PORT: Final = 1883

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
    port: int = _PORT
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


def parse(url: str) -> Broker:
    """Read ``mqtt://user:password@host:port``; user, password and port (1883) may be left out.

    Raises
    ------
    ValueError
        if it is no such URL; the message does not repeat it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, 0
    if host is None or parts.scheme != "mqtt" or parts.path.strip("/"):
        raise ValueError("a broker is written mqtt://host:port or mqtt://user:password@host:port")
    user = unquote(parts.username) if parts.username else None
    return Broker(host, port, user, unquote(parts.password) if parts.password else None)


def refusal(broker: Broker, reason: str) -> errors.DriverError:
    """Turn a broker's refusal to connect into the error that says what to do.

    Anything that may pass, such as a server that is busy, is an error of the line.
    """
    return _REFUSALS.get(reason, errors.LinkError)(f"{broker} refused the connection: {reason}")
