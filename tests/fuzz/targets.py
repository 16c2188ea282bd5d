"""Every decoder by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.fuzz import (
    dlms_data,
    dlms_lines,
    dlms_pushes,
    dlms_security,
    dlms_services,
    files,
    modbus,
    mqtt,
)
from tests.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    **dlms_data.TARGETS,
    **dlms_security.TARGETS,
    **dlms_pushes.TARGETS,
    **dlms_lines.TARGETS,
    **dlms_services.TARGETS,
    **modbus.TARGETS,
    **mqtt.TARGETS,
    **files.TARGETS,
}
