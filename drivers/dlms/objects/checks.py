"""Values of attributes, taken apart with a look at each part's type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.engine import Association
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
from drivers.errors import RemoteProtocolError


def read(
    association: Association, thing: Attribute, indexes: Sequence[int]
) -> Step[list[axdr.Value]]:
    """Read several attributes of one object, in their order.

    Raises
    ------
    MeterRefused
        if one of them is refused.
    """
    asked = [replace(thing, index=index) for index in indexes]
    values = yield from association.get_all(asked)
    for attribute, value in zip(asked, values, strict=True):
        if isinstance(value, Refusal):
            raise value.error(f"reading {attribute}")
    return values


def array(value: axdr.Value, what: str, most: int) -> list[axdr.Value]:
    """Give an array's elements.

    Raises
    ------
    RemoteProtocolError
        if it is no array, or one of more elements than make sense.
    """
    if not isinstance(value, list) or len(value) > most:
        raise RemoteProtocolError(f"{what}: {_shown(value)} is no array of up to {most}")
    return value


def parts(value: axdr.Value, what: str, *kinds: type) -> tuple[axdr.Value, ...]:
    """Give a structure's elements, each of the kind that it must have.

    Raises
    ------
    RemoteProtocolError
        if it is no such structure.
    """
    if (
        not isinstance(value, tuple)
        or len(value) != len(kinds)
        or not all(isinstance(part, kind) for part, kind in zip(value, kinds, strict=True))
    ):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise RemoteProtocolError(f"{what}: {_shown(value)} is no structure of {names}")
    return value


def _shown(value: axdr.Value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
