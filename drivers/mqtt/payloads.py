"""The table of payload conventions: which topic is decoded how.

A message becomes a ``Delivery``, or a ``Rejected`` with the reason: whatever its bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from drivers.mqtt.formats import (
    chirpstack,
    smartmeter,
    sparkplug,
    tasmota_sml,
    things_stack,
    wmbusmeters,
    zigbee2mqtt,
)
from drivers.mqtt.payload import Delivery, Malformed, Message, Rejected
from drivers.mqtt.setting import Setting


@dataclass(frozen=True, slots=True)
class Format:
    """A convention.

    Attributes
    ----------
    name : the profile in the registry
    topics : filters of its topics; a ``+`` stands for any one level
    decode : raises Malformed
    """

    name: str
    topics: tuple[str, ...]
    decode: Callable[[Message, Setting], Delivery]


_ALL: Final = (
    Format("smartmeter", ("smartmeter/+/+",), lambda message, _: smartmeter.decode(message)),
    Format("wmbusmeters", ("wmbusmeters/+",), lambda message, _: wmbusmeters.decode(message)),
    Format("tasmota-sml", ("tele/+/SENSOR",), tasmota_sml.decode),
    Format("things-stack", ("v3/+/devices/+/up",), things_stack.decode),
    Format("chirpstack", ("application/+/device/+/event/up",), chirpstack.decode),
    Format("zigbee2mqtt", ("zigbee2mqtt/+",), zigbee2mqtt.decode),
    Format("sparkplug-b", ("spBv1.0/+/+/+", "spBv1.0/+/+/+/+"), sparkplug.decode),
)

FORMATS: Final[dict[str, Format]] = {one.name: one for one in _ALL}


@lru_cache(maxsize=20_000)
def of_topic(topic: str) -> Format | None:
    """Find the convention that a topic belongs to."""
    return next((one for one in _ALL if any(matches(wanted, topic) for wanted in one.topics)), None)


def decode(message: Message, setting: Setting = Setting()) -> Delivery | Rejected:  # noqa: B008
    """Decode a message by its topic.

    Parameters
    ----------
    setting : what the registry says of the meter

    Returns
    -------
    what it says, or why nothing can be made of it; never an exception
    """
    found = of_topic(message.topic)
    if found is None or not message.topic.isprintable():
        return Rejected("no payload convention has this topic")
    try:
        return found.decode(message, setting)
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
