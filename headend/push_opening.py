"""From a push as it came to a plain notification of a known sender, or the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from drivers.dlms import push
from drivers.dlms.ciphering import AUTHENTICATED, Header
from drivers.dlms.push_inbox import Received
from drivers.errors import DriverError, WrongKey
from headend.push_senders import PROTECTIONS, Sender, Senders
from headend.vault import Vault, VaultError

Kind = Literal[
    "unknown", "contradiction", "wrong_key", "unprotected", "replay", "clock", "broken", "empty",
    "defect",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a push was not taken.

    Attributes
    ----------
    reason : for people: what, and what to do
    identity : of a push by somebody unknown: what was looked for, as its kind and its text
    """

    kind: Kind
    reason: str
    identity: tuple[str, str] | None = None


@dataclass(eq=False, slots=True)
class Push:
    """One push on its way through a batch.

    Attributes
    ----------
    sender : who sent it, None while that is not clear
    plain : the notification without its protection; empty while that is on it
    header : security header, None if it came unprotected
    counted : whether its invocation counter must be higher than those before
    """

    received: Received
    sender: Sender | None = None
    plain: bytes = b""
    header: Header | None = None
    counted: bool = False
    refusal: Refusal | None = None

    def refuse(self, kind: Kind, reason: str, identity: tuple[str, str] | None = None) -> None:
        """Refuse it, if it is not refused already."""
        self.refusal = self.refusal or Refusal(kind, reason, identity)


def open_(one: Push, senders: Senders, vault: Vault) -> None:
    """Take the protection off a ciphered push; a plain one stays as it is.

    The sender is who has its system title; of those who have none in the registry, who alone is
    at the address it came from and whose keys fit.
    """
    apdu = one.received.sent.apdu
    if not apdu:
        one.refuse("broken", "an empty frame came")
        return
    if not push.is_ciphered(apdu):
        one.plain = apdu
        return
    try:
        title = push.system_title(apdu)
    except DriverError as error:
        one.refuse("broken", str(error))
        return
    found = _by_title(one, title, senders) if title else senders.of_host(one.received.host)
    if len(found) == 1:
        _decipher(one, found[0], title or found[0].title, vault)
    elif found:
        one.refuse("contradiction", _several(f"system title {title.hex().upper()}", found))
    elif title:
        one.refuse("unknown", _NO_TITLE.format(title=title.hex().upper()),
                   ("system_title", title.hex().upper()))  # fmt: skip
    else:
        one.refuse("unknown", _NO_HOST.format(host=one.received.host),
                   ("host", one.received.host))  # fmt: skip


def assign(one: Push, names: Sequence[str], senders: Senders) -> None:
    """Find the sender of a plain push by what it calls itself, else by where it came from."""
    host = one.received.host
    named = {sender.id: sender for name in names for sender in senders.of_name(name)}
    found = list(named.values()) if names else list(senders.of_host(host))
    if len(found) == 1:
        one.sender = found[0]
    elif found:
        one.refuse("contradiction", _several(f"names {', '.join(names)}", found))
    elif names:
        one.refuse("unknown", _NO_NAME.format(name=names[0]), ("name", names[0]))
    else:
        one.refuse("unknown", _NO_HOST.format(host=host), ("host", host))


def check_protection(one: Push) -> None:
    """Refuse a push that is protected less than its sender's are."""
    if one.sender is None:
        return
    level = 0 if one.header is None else 2 if one.header.control & AUTHENTICATED else 1
    if level < PROTECTIONS.index(one.sender.protection):
        one.refuse(
            "unprotected",
            f"{one.sender.mrid} pushes {PROTECTIONS[level]}, and at least "
            f"{one.sender.protection} is wanted of it: set its push set-up right, or allow it by "
            f"address push={PROTECTIONS[level]} in the registry",
        )


def check_names(one: Push, names: Sequence[str], senders: Senders) -> None:
    """Refuse a push whose values are another meter's than its sender's."""
    sender = one.sender
    if sender is None or not names or sender.names.issuperset(names):
        return
    others = {s.mrid for name in names for s in senders.of_name(name) if s.id != sender.id}
    if others:
        one.refuse(
            "contradiction",
            f"the push is {sender.mrid}'s, and the values in it are those of "
            f"{', '.join(sorted(others))}: correct the gateway, or the registry",
        )
    elif sender.serials and sender.names.isdisjoint(names):
        one.refuse(
            "contradiction",
            f"the push is {sender.mrid}'s and names {', '.join(names)}, and the registry has "
            f"{', '.join(sorted(sender.serials))} for it: was it exchanged?",
        )


def _by_title(one: Push, title: bytes, senders: Senders) -> Sequence[Sender]:
    """Give who has the title, else who is at the address and may have it."""
    found = senders.of_title(title)
    if found:
        return found
    return [s for s in senders.of_host(one.received.host) if not s.title and s.sealed]


def _decipher(one: Push, sender: Sender, title: bytes, vault: Vault) -> None:
    guessed = sender.title != title
    try:
        apdu = one.received.sent.apdu
        one.plain, one.header = sender.opened(apdu, title, vault)
        one.counted = push.is_counted(apdu)
    except (WrongKey, VaultError) as error:
        if guessed:
            one.refuse("unknown", _NO_TITLE.format(title=title.hex().upper()),
                       ("system_title", title.hex().upper()))  # fmt: skip
        else:
            one.refuse("wrong_key", f"{sender.mrid}: {error}")
            one.sender = sender
    except DriverError as error:
        one.refuse("broken", f"{sender.mrid}: {error}")
    else:
        one.sender = sender
        if guessed and not one.header.control & AUTHENTICATED:
            # Without authentication no key shows whose it is.
            one.refuse("unknown", _NO_TITLE.format(title=title.hex().upper()),
                       ("system_title", title.hex().upper()))  # fmt: skip


def _several(what: str, found: Sequence[Sender]) -> str:
    mrids = ", ".join(sorted(sender.mrid for sender in found))
    return f"{what} is that of several end devices in the registry ({mrids}): correct it"


_NO_TITLE = (
    "no end device in the registry has system title {title}: register the meter with address "
    "system_title={title} and import its keys"
)
_NO_NAME = (
    "no end device in the registry has mRID, serial number or device name {name!r}: register the "
    "meter, with address serial={name} if its mRID is another"
)
_NO_HOST = (
    "the push names no meter, and there is not exactly one end device at {host} in the registry"
)
