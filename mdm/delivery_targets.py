"""The table of targets: where exports go, by the beginning of the target's name."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from mdm import delivery_database, delivery_folder, delivery_http, delivery_lago, delivery_sftp
from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import DeliveryError, Package
from mdm.delivery_folder import Answer, Sought

Send = Callable[[str, str, Package, Way], Iterator[Sequence[Acknowledgement]]]
Answers = Callable[[str, Sought, Way], list[Answer]]


class TargetError(ValueError):
    """A target that cannot be; the message says why, and what there is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of target.

    Attributes
    ----------
    send : brings an export there, and gives acknowledgements as they come
    answers : fetches files in which the receiver acknowledges afterwards; None where each bill
        is acknowledged while it is sent
    format : the only export format that it takes, None for any
    """

    send: Send
    answers: Answers | None = None
    format: str | None = None


# What answers to which kind of address if it names no port.
_PORTS: Final = {"http": 80, "https": 443, "sftp": 22}
_KNOCK_SECONDS: Final = 10
_FOLDER: Final = Kind(delivery_folder.sent, delivery_folder.answers)
KINDS: Final = {
    "http": Kind(delivery_http.sent),
    "https": Kind(delivery_http.sent),
    "lago+http": Kind(delivery_lago.sent, format=delivery_lago.FORMAT),
    "lago+https": Kind(delivery_lago.sent, format=delivery_lago.FORMAT),
    "database": Kind(delivery_database.sent, delivery_database.answers),
    "sftp": Kind(delivery_sftp.sent, delivery_sftp.answers),
}
"""Every kind by its scheme; what has none of them is a folder."""


def of(target: str) -> Kind:
    """Give a target's kind."""
    return KINDS.get(_scheme(target), _FOLDER)


def plain(target: str) -> str:
    """Give a target by the one name under which it is known in the database.

    Raises
    ------
    TargetError
        if it carries a password, or looks like an address of a kind that there is not.
    """
    try:
        return _plain(target)
    except TargetError:
        raise
    except ValueError as error:
        raise TargetError(str(error)) from error


def _plain(target: str) -> str:
    scheme = _scheme(target)
    if scheme not in KINDS:
        if "://" in target:
            known = ", ".join(f"{name}:" for name in KINDS)
            raise TargetError(f"no target is called {scheme}:; known: {known} and folders")
        return str(Path(target).resolve())
    if scheme == "database":
        if target != delivery_database.TARGET:
            raise TargetError(f"the database's views are called {delivery_database.TARGET}")
        return target
    if scheme == "sftp":
        delivery_sftp.Place.of(target)
    elif urlsplit(target).username is not None:
        # It would be kept, and shown in messages.
        raise TargetError("an address must not carry a user or a password")
    return target.rstrip("/")


def knock(target: str) -> None:
    """Look whether somebody is there who takes connections; a folder always is.

    Raises
    ------
    DeliveryError
        if nobody answers within a few seconds.
    """
    parts = urlsplit(target.removeprefix(delivery_lago.PREFIX))
    port = _PORTS.get(parts.scheme)
    if port is None or parts.hostname is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or port), _KNOCK_SECONDS).close()
    except OSError as problem:
        raise DeliveryError(
            f"{target} still cannot be reached: {problem.strerror or problem}. What was claimed "
            "waits for it; nothing is sent twice"
        ) from problem


def format_for(target: str, chosen: str | None) -> str:
    """Give the export format for a target: the chosen one, else its own, else JSON.

    Raises
    ------
    ValueError
        if it takes another one only.
    """
    only = of(target).format
    if only is not None and chosen not in (None, only):
        raise TargetError(f"{target} takes the format {only!r} only, not {chosen!r}")
    return only or chosen or "json"


def _scheme(target: str) -> str:
    return target.partition(":")[0] if ":" in target else ""
