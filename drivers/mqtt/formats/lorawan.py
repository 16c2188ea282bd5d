"""What uplinks of LoRaWAN network servers have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from drivers.mqtt.payload import Delivery, Malformed
from drivers.mqtt.setting import Setting

_EUI: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Uplink:
    """An uplink, whichever server it came by.

    Attributes
    ----------
    device : the device's name in the topic
    eui : its DevEUI, small letters; empty where the server leaves it out
    received_at : when the network had it, aware, UTC
    port : LoRaWAN FPort; 0 where the server leaves it out
    fields : what the server's decoder made of it; empty without a decoder
    has_data : whether the device sent data at all
    """

    device: str
    eui: str
    received_at: datetime
    port: int
    fields: Mapping[str, Any]
    has_data: bool


def deliver(uplink: Uplink, setting: Setting) -> Delivery:
    """Turn an uplink into readings.

    Raises
    ------
    Malformed
        if there is data and no decoder made anything of it, or nothing that the mapping names.
    """
    if not uplink.fields and not uplink.has_data:
        return Delivery(uplink.device, uplink.eui, ())
    if setting.mapping is None:
        return Delivery(uplink.device, uplink.eui, (), unmapped=True)
    if setting.mapping.ports and uplink.port not in setting.mapping.ports:
        return Delivery(uplink.device, uplink.eui, ())
    if not uplink.fields:
        raise Malformed("the network server decoded nothing; give the device a payload formatter")
    readings = setting.mapping.readings(uplink.fields, uplink.received_at)
    return Delivery(uplink.device, uplink.eui, readings)


def eui(written: str) -> str:
    """Check a DevEUI, and write it in small letters; empty stays empty."""
    small = written.lower()
    if small and not _EUI.fullmatch(small):
        raise Malformed(f"{written[:40]!r} is no DevEUI")
    return small


def port(fields: Mapping[str, Any], name: str) -> int:
    """Take the port, 0 where it is left out."""
    value = fields.get(name, Decimal(0))
    if not isinstance(value, Decimal) or not 0 <= value <= 255 or value != int(value):
        raise Malformed(f"{name} is no port")
    return int(value)


def decoded(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Take what the server's decoder made; empty where there is none."""
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise Malformed(f"{name} is no object")
    return value
