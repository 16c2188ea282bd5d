"""Association LN, class 15: which objects, attributes and methods a client may use.

References
----------
IEC 62056-6-2:2021, 4.4.4 (Association LN), object_list and access_right, versions 0 to 3.
"""

from __future__ import annotations

from typing import Final

from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks
from drivers.dlms.steps import Step
from drivers.errors import RemoteProtocolError
from drivers.meter_profile import AccessMode, AttributeAccess, MethodAccess, OfferedObject
from schemas.obis import Obis

_ASSOCIATION: Final = 15
_FLAGS_SINCE: Final = 3
_MOST_OBJECTS, _MOST_ATTRIBUTES = 4096, 256
_MODES: Final[tuple[AccessMode, ...]] = ("none", "read", "write", "read_write")
# Access modes of versions 0 to 2 that ask for authentication: read, write, both.
_SECURED: Final[dict[int, AccessMode]] = {4: "read", 5: "write", 6: "read_write"}
# Since version 3 the bits above the lowest two say which protection a request needs.
_READ_WRITE: Final = 0x03
_PROTECTED_REQUEST: Final = 0x1C


def read(association: Association, view: Attribute) -> Step[tuple[OfferedObject, ...]]:
    """Read the association's objects.

    Raises
    ------
    RemoteProtocolError
        if they are not built as the standard says.
    """
    return decode(axdr.decode((yield from association.get(view)))[0])


def decode(value: axdr.Value) -> tuple[OfferedObject, ...]:
    """Read an object list, in its order.

    Raises
    ------
    RemoteProtocolError
        if it is none.
    """
    entries = [
        checks.parts(entry, "object", int, int, bytes, tuple)
        for entry in checks.array(value, "object list", _MOST_OBJECTS)
    ]
    # Rights are written by the association's own version.
    versions = [version for class_id, version, _, _ in entries if class_id == _ASSOCIATION]
    flags = max(versions, default=0) >= _FLAGS_SINCE
    return tuple(_object(entry, flags=flags) for entry in entries)


def _object(entry: tuple[axdr.Value, ...], *, flags: bool) -> OfferedObject:
    class_id, version, name, rights = entry
    if len(name) != 6:
        raise RemoteProtocolError(f"an object's name has {len(name)} octets, not 6")
    attributes, methods = checks.parts(rights, "access rights", list, list)
    return OfferedObject(
        class_id,
        version,
        str(Obis.from_bytes(name)),
        tuple(
            _attribute(one, flags=flags)
            for one in checks.array(attributes, "attributes", _MOST_ATTRIBUTES)
        ),
        tuple(
            _method(one, flags=flags) for one in checks.array(methods, "methods", _MOST_ATTRIBUTES)
        ),
    )


def _attribute(value: axdr.Value, *, flags: bool) -> AttributeAccess:
    index, mode, _ = checks.parts(value, "attribute's access", int, int, object)
    if flags:
        secured = bool(mode & _PROTECTED_REQUEST)
        return AttributeAccess(index, _MODES[mode & _READ_WRITE], secured)
    if mode in _SECURED:
        return AttributeAccess(index, _SECURED[mode], secured=True)
    if not 0 <= mode < len(_MODES):
        raise RemoteProtocolError(f"{mode} is no access mode of an attribute")
    return AttributeAccess(index, _MODES[mode])


def _method(value: axdr.Value, *, flags: bool) -> MethodAccess:
    # A boolean in version 0, a number since version 1.
    index, mode = checks.parts(value, "method's access", int, int)
    if flags:
        return MethodAccess(index, bool(mode & 1), bool(mode & _PROTECTED_REQUEST))
    return MethodAccess(index, bool(mode), secured=mode == 2)
