"""The association view of a meter with short names, as one with logical names would give it.

References
----------
IEC 62056-6-2:2021, 4.4.3 (Association SN: object_list, access_rights_list) and 4.4.4 (Association
LN: object_list).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from drivers.dlms import axdr
from drivers.errors import RemoteProtocolError
from schemas.obis import Obis

CLASS: Final = 15
NAME: Final = bytes(Obis(0, 0, 40, 0, 0, 255))
OBJECT_LIST: Final = 2

_READ: Final = 1
_INTEGER, _UNSIGNED, _LONG_UNSIGNED, _ENUM = 15, 17, 18, 22
# Attributes of the classes that readings come from, for meters that do not tell access rights:
# what they do not let us read they say when they are asked.
_ATTRIBUTES: Final = {1: 2, 3: 3, 4: 5, 5: 9, 7: 8, 8: 9}

Objects = Mapping[tuple[int, bytes], tuple[int, int]]
"""Base name and version by class and logical name."""


def object_list(objects: Objects, rights: axdr.Value) -> bytes:
    """Write the objects as the attribute 2 of an Association LN.

    Parameters
    ----------
    rights : attribute 3 of the Association SN, None if the meter does not give it

    Raises
    ------
    RemoteProtocolError
        if the rights are none.
    """
    known = dict(_rights(entry) for entry in rights) if isinstance(rights, list) else {}
    return axdr.encode_sequence(
        axdr.ARRAY,
        *(
            axdr.encode_sequence(
                axdr.STRUCTURE,
                axdr.encode_number(_LONG_UNSIGNED, class_id),
                axdr.encode_number(_UNSIGNED, version),
                axdr.encode_octet_string(name),
                known.get(base) or _written(_assumed(class_id), ()),
            )
            for (class_id, name), (base, version) in objects.items()
        ),
    )


def _assumed(class_id: int) -> Iterable[tuple[int, int]]:
    return ((index, _READ) for index in range(1, _ATTRIBUTES.get(class_id, 1) + 1))


def _rights(entry: axdr.Value) -> tuple[int, bytes]:
    match entry:
        case (int(base), list(attributes), list(methods)):
            return base & 0xFFFF, _written(map(_access, attributes), map(_access, methods))
        case _:
            raise RemoteProtocolError(f"{entry!r} tells no access rights")


def _access(entry: axdr.Value) -> tuple[int, int]:
    """Read a number of an attribute or method, and its access mode, a boolean for old methods."""
    match entry:
        case (int(index), int(mode), *_) if -128 <= index < 128 and 0 <= mode < 256:
            return index, int(mode)
        case _:
            raise RemoteProtocolError(f"{entry!r} tells no access right")


def _written(attributes: Iterable[tuple[int, int]], methods: Iterable[tuple[int, int]]) -> bytes:
    by_attribute = (
        axdr.encode_sequence(axdr.STRUCTURE, *_numbers(one), bytes((axdr.NULL,)))
        for one in attributes
    )
    by_method = (axdr.encode_sequence(axdr.STRUCTURE, *_numbers(one)) for one in methods)
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_sequence(axdr.ARRAY, *by_attribute),
        axdr.encode_sequence(axdr.ARRAY, *by_method),
    )


def _numbers(one: tuple[int, int]) -> tuple[bytes, bytes]:
    return axdr.encode_number(_INTEGER, one[0]), axdr.encode_number(_ENUM, one[1])
