"""TLS to a broker: what proves who it is and who we are, and what a failure means."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from drivers import errors

# X509_V_ERR codes of OpenSSL's verification (openssl-verification-options).
_EXPIRED: Final = frozenset({9, 10})
_NAMES: Final = frozenset({62, 64})
_ISSUERS: Final = frozenset({2, 7, 18, 19, 20, 21, 24, 27})

# What a peer's alert says of our own certificate (RFC 8446, §6.2).
_OURS: Final = (
    "BAD_CERTIFICATE",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_UNKNOWN",
    "HANDSHAKE_FAILURE",
    "UNKNOWN_CA",
    "UNSUPPORTED_CERTIFICATE",
)


class BadFile(ValueError):
    """A file of certificates or keys cannot be used; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """What a connection is secured with.

    Attributes
    ----------
    ca_file : PEM, certificates of whoever signs brokers'; the machine's own list if None
    certificate_file : PEM, our certificate and what leads to its issuer; None without one
    key_file : PEM, its key, not encrypted; None where it stands in ``certificate_file``
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


def context(tls: Tls) -> ssl.SSLContext:
    """Make the context of connections: TLS 1.2 or newer, name and issuer verified.

    Raises
    ------
    BadFile
    """
    try:
        made = ssl.create_default_context(cafile=str(tls.ca_file) if tls.ca_file else None)
    except OSError as error:
        raise BadFile(f"{tls.ca_file}: no certificates of issuers: {_why(error)}") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate_file is not None:
        key = tls.key_file or tls.certificate_file
        try:
            made.load_cert_chain(tls.certificate_file, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise BadFile(
                f"{tls.certificate_file}, {key}: no certificate with its key: {_why(error)}"
            ) from error
    return made


def failure(error: OSError, where: str) -> errors.DriverError | None:
    """Name what went wrong on a connection with TLS; None if it was not TLS that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _distrust(error, where)
    if isinstance(error, ConnectionResetError | ssl.SSLEOFError):
        return errors.Broken(
            f"{where} broke the connection off; does it speak TLS at this port, and does it want a"
            " certificate of ours?"
        )
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return errors.RemoteProtocolError(
            f"{where} does not speak TLS; write mqtt://, or the port at which it does"
        )
    if any(alert in reason for alert in _OURS):
        return errors.AccessDenied(
            f"{where} does not accept our certificate ({_words(reason)}); give it the certificate"
            " and key of an account that it knows"
        )
    return errors.LinkError(f"{where}: TLS failed: {_words(reason)}")


def alert(host: str, port: int, made: ssl.SSLContext, where: str, *, seconds: float) -> None:
    """Connect once and hear what the peer says about our certificate.

    With TLS 1.3 it says so only after the handshake, when a connection seems to stand.

    Raises
    ------
    drivers.errors.DriverError
        if it said something.
    """
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as plain,
            made.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.recv(1)
    except OSError as error:
        found = failure(error, where)
        if found is not None:
            raise found from error


def _distrust(error: ssl.SSLCertVerificationError, where: str) -> errors.Untrusted:
    code, why = error.verify_code, error.verify_message
    if code in _EXPIRED:
        return errors.Expired(
            f"{where}: its certificate is not valid today ({why}); renew it, or set the clock"
        )
    if code in _NAMES:
        return errors.WrongName(
            f"{where}: its certificate is of another name ({why}); connect by the name that stands"
            " in it"
        )
    if code in _ISSUERS:
        return errors.UnknownIssuer(
            f"{where}: its certificate is signed by nobody we trust ({why}); give the file of the"
            " right CA"
        )
    return errors.Untrusted(f"{where}: its certificate does not verify: {why}")


def _no_password() -> NoReturn:
    """Refuse an encrypted key: OpenSSL would ask for its password at the terminal."""
    raise ValueError("the key is encrypted; keep it in a file that only its owner may read")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return _words(error.reason or str(error))
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _words(reason: str) -> str:
    return reason.replace("_", " ").lower()
