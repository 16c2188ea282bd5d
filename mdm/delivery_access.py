"""With what a target is reached: files of keys and certificates, and how patiently.

Secrets are read from their files when they are used; none is kept, shown or logged.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import SecretStr

from mdm.account_balance import Balance
from mdm.delivery_files import DeliveryError
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Access:
    """Files and secrets that open targets; each may be left out.

    Attributes
    ----------
    ca_file : PEM of who signs an address' certificate; without it the machine's own list counts
    certificate_file, certificate_key_file : PEM of our own certificate, and of its key
    token_file : bearer token or API key, sent to addresses of HTTPS
    known_hosts_file : host keys of SFTP servers, as OpenSSH writes them
    key_file : our private key for SFTP
    password_file, password : the user's password for SFTP instead
    """

    ca_file: Path | None = None
    certificate_file: Path | None = None
    certificate_key_file: Path | None = None
    token_file: Path | None = None
    known_hosts_file: Path | None = None
    key_file: Path | None = None
    password_file: Path | None = None
    password: SecretStr | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Give what the settings say."""
        return cls(
            ca_file=settings.delivery_ca_file,
            certificate_file=settings.delivery_certificate_file,
            certificate_key_file=settings.delivery_key_file,
            token_file=settings.delivery_token_file,
            known_hosts_file=settings.sftp_known_hosts_file,
            key_file=settings.sftp_key_file,
            password_file=settings.sftp_password_file,
            password=settings.sftp_password,
        )

    def tls(self) -> ssl.SSLContext:
        """Give what verifies the other side's certificate and shows ours.

        Raises
        ------
        DeliveryError
            if a file cannot be read or holds no certificate.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.certificate_key_file)
        except (OSError, ssl.SSLError) as problem:
            files = (self.ca_file, self.certificate_file, self.certificate_key_file)
            named = ", ".join(str(file) for file in files if file)
            raise DeliveryError(
                f"{named}: cannot be used as certificates in PEM: {problem.strerror or problem}"
            ) from problem
        return context

    def token(self) -> str | None:
        """Give the bearer token, None without."""
        return None if self.token_file is None else secret(self.token_file)

    def sftp_password(self) -> str | None:
        """Give the password for SFTP, None without."""
        if self.password_file is not None:
            return secret(self.password_file)
        return None if self.password is None else self.password.get_secret_value()


def secret(file: Path) -> str:
    """Read a secret's file; white space around it is not of it.

    Raises
    ------
    DeliveryError
        if it cannot be read or is empty; without a word of it.
    """
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise DeliveryError(f"{file}: cannot be read as a secret in UTF-8") from problem
    if not text or not text.isprintable():
        raise DeliveryError(f"{file}: must hold one secret in one line")
    return text


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a target is tried, with growing waits between.

    Attributes
    ----------
    attempts : in all
    first_wait : before the second attempt [s]; each further wait is twice as long
    longest_wait : at most [s]
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30

    def waits(self) -> Iterator[float]:
        """Give the waits between attempts [s]."""
        for number in range(self.attempts - 1):
            yield min(self.first_wait * 2**number, self.longest_wait)


def silently(_text: str) -> None:
    """Tell nobody."""


def _forget(_target: str, _balances: Sequence[Balance]) -> None:
    """Leave what accounts owe to others."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a delivery gets to its target.

    Attributes
    ----------
    balances : told what accounts owe, by target
    tell : told how far it is, in words
    """

    wait: Callable[[float], None]
    retry: Retry = field(default_factory=Retry)
    access: Access = field(default_factory=Access)
    balances: Callable[[str, Sequence[Balance]], None] = _forget
    tell: Callable[[str], None] = silently

    def again(self, seconds: float, trouble: str) -> None:
        """Wait before the next attempt, and say why."""
        self.tell(f"{trouble}; tried again in {seconds:g} s")
        self.wait(seconds)
