"""The table of drivers: what each protocol offers, and what it was tested against.

A new driver is a package under ``drivers/``, one entry here, a capture, a simulator and a row in
the README's table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.dlms import companion
from drivers.dlms.session import DlmsDriver
from drivers.driver import Driver, Feature
from drivers.modbus import profiles as modbus_profiles
from drivers.modbus.session import ModbusDriver
from drivers.mqtt import payloads


@dataclass(frozen=True, slots=True)
class Entry:
    """One protocol.

    Attributes
    ----------
    name : the protocol in the registry
    offers : what can be read
    profiles : names that a meter's profile may have in the registry
    make : makes the driver; None where meters speak first (``drivers.mqtt.subscriber``)
    tested_against : what nobody here wrote: implementations and captures
    """

    name: str
    offers: frozenset[Feature]
    profiles: Callable[[], Sequence[str]]
    make: Callable[[], Driver] | None
    tested_against: tuple[str, ...]


_ALL: Final = (
    Entry(
        name="dlms",
        offers=DlmsDriver.offers,
        profiles=companion.names,
        make=DlmsDriver,
        tested_against=(
            "captured frames of real meters",
            "gurux-dlms 1.0.203",
        ),
    ),
    Entry(
        name="modbus",
        offers=ModbusDriver.offers,
        profiles=modbus_profiles.names,
        make=ModbusDriver,
        tested_against=(
            "pyModbusTCP 0.3.1",
            "pymodbus 3.16",
            "pysunspec2 1.3",
            "register values printed in the vendors' protocol documents",
        ),
    ),
    Entry(
        name="mqtt",
        offers=frozenset({"registers"}),
        profiles=lambda: list(payloads.FORMATS),
        make=None,
        tested_against=(
            "mosquitto 2.0 with and without TLS",
            "amqtt 0.12",
            "captures of smartmeter-datacollector, wmbusmeters, Zigbee2MQTT and The Things Stack",
            "examples of the LoRaWAN Device Repository's decoders",
            "payloads of npm sparkplug-payload 1.0.3",
        ),
    ),
)

CATALOGUE: Final[dict[str, Entry]] = {entry.name: entry for entry in _ALL}


def polled() -> dict[str, Driver]:
    """Make one driver for every protocol whose meters wait to be asked."""
    return {entry.name: entry.make() for entry in _ALL if entry.make is not None}
