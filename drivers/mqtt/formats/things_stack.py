"""``v3/<application>@<tenant>/devices/<device>/up``: LoRaWAN uplinks by The Things Stack v3.

The Things Stack leaves out fields that are empty, 0 or false. What the device's payload formatter
made of the uplink stands in ``decoded_payload``; a mapping says what is what.

References
----------
The Things Stack, "Data Formats".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from drivers.mqtt.formats import lorawan
from drivers.mqtt.payload import (
    Delivery,
    Malformed,
    Message,
    document,
    group,
    moment,
    optional_text,
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
    _, application, _, device, _ = message.topic.split("/")
    fields = document(message.payload)
    ids = group(fields, "end_device_ids")
    uplink = group(fields, "uplink_message")
    if text(ids, "device_id") != device:
        raise Malformed(
            f"device {text(ids, 'device_id')[:40]!r} under the topic of {device[:40]!r}"
        )
    _check_application(ids, application)
    serial = lorawan.eui(optional_text(ids, "dev_eui"))
    written = optional_text(uplink, "received_at") or text(fields, "received_at")
    return lorawan.deliver(
        lorawan.Uplink(
            device=device,
            eui=serial,
            received_at=moment(written, UTC, message.received_at),
            port=lorawan.port(uplink, "f_port"),
            fields=lorawan.decoded(uplink, "decoded_payload"),
            has_data="frm_payload" in uplink,
        ),
        setting,
    )


def _check_application(ids: Mapping[str, Any], topic: str) -> None:
    """Compare the application with the topic's, which may have the tenant after an at sign."""
    named = group(ids, "application_ids").get("application_id")
    if named != topic.rpartition("@")[0] and named != topic:
        raise Malformed(f"application {str(named)[:40]!r} under the topic of {topic[:40]!r}")
