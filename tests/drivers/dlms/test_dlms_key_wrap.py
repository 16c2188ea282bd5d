"""Key wrapping against the vectors of RFC 3394 and against gurux-dlms."""

from __future__ import annotations

import pytest
from gurux_dlms.secure import GXDLMSSecureClient
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import key_wrap
from drivers.errors import LocalProtocolError, WrongKey

KEK = bytes.fromhex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
DATA = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
KEYS = st.sampled_from(key_wrap.SIZES).flatmap(lambda size: st.binary(min_size=size, max_size=size))


@pytest.mark.parametrize(
    ("wrapping", "key", "wrapped"),
    [
        # RFC 3394, 4.1, 4.3 and 4.6.
        (KEK[:16], DATA[:16], "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"),
        (KEK, DATA[:16], "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"),
        (KEK, DATA,
         "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"),
    ],
)  # fmt: skip
def test_the_vectors_of_rfc_3394(wrapping: bytes, key: bytes, wrapped: str) -> None:
    assert key_wrap.wrap(wrapping, key).hex().upper() == wrapped
    assert key_wrap.unwrap(wrapping, bytes.fromhex(wrapped)) == key


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_keys_are_wrapped_as_gurux_wraps_them(wrapping: bytes, key: bytes) -> None:
    assert key_wrap.wrap(wrapping, key) == bytes(GXDLMSSecureClient.encrypt(wrapping, key))


@given(KEYS, KEYS, st.data())
def test_a_changed_wrapping_never_opens(wrapping: bytes, key: bytes, data: st.DataObject) -> None:
    wrapped = bytearray(key_wrap.wrap(wrapping, key))
    wrapped[data.draw(st.integers(0, len(wrapped) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WrongKey):
        key_wrap.unwrap(wrapping, bytes(wrapped))


@given(st.binary(max_size=48))
def test_garbage_is_a_wrong_key(garbage: bytes) -> None:
    with pytest.raises(WrongKey):
        key_wrap.unwrap(KEK[:16], garbage)


@pytest.mark.parametrize("size", [0, 8, 15, 17, 24, 33])
def test_keys_of_other_sizes_are_refused_without_being_shown(size: int) -> None:
    odd = b"\x5a" * size
    for make in (lambda: key_wrap.wrap(odd, KEK), lambda: key_wrap.wrap(KEK, odd),
                 lambda: key_wrap.unwrap(odd, DATA)):  # fmt: skip
        with pytest.raises(LocalProtocolError) as refusal:
            make()
        assert "5a" not in str(refusal.value).lower()
