"""End device events, in the words of IEC 61968-9."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class EndDeviceEvent:
    """Something that happened in a meter.

    Attributes
    ----------
    occurred_at : by the meter's clock, aware, UTC
    category : power, clock, tamper, configuration, communication, quality, switch, or unknown
    code : the meter's own number of the event
    description : plain words, English
    """

    occurred_at: datetime
    category: str
    code: int
    description: str
