"""Keys on their way to a meter or from it, wrapped under the key that encrypts keys.

References
----------
RFC 3394 (AES Key Wrap); IEC 62056-5-3:2017, 5.3.4.9 (key wrapping) and 9.2.7.2.4 (wrapped key).
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import keywrap

from drivers.errors import LocalProtocolError, WrongKey

SIZES: Final = (16, 32)
_INTEGRITY_CHECK: Final = 8


def wrap(wrapping: bytes, key: bytes) -> bytes:
    """Wrap a key: eight octets longer than the key itself.

    Parameters
    ----------
    wrapping : key encryption key (the meter's master key), 16 or 32 octets
    key : 16 or 32 octets

    Raises
    ------
    LocalProtocolError
        if a key has another size.
    """
    for name, octets in (("wrapping", wrapping), ("wrapped", key)):
        if len(octets) not in SIZES:
            raise LocalProtocolError(f"the {name} key has {len(octets)} bytes, not 16 or 32")
    return keywrap.aes_key_wrap(wrapping, key)


def unwrap(wrapping: bytes, wrapped: bytes) -> bytes:
    """Take a key out of its wrapping.

    Raises
    ------
    LocalProtocolError
        if the wrapping key has another size than 16 or 32 octets.
    WrongKey
        if it was wrapped under another key, or is none.
    """
    if len(wrapping) not in SIZES:
        raise LocalProtocolError(f"the wrapping key has {len(wrapping)} bytes, not 16 or 32")
    if len(wrapped) - _INTEGRITY_CHECK not in SIZES:
        raise WrongKey(f"{len(wrapped)} bytes are no wrapped key")
    try:
        return keywrap.aes_key_unwrap(wrapping, wrapped)
    except keywrap.InvalidUnwrap:
        raise WrongKey(
            "a wrapped key does not open under the meter's master key; check the key of kind master"
        ) from None
