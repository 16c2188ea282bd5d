"""Security suite 0 against gurux-dlms' own pure-Python ciphering."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from gurux_dlms.enums import Security
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr
from drivers.dlms.ciphering import Header, Keys
from drivers.errors import LocalProtocolError, RemoteProtocolError, WrongKey
from tests.drivers.dlms import by_gurux


@dataclass(frozen=True)
class Message:
    """A plain APDU, and what it is protected with."""

    plain: bytes
    encryption: bytes
    authentication: bytes
    title: bytes
    counter: int

    @property
    def keys(self) -> Keys:
        return Keys(self.encryption, self.authentication)

    def protected(self, control: int = 0x30) -> bytes:
        return self.keys.protect(self.plain, self.title, self.counter, control)


KEY = st.binary(min_size=16, max_size=16)
MESSAGES = st.builds(
    Message,
    plain=st.binary(min_size=1, max_size=200),
    encryption=KEY,
    authentication=KEY,
    title=st.binary(min_size=8, max_size=8),
    counter=st.integers(0, 2**32 - 1),
)
CONTROLS = {
    0x10: Security.AUTHENTICATION,
    0x20: Security.ENCRYPTION,
    0x30: Security.AUTHENTICATION_ENCRYPTION,
}
CONTROL = st.sampled_from(sorted(CONTROLS))


@given(MESSAGES, CONTROL)
def test_a_message_is_protected_as_gurux_protects_it(message: Message, control: int) -> None:
    theirs = by_gurux.sealed(
        message.plain,
        title=message.title,
        keys=(message.encryption, message.authentication),
        counter=message.counter,
        security=CONTROLS[control],
    )
    text = message.protected(control)
    assert b"\xc8" + axdr.encode_octets(text) == theirs
    opened, header = message.keys.unprotect(text, message.title)
    assert (opened, header) == (message.plain, Header(control, message.counter))


@given(MESSAGES, st.data())
def test_a_changed_message_is_never_opened(message: Message, data: st.DataObject) -> None:
    text = bytearray(message.protected())
    place = data.draw(st.integers(1, len(text) - 1))
    text[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WrongKey):
        message.keys.unprotect(bytes(text), message.title)


@given(MESSAGES, st.sampled_from([0x10, 0x30]))
def test_another_key_or_another_sender_opens_nothing(message: Message, control: int) -> None:
    def other(octets: bytes) -> bytes:
        return bytes(octet ^ 1 for octet in octets)

    text = message.protected(control)
    for keys, sender in (
        (Keys(other(message.encryption), message.authentication), message.title),
        (Keys(message.encryption, other(message.authentication)), message.title),
        (message.keys, other(message.title)),
    ):
        with pytest.raises(WrongKey):
            keys.unprotect(text, sender)


@given(st.binary(max_size=60), st.binary(max_size=12))
def test_garbage_is_a_wrong_key_or_a_protocol_error(text: bytes, title: bytes) -> None:
    keys = Keys(bytes(16), bytes(16))
    try:
        keys.unprotect(text, title)
    except (WrongKey, RemoteProtocolError):
        return
    # Encryption alone has no tag: whatever has a header decrypts to something.
    assert text[0] == 0x20


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_key_of_another_size_is_refused_without_showing_it(size: int) -> None:
    with pytest.raises(LocalProtocolError) as refusal:
        Keys(b"\x5a" * size, bytes(16))
    assert "5a" not in str(refusal.value).lower()
    assert "ZZ" not in str(refusal.value)


def test_keys_are_not_shown() -> None:
    assert repr(Keys(b"secretsecretsecr")) == "Keys(…)"
