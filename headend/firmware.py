"""Firmware images in the database: whole, named by what they contain."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from headend.control_kinds import ControlError
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "firmware.sql")
# Images of meters have some hundred kilobytes; one of a gateway has some tens of megabytes.
_LONGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Image:
    """A firmware image; ``identifier`` is as its maker names it."""

    identifier: str
    content: bytes = field(repr=False)


def add(connection: Connection, content: bytes, identifier: str, *, now: datetime) -> int:
    """Keep an image; give its number. The same content is kept once.

    Raises
    ------
    ControlError
        if it is empty, too long, or was kept under another identifier.
    """
    if not content or len(content) > _LONGEST:
        raise ControlError(
            f"a firmware image has 1 … {_LONGEST:,} bytes; this one has {len(content):,}"
        )
    digest = hashlib.sha256(content).digest()
    row = {"identifier": identifier, "digest": digest, "content": content, "now": now}
    connection.execute(_SQL["add_image"], row)
    [found] = connection.execute(_SQL["image_of_digest"], {"digest": digest}).fetchall()
    if found[1] != identifier:
        raise ControlError(
            f"this image is known as {found[1]!r}; give that as --identifier, not {identifier!r}"
        )
    return int(found[0])


def image(connection: Connection, image_id: int) -> Image:
    """Give an image.

    Raises
    ------
    ControlError
        if there is none.
    """
    row = connection.execute(_SQL["image"], {"id": image_id}).fetchone()
    if row is None:
        raise ControlError(f"there is no firmware image {image_id} in the database")
    return Image(row[0], bytes(row[1]))
