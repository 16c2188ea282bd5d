"""``zigbee2mqtt/<friendly name>``: Zigbee plugs and meters by Zigbee2MQTT; energy in kWh.

The gateway publishes all its devices so, lamps too: what has no quantity of a meter is nobody's.
``last_seen`` is needed: a broker may deliver hours later, so the time of receipt is no time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.mqtt import mapping
from drivers.mqtt.payload import Delivery, Malformed, Message, document
from drivers.mqtt.setting import Setting


def decode(message: Message, setting: Setting) -> Delivery:
    """Decode one device's state.

    Raises
    ------
    Malformed
        if the payload breaks the convention.
    """
    identity = message.topic.split("/")[1]
    fields = document(message.payload)
    wanted = setting.mapping or mapping.named("zigbee2mqtt")
    if not any(
        fields.get(path[0]) is not None for entry in wanted.entries for path in entry.fields
    ):
        return Delivery(identity, "", ())
    serial = _serial(fields)
    if wanted.time == ("last_seen",) and fields.get("last_seen") is None:
        raise Malformed("no last_seen; set advanced.last_seen to ISO_8601 in Zigbee2MQTT")
    return Delivery(identity, serial, wanted.readings(fields, message.received_at))


def _serial(fields: Mapping[str, Any]) -> str:
    """Give the device's IEEE address, where the gateway adds it."""
    device = fields.get("device")
    address = device.get("ieeeAddr") if isinstance(device, dict) else None
    return address if isinstance(address, str) else ""
