"""A fleet of simulated meters from one TOML file: who they are, and serving them.

The file is described in ``docs/simulators.md``. Loading is pure and repeatable: the same file
gives the same meters, faults, keys and loads, to the byte.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.period import Period
from simulators import composition, control, dlms_push, fleet_file, keys, line
from simulators.dlms_model import DlmsModel
from simulators.meter import Meter

DEFAULT_PORTS: Final = {"dlms": 4059, "modbus": 5020}

REGISTRY_COLUMNS: Final = (
    "usage_point", "commodity", "sector", "time_zone", "tariff", "billing_group", "segment",
    "end_device", "manufacturer", "model", "protocol", "profile", "host", "port", "address",
    "security", "interval_seconds", "register_modulus", "multiplier", "installed_from",
    "installed_until",
)  # fmt: skip


@dataclass(frozen=True)
class Fleet:
    """All meters, their faults and their truth.

    Attributes
    ----------
    name, seed : from the file
    period : whole local days that there is data for
    now : where the fleet's clock stands at first [Unix s]
    meters : in the order of the file; a meter exchange makes two
    """

    name: str
    seed: int
    period: Period
    now: int
    meters: tuple[Meter, ...]

    def meter(self, mrid: str) -> Meter:
        """Find a meter by its end device name."""
        return next(meter for meter in self.meters if meter.mrid == mrid)

    def registry(
        self,
        *,
        dlms_port: int = DEFAULT_PORTS["dlms"],
        modbus_port: int = DEFAULT_PORTS["modbus"],
        broker: str = "mqtt://127.0.0.1:1883",
        serial_folder: Path = line.SERIAL_FOLDER,
    ) -> list[dict[str, str]]:
        """List installations as rows for ``miqyas import registry``.

        Parameters
        ----------
        dlms_port, modbus_port, broker, serial_folder : where the fleet is served
        """
        ports = {"dlms": dlms_port, "modbus": modbus_port}
        return [
            _registry_row(meter, _endpoint(meter, ports, broker), serial_folder, self.period)
            for meter in self.meters
        ]

    def keys(self, *, right: bool = False) -> list[dict[str, str]]:
        """List keys as rows for ``miqyas import keys``.

        Parameters
        ----------
        right : give the keys that meters with the fault ``wrong_key`` really have
        """
        return [
            {"end_device": meter.mrid, "kind": kind, "key_hex": value.hex()}
            for meter in self.meters
            for kind, value in keys.told(meter, right=right)
        ]


def load(path: str | Path, *, meters: int | None = None) -> Fleet:
    """Read a fleet's file.

    Parameters
    ----------
    path : TOML file, or the name of one in ``simulators/fleets`` such as ``demo``
    meters : how many meters the first group has, instead of the file's number

    Raises
    ------
    fleet_file.BadFleet
        saying what is wrong where in the file.
    """
    described = fleet_file.read(path, meters=meters)
    try:
        made = composition.meters(described)
    except (KeyError, ValueError) as wrong:
        raise fleet_file.BadFleet(f"{path}: {wrong.args[0]}") from wrong
    return Fleet(
        name=described.name,
        seed=described.seed,
        period=described.period,
        now=int(described.now.timestamp()),
        meters=made,
    )


def _registry_row(
    meter: Meter, endpoint: tuple[str, str], serial_folder: Path, period: Period
) -> dict[str, str]:
    address = dict(meter.address)
    if "line" in address:
        address["line"] = str(serial_folder / str(address["line"]))
    exchanged_out = meter.end < int(period.end.timestamp())
    values = (
        *(meter.usage_point, meter.commodity, meter.sector, meter.time_zone, meter.tariff),
        *(meter.billing_group, meter.segment, meter.mrid, meter.manufacturer, meter.model),
        *(meter.protocol, meter.profile, *endpoint),
        ";".join(f"{name}={value}" for name, value in {**address, **_title(meter)}.items()),
        *(meter.security, str(meter.interval_seconds), str(meter.register_modulus)),
        str(meter.multiplier),
        _iso(meter.start),
        _iso(meter.end) if exchanged_out else "",
    )
    return dict(zip(REGISTRY_COLUMNS, values, strict=True))


def _title(meter: Meter) -> dict[str, str]:
    """Give the system title that a listener knows a meter's ciphered pushes by."""
    pushes = dlms_push.pushes(meter) and meter.security == "hls-gmac"
    return {"system_title": DlmsModel(meter).title.hex()} if pushes else {}


def _endpoint(meter: Meter, ports: dict[str, int], broker: str) -> tuple[str, str]:
    """Give the registry's host and port; a meter on a serial line has none."""
    if meter.protocol == "mqtt":
        url = urlsplit(broker)
        return url.hostname or "127.0.0.1", str(url.port or 1883)
    if "line" in meter.address:
        return "", ""
    host, port = line.endpoint(meter, ports[meter.protocol])
    return host, str(port)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a fleet until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.fleet",
        description="Serve a fleet of simulated meters on loopback.",
        epilog="Example: python -m simulators.fleet demo --control 8900 --port 4059",
    )
    parser.add_argument("fleet", help="TOML file, or a name such as demo, small or collect")
    parser.add_argument("--control", type=int, default=0, help="port of the control API; 0: free")
    parser.add_argument("--broker", default=None, help="MQTT broker, mqtt://127.0.0.1:1883")
    parser.add_argument("--push", default=None, help="where meters push, tcp://127.0.0.1:4059")
    parser.add_argument("--port", type=int, default=DEFAULT_PORTS["dlms"], help="DLMS port")
    parser.add_argument("--modbus-port", type=int, default=DEFAULT_PORTS["modbus"])
    parser.add_argument("--now", type=datetime.fromisoformat, help="where the clock stands first")
    parser.add_argument(
        "--serial-folder", type=Path, default=line.SERIAL_FOLDER, help="where serial ports appear"
    )
    parser.add_argument(
        "--meters", type=int, help="meters in the first group, not the file's number"
    )
    given = parser.parse_args(arguments)
    try:
        fleet = load(given.fleet, meters=given.meters)
    except fleet_file.BadFleet as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201
        return 2
    try:
        control.run(
            fleet.meters,
            now=int(given.now.timestamp()) if given.now else fleet.now,
            ports={"control": given.control, "dlms": given.port, "modbus": given.modbus_port},
            broker=given.broker,
            serial_folder=given.serial_folder,
            push=given.push,
        )
    except OSError as taken:
        print(f"{given.fleet}: {taken}; choose other ports or 0", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
