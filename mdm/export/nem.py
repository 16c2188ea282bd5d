"""What NEM12 and NEM13 share: names, times and quality as AEMO writes them.

References
----------
AEMO, Meter Data File Format (MDFF) Specification NEM12 & NEM13, v2.x: §2 (CSV without quotes, times
in UTC+10 all year), §4 and §5 (records), appendix C and E (quality and reason codes).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Final

from mdm.export.record import Head, Record
from schemas import quality, quality_mapping

AEST: Final = timezone(timedelta(hours=10), "AEST")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,10}")
_SERIAL: Final = re.compile(r"[A-Za-z0-9_./ -]{1,12}")
_UNITS: Final = {"kWh": "kWh", "kvarh": "kVArh"}


def name_refusal(record: Record) -> str | None:
    """Say why a usage point's name cannot be an NMI, None if it can."""
    if _NAME.fullmatch(record.usage_point):
        return None
    return "its name cannot be an NMI: 1 to 10 letters, digits, - and _"


def serial(end_device: str) -> str:
    """Give a meter's serial number, empty where it does not fit into the field."""
    return end_device if _SERIAL.fullmatch(end_device) else ""


def unit(display_unit: str) -> str | None:
    """Give AEMO's writing of a unit, None if it has none."""
    return _UNITS.get(display_unit)


def header(version: str, head: Head) -> str:
    """Write the 100 record; participants have at most ten letters and digits."""
    to = re.sub(r"[^A-Z0-9]", "", head.billing_group.upper())[:10] or "BILLING"
    return f"100,{version},{stamp(head.prepared_at)[:12]},MIQYAS,{to}"


def stamp(moment: datetime) -> str:
    """Write a moment as AEMO does: UTC+10, to the second."""
    return moment.astimezone(AEST).strftime("%Y%m%d%H%M%S")


def quality_fields(code: int) -> tuple[str, str, str]:
    """Write a quality code: flag with method, reason code, reason description.

    V stands for a whole day only; an interval that came as V is null here, its name beside it.
    """
    found = quality_mapping.to_aemo(code)
    if found.flag == "V":
        return "N", "0", quality.name_of(code)
    if found.reason is None and found.flag in "SF":
        # Substitutes must give a reason; 0 is free text.
        return str(found), "0", quality.name_of(code)
    reason = "" if found.reason is None else str(found.reason)
    return str(found), reason, found.description or ""
