"""Security setup, class 64, versions 0 and 1: keys given to a meter, wrapped.

Method 2 is the same in both versions: ``global_key_transfer``, later ``key_transfer``.

References
----------
IEC 62056-6-2:2021, 4.4.7 (Security setup); RFC 3394 (AES Key Wrap).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from drivers.dlms import axdr, key_wrap
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.steps import Step

KEY_IDS: Final = {"encryption": 0, "broadcast": 1, "authentication": 2, "master": 3}
"""Numbers of the keys: global unicast, global broadcast, authentication, master (KEK)."""

_KEY_TRANSFER: Final = 2
_ENUM: Final = 22


def transfer(
    association: Association, setup: Attribute, keys: Mapping[str, bytes], master: bytes
) -> Step[None]:
    """Give a meter keys, all in one request: it takes all of them or none.

    Parameters
    ----------
    keys : by the names of ``KEY_IDS``
    master : the key that they are wrapped under
    """
    method = replace(setup, index=_KEY_TRANSFER)
    yield from association.action(method, encode(keys, master))


def encode(keys: Mapping[str, bytes], master: bytes) -> bytes:
    """Write keys as the method's parameter, in the order of their numbers.

    Raises
    ------
    LocalProtocolError
        if a key has a wrong size.
    """
    ordered = sorted(keys, key=lambda name: KEY_IDS[name])
    return axdr.encode_sequence(
        axdr.ARRAY,
        *(
            axdr.encode_sequence(
                axdr.STRUCTURE,
                axdr.encode_number(_ENUM, KEY_IDS[name]),
                axdr.encode_octet_string(key_wrap.wrap(master, keys[name])),
            )
            for name in ordered
        ),
    )
