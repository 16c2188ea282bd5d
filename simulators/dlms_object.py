"""What a COSEM object of a simulated meter is: attributes to read and write, methods to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.obis import Obis
from simulators import dlms_codec
from simulators.dlms_apdu import Access, Selection
from simulators.dlms_codec import Malformed
from simulators.dlms_model import DlmsModel

Read = Callable[[DlmsModel, int, Selection | None], bytes]
"""Writes an attribute as A-XDR at a moment of true time [Unix s]."""

Write = Callable[[DlmsModel, int, bytes], None]
"""Takes a new value of an attribute, A-XDR, at a moment of true time; may raise ``Refused``."""

Act = Callable[[DlmsModel, int, bytes | None], bytes | None]
"""Runs a method with parameters, A-XDR or none, gives what it returns; may raise ``Refused``."""

Key = tuple[int, bytes]
"""Class and logical name of an object."""


class Refused(Exception):
    """An attribute or method that says no, and why."""

    def __init__(self, reason: Access) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass(frozen=True)
class CosemObject:
    """One object, as a table of its attributes and methods by their numbers.

    Attribute 1, the logical name, is there without being named.
    """

    class_id: int
    name: bytes
    reads: Mapping[int, Read]
    writes: Mapping[int, Write] = field(default_factory=dict)
    methods: Mapping[int, Act] = field(default_factory=dict)
    version: int = 0

    @property
    def key(self) -> Key:
        """Class and logical name."""
        return self.class_id, self.name

    def read(
        self, model: DlmsModel, index: int, selection: Selection | None, now: int
    ) -> bytes | Access:
        """Write an attribute, or say why not."""
        if index == 1:
            return dlms_codec.octets(self.name)
        if index not in self.reads:
            return Access.DENIED
        try:
            return self.reads[index](model, now, selection)
        except Malformed:
            return Access.TYPE_UNMATCHED
        except Refused as refused:
            return refused.reason

    def write(self, model: DlmsModel, index: int, value: bytes, now: int) -> Access | None:
        """Take a new value of an attribute; None if it is taken."""
        if index not in self.writes:
            return Access.DENIED
        try:
            self.writes[index](model, now, value)
        except Malformed:
            return Access.TYPE_UNMATCHED
        except Refused as refused:
            return refused.reason
        return None

    def act(
        self, model: DlmsModel, index: int, parameters: bytes | None, now: int
    ) -> bytes | Access | None:
        """Run a method; give what it returns, or why it does not run."""
        if index not in self.methods:
            return Access.UNDEFINED if index < 1 else Access.DENIED
        try:
            return self.methods[index](model, now, parameters)
        except Malformed:
            return Access.TYPE_UNMATCHED
        except Refused as refused:
            return refused.reason


def cosem(
    class_id: int,
    name: str,
    reads: Mapping[int, Read],
    *,
    writes: Mapping[int, Write] | None = None,
    methods: Mapping[int, Act] | None = None,
    version: int = 0,
) -> CosemObject:
    """Make an object by its OBIS code."""
    octets = bytes(Obis.parse(name))
    return CosemObject(class_id, octets, reads, writes or {}, methods or {}, version)


def kept(key: str, start: bytes) -> tuple[Read, Write]:
    """Make an attribute that gives back what was written last.

    Parameters
    ----------
    key : its name in the model's memory
    start : what it has before anything was written, A-XDR; a value of another type is refused
    """

    def read(model: DlmsModel, _now: int, _selection: Selection | None) -> bytes:
        return model.kept.get(key, start)

    def write(model: DlmsModel, _now: int, value: bytes) -> None:
        if value[:1] != start[:1] or len(value) > _LONGEST_KEPT:
            raise Malformed(f"{key} is of another type or too long")
        dlms_codec.whole(value)
        model.kept[key] = value

    return read, write


_LONGEST_KEPT: Final = 1 << 16
