"""Image transfer, class 18: a firmware image in blocks, checked and activated.

References
----------
IEC 62056-6-2:2021, 4.4.6 (Image transfer), with its steps 1 to 7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, get_args

from drivers.control import ImageState, ImageStatus
from drivers.dlms import axdr
from drivers.dlms.apdu import Attribute
from drivers.dlms.axdr import BitString
from drivers.dlms.engine import Association
from drivers.dlms.objects import checks
from drivers.dlms.steps import Step
from drivers.errors import LocalProtocolError, RemoteProtocolError

LARGEST_IMAGE: Final = 64 << 20
_BLOCK_SIZE, _TAKEN, _ENABLED, _STATUS, _TO_ACTIVATE = 2, 3, 5, 6, 7
_INITIATE, _TRANSFER, _VERIFY, _ACTIVATE = 1, 2, 3, 4
_STATUSES: Final[tuple[ImageStatus, ...]] = get_args(ImageStatus)
_MOST_IMAGES: Final = 16
_LARGEST_BLOCK: Final = 1 << 16
_BOOLEAN, _DOUBLE_LONG_UNSIGNED, _INTEGER = 3, 6, 15


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an image has come, block by block; ``taken`` has one bool a block."""

    enabled: bool
    status: ImageStatus
    block_size: int
    taken: tuple[bool, ...]
    identifications: tuple[str, ...]

    @property
    def missing(self) -> list[int]:
        """Numbers of the blocks that the meter does not have."""
        return [number for number, has in enumerate(self.taken) if not has]

    @property
    def state(self) -> ImageState:
        """The same in the domain's words."""
        return ImageState(
            enabled=self.enabled,
            status=self.status,
            block_size=self.block_size,
            blocks=len(self.taken),
            blocks_taken=sum(self.taken),
            identifications=self.identifications,
        )


def read(association: Association, image: Attribute) -> Step[Standing]:
    """Read how far an image has come.

    Raises
    ------
    RemoteProtocolError
        if that is not built as the standard says.
    """
    size, taken, enabled, status, info = yield from checks.read(
        association, image, (_BLOCK_SIZE, _TAKEN, _ENABLED, _STATUS, _TO_ACTIVATE)
    )
    if not isinstance(size, int) or not 0 < size <= _LARGEST_BLOCK:
        raise RemoteProtocolError(f"{size!r} is no size of an image's blocks")
    if not isinstance(status, int) or not 0 <= status < len(_STATUSES):
        raise RemoteProtocolError(f"{status!r} is no status of an image transfer")
    return Standing(bool(enabled), _STATUSES[status], size, _bits(taken), _identifications(info))


def enable(association: Association, image: Attribute) -> Step[None]:
    """Let the meter take images."""
    yield from association.set(replace(image, index=_ENABLED), axdr.encode_number(_BOOLEAN, True))


def initiate(
    association: Association, image: Attribute, identifier: bytes, size: int
) -> Step[None]:
    """Announce an image; blocks that the meter had are forgotten."""
    announced = axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(identifier),
        axdr.encode_number(_DOUBLE_LONG_UNSIGNED, size),
    )
    yield from association.action(replace(image, index=_INITIATE), announced)


def transfer(association: Association, image: Attribute, number: int, block: bytes) -> Step[None]:
    """Send one block."""
    sent = axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_number(_DOUBLE_LONG_UNSIGNED, number),
        axdr.encode_octet_string(block),
    )
    yield from association.action(replace(image, index=_TRANSFER), sent)


def verify(association: Association, image: Attribute) -> Step[None]:
    """Let the meter check the image; one that needs long refuses for now and goes on."""
    method = replace(image, index=_VERIFY)
    yield from association.action(method, axdr.encode_number(_INTEGER, 0))


def activate(association: Association, image: Attribute) -> Step[None]:
    """Let the meter activate the image at once."""
    method = replace(image, index=_ACTIVATE)
    yield from association.action(method, axdr.encode_number(_INTEGER, 0))


def identifier_octets(text: str) -> bytes:
    """Give an image's identifier as octets: ASCII, or hexadecimal after ``0x``.

    Raises
    ------
    LocalProtocolError
        if it is neither, empty, or longer than 64 octets.
    """
    try:
        octets = bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode("ascii")
    except ValueError:
        octets = b""
    if not 1 <= len(octets) <= 64:
        raise LocalProtocolError(
            f"image identifier {text!r} is neither 1 … 64 ASCII characters nor 0x and hexadecimal"
        )
    return octets


def _bits(value: axdr.Value) -> tuple[bool, ...]:
    if not isinstance(value, BitString):
        raise RemoteProtocolError(f"{value!r} is no status of an image's blocks")
    return tuple(
        bool(value.octets[number // 8] >> (7 - number % 8) & 1) for number in range(value.bits)
    )


def _identifications(value: axdr.Value) -> tuple[str, ...]:
    # Meters that have no image give an empty array, a null or one entry of nothing.
    images = [] if value is None else checks.array(value, "images to activate", _MOST_IMAGES)
    found = (checks.parts(one, "image to activate", int, bytes, bytes)[1] for one in images)
    return tuple(_shown(octets) for octets in found if octets)


def _shown(octets: bytes) -> str:
    text = octets.decode("ascii", errors="replace")
    return text if octets.isascii() and text.isprintable() else f"0x{octets.hex()}"
