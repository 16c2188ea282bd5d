"""What a payload convention is told of the meter beside the message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from drivers.mqtt.mapping import FieldMap

Known = tuple[str, int]
"""Name and data type of a Sparkplug metric."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How a meter's messages are to be read.

    Attributes
    ----------
    zone : of times without an offset
    mapping : which fields are which readings; None where the registry names none
    aliases : Sparkplug metrics by alias, as the last birth certificate has them
    """

    zone: tzinfo = UTC
    mapping: FieldMap | None = None
    aliases: Mapping[int, Known] = field(default_factory=dict)
