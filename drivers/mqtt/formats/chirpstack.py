"""``application/<id>/device/<dev eui>/event/up``: LoRaWAN uplinks by ChirpStack v4, as JSON.

``object`` is there only where the device profile has a codec; a mapping says what is what in it.

References
----------
ChirpStack v4, "Event types", and its integration.proto (UplinkEvent, protobuf's JSON mapping).
"""

from __future__ import annotations

from datetime import UTC

from drivers.mqtt.formats import lorawan
from drivers.mqtt.payload import (
    Delivery,
    Malformed,
    Message,
    document,
    group,
    moment,
    text,
)
from drivers.mqtt.setting import Setting


def decode(message: Message, setting: Setting) -> Delivery:
    """Decode one uplink.

    Raises
    ------
    Malformed
        if the payload breaks the convention, or names another device than the topic.
    """
    _, application, _, device, _, _ = message.topic.split("/")
    fields = document(message.payload)
    info = group(fields, "deviceInfo")
    named = lorawan.eui(text(info, "devEui"))
    if named != device.lower():
        raise Malformed(f"device {named[:40]!r} under the topic of {device[:40]!r}")
    if info.get("applicationId", application) != application:
        raise Malformed(f"application {str(info['applicationId'])[:40]!r} under another's topic")
    return lorawan.deliver(
        lorawan.Uplink(
            device=device,
            eui=named,
            received_at=moment(text(fields, "time"), UTC, message.received_at),
            port=lorawan.port(fields, "fPort"),
            fields=lorawan.decoded(fields, "object"),
            has_data=bool(fields.get("data")),
        ),
        setting,
    )
