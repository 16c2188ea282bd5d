"""The table of payload conventions: which topic is decoded how.

A message becomes a ``Delivery``, or a ``Rejected`` with the reason: whatever its bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Final

from drivers.mqtt.formats import smartmeter, tasmota_sml, wmbusmeters
from drivers.mqtt.payload import Delivery, Malformed, Message, Rejected


@dataclass(frozen=True, slots=True)
class Format:
    """A convention.

    Attributes
    ----------
    name : the profile in the registry
    topic : filter of its topics; the first ``+`` stands for the meter's name
    decode : raises Malformed
    """

    name: str
    topic: str
    decode: Callable[[Message, tzinfo], Delivery]


_ALL: Final = (
    Format("smartmeter", "smartmeter/+/+", lambda message, _: smartmeter.decode(message)),
    Format("wmbusmeters", "wmbusmeters/+", lambda message, _: wmbusmeters.decode(message)),
    Format("tasmota-sml", "tele/+/SENSOR", tasmota_sml.decode),
)

FORMATS: Final[dict[str, Format]] = {one.name: one for one in _ALL}


def decode(message: Message, *, zone: tzinfo = UTC) -> Delivery | Rejected:
    """Decode a message by its topic.

    Parameters
    ----------
    zone : of devices that send local times without one

    Returns
    -------
    what it says, or why nothing can be made of it; never an exception
    """
    found = next((one for one in _ALL if matches(one.topic, message.topic)), None)
    if found is None or not message.topic.isprintable():
        return Rejected("no payload convention has this topic")
    try:
        return found.decode(message, zone)
    except Malformed as error:
        return Rejected(f"{found.name}: {error}")


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a topic fits a filter with single-level wildcards.

    References
    ----------
    MQTT 3.1.1, §4.7.1; a wildcard does not stand for a system topic or an empty level here.
    """
    wanted, levels = topic_filter.split("/"), topic.split("/")
    return len(wanted) == len(levels) and all(
        level if want == "+" else want == level for want, level in zip(wanted, levels, strict=True)
    )
