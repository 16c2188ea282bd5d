"""``miqyas simulate``: meters that do not exist, their registry, keys and truth."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import httpx
import typer

from console import show, store, writing
from headend import clock
from simulators import broker as brokers
from simulators import control as controls
from simulators import fleet as fleets

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, help="A fleet of simulated meters, and the truth about it.")

FleetName = Annotated[
    str,
    typer.Argument(metavar="FLEET", help="A TOML file, or a name: demo, small, lines, collect."),
]
_CONTROL_PORT = 8075
DlmsPort = Annotated[int, typer.Option(min=0, max=65535, help="Of DLMS meters.")]
ModbusPort = Annotated[int, typer.Option(min=0, max=65535, help="Of Modbus meters.")]
BrokerPort = Annotated[int, typer.Option(min=0, max=65535, help="Of the MQTT broker.")]
ControlPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of the control API.")]
Output = Annotated[Path | None, typer.Option("--out", help="A file; else standard output.")]


@app.command("run")
def run(
    fleet: FleetName,
    port: DlmsPort = fleets.DEFAULT_PORTS["dlms"],
    modbus_port: ModbusPort = fleets.DEFAULT_PORTS["modbus"],
    broker_port: BrokerPort = 1883,
    control: ControlPort = _CONTROL_PORT,
) -> None:
    """Serve a fleet and a broker on this machine until stopped (Ctrl-C).

    Its clock stands still until `miqyas simulate clock` moves it. A port of 0 takes a free one.

    Example: miqyas simulate run small
    """
    described = fleets.load(fleet)
    with (
        brokers.running(port=broker_port) as broker,
        controls.running(
            fleet, broker=broker.url, dlms_port=port, modbus_port=modbus_port, control_port=control
        ) as running,
    ):
        where = [f"broker {broker.url} ({broker.kind})", f"control {running.control}"]
        where += [f"DLMS port {running.dlms_port}"] if running.dlms_port else []
        where += [f"Modbus port {running.modbus_port}"] if running.modbus_port else []
        what = show.count(len(described.meters), "meter")
        with show.until_stopped(f"{what}; {', '.join(where)}."):
            raise typer.Exit(running.process.wait())


@app.command("registry")
def registry(
    fleet: FleetName,
    out: Output = None,
    port: DlmsPort = fleets.DEFAULT_PORTS["dlms"],
    modbus_port: ModbusPort = fleets.DEFAULT_PORTS["modbus"],
    broker: Annotated[str, typer.Option(help="Address of the broker.")] = "mqtt://127.0.0.1:1883",
) -> None:
    """Write the fleet's registry, for `miqyas import registry`.

    Example: miqyas simulate registry small --out meters.csv
    """
    described = fleets.load(fleet)
    _write(described.registry(dlms_port=port, modbus_port=modbus_port, broker=broker), out)


@app.command("clock")
def live_by(
    fleet: FleetName,
    to: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            formats=["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"],
            help="Move the fleet's clock there first: 2026-06-05T00:30+03:00.",
        ),
    ] = None,
    control: ControlPort = _CONTROL_PORT,
    *,
    off: Annotated[bool, typer.Option("--off", help="Go back to the machine's time.")] = False,
) -> None:
    """Have all commands on this database live at the time of a running fleet.

    It is refused where the registry has meters that are none of the fleet's.

    Example: miqyas simulate clock small --to 2026-06-05T00:30+03:00
    """
    described = fleets.load(fleet)
    with store.connection() as connection:
        if off:
            clock.resume(connection)
            show.done("All commands live at the machine's time again.")
            return
        moment = _fleet_time(f"http://127.0.0.1:{control}", to)
        meters = [meter.mrid for meter in described.meters]
        clock.pretend(connection, moment, end_devices=meters)
    show.done(
        f"It is {moment:%Y-%m-%d %H:%M} UTC now for the fleet and for all commands on this "
        f"database, until: miqyas simulate clock {fleet} --off"
    )


@app.command("keys")
def keys(fleet: FleetName, out: Output = None) -> None:
    """Write the keys of the fleet's meters, for `miqyas import keys`.

    Example: miqyas simulate keys small --out keys.csv
    """
    _write(fleets.load(fleet).keys(), out)


@app.command("truth")
def show_truth(
    fleet: FleetName,
    faults: Annotated[bool, typer.Option("--faults", help="Faults instead of intervals.")] = False,
    out: Output = None,
) -> None:
    """Write what truly flowed, or which faults are where, as a table.

    Example: miqyas simulate truth small --faults
    """
    described = fleets.load(fleet)
    # Tables come with pandas, for which no other command should have to wait.
    from simulators import truth  # noqa: PLC0415

    table = truth.faults(described) if faults else truth.intervals(described)
    _write_table(table, out)


def _fleet_time(control: str, to: datetime | None) -> datetime:
    """Ask a running fleet for its time, moving it first if that is wanted."""
    try:
        with httpx.Client(base_url=control, trust_env=False, timeout=60) as api:
            answer = api.post("/clock", json={"now": to.isoformat()}) if to else api.get("/status")
    except httpx.TransportError as error:
        raise controls.FleetError(
            f"no fleet answers at {control} ({error}); run it first: miqyas simulate run FLEET"
        ) from error
    told = answer.json()
    if answer.is_error:
        raise controls.FleetError(f"the fleet at {control} refuses: {told['error']}")
    return datetime.fromisoformat(told["now"])


def _write(rows: list[dict[str, str]], out: Path | None) -> None:
    if not rows:
        show.problem("The fleet has none.")
        raise typer.Exit(1)
    if out is None:
        _rows(rows, sys.stdout)
        return
    with writing.text(out) as file:
        _rows(rows, file)
    show.done(f"{out}: {len(rows)} lines")


def _rows(rows: list[dict[str, str]], file: TextIO) -> None:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def _write_table(table: pd.DataFrame, out: Path | None) -> None:
    if out is None:
        table.to_csv(sys.stdout, index=False)
        return
    with writing.text(out) as file:
        table.to_csv(file, index=False)
    show.done(f"{out}: {len(table):,} rows")
