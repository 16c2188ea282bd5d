"""What engineers and technicians ask of one meter: supply switch, firmware, channels, controls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from drivers import kept
from drivers.control import ImageState, SwitchState
from headend import controls, meter_profiles
from headend.control_kinds import SWITCHES
from headend.controls import Control
from headend.meter_profiles import Known
from schemas import statements
from schemas.database import Connection

_SQL = statements.load("headend", "engineering.sql")
_CONTROLS = 10


@dataclass(frozen=True, slots=True)
class Switch:
    """Where a supply switch stood when it was last read; ``in_doubt``: it may have moved since."""

    state: SwitchState
    read_at: datetime
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class Image:
    """The last firmware image for a meter: how far it is [blocks]; ``state`` as of its control."""

    identifier: str
    state: str
    blocks: int
    blocks_taken: int
    status: str | None
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Engineering:
    """What is known of a meter beside its readings; controls are newest first."""

    switch: Switch | None
    image: Image | None
    profile: Known | None
    controls: tuple[Control, ...]


def of_device(connection: Connection, end_device_id: int) -> Engineering:
    """Tell what is known of a meter beside its readings."""
    return Engineering(
        _switch(connection, end_device_id),
        _image(connection, end_device_id),
        meter_profiles.newest(connection, end_device_id),
        tuple(controls.listed(connection, end_device_id=end_device_id, limit=_CONTROLS)),
    )


def _switch(connection: Connection, end_device_id: int) -> Switch | None:
    where = {"end_device": end_device_id, "switches": SWITCHES}
    row = connection.execute(_SQL["last_switch"], where).fetchone()
    [[in_doubt]] = connection.execute(_SQL["switch_in_doubt"], where).fetchall()
    return Switch(kept.loaded(SwitchState, row[0]), row[1], in_doubt) if row else None


def _image(connection: Connection, end_device_id: int) -> Image | None:
    row = connection.execute(_SQL["last_image"], {"end_device": end_device_id}).fetchone()
    if row is None:
        return None
    identifier, state, progress, result, changed_at = row
    if result is not None:
        image = kept.loaded(ImageState, result)
        return Image(identifier, state, image.blocks, image.blocks_taken, image.status, changed_at)
    so_far = progress or {"blocks": 0, "of": 0}
    return Image(identifier, state, so_far["of"], so_far["blocks"], None, changed_at)
