"""``miqyas simulate``: meters that do not exist, their registry, keys and truth."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Annotated, TextIO

import pandas as pd
import typer

from console import show
from simulators import broker as brokers
from simulators import fleet as fleets
from simulators import truth

app = typer.Typer(no_args_is_help=True, help="A fleet of simulated meters, and the truth about it.")

FleetName = Annotated[
    str, typer.Argument(metavar="FLEET", help="A TOML file, or a name: demo, small, collect.")
]
Output = Annotated[Path | None, typer.Option("--out", help="A file; else standard output.")]


@app.command("run")
def run(
    fleet: FleetName,
    port: Annotated[int, typer.Option(help="Of DLMS meters.")] = fleets.DEFAULT_PORTS["dlms"],
    control: Annotated[int, typer.Option(help="Of the control API.")] = 8075,
) -> None:
    """Serve a fleet and a broker on this machine until stopped (Ctrl-C).

    Example: miqyas simulate run small
    """
    described = fleets.load(fleet)
    with brokers.running() as broker:
        show.done(
            f"{len(described.meters)} meters; DLMS on port {port}, broker {broker.url} "
            f"({broker.kind}), control http://127.0.0.1:{control}. Ctrl-C stops."
        )
        command = [sys.executable, "-m", "simulators.fleet", fleet, "--port", str(port)]
        command += ["--control", str(control), "--broker", broker.url]
        try:
            status = subprocess.run(command, check=False).returncode
        except KeyboardInterrupt:
            status = 0
    raise typer.Exit(status)


@app.command("registry")
def registry(
    fleet: FleetName,
    out: Output = None,
    port: Annotated[int, typer.Option(help="Of DLMS meters.")] = fleets.DEFAULT_PORTS["dlms"],
) -> None:
    """Write the fleet's registry, for `miqyas import registry`.

    Example: miqyas simulate registry small --out meters.csv
    """
    _write(fleets.load(fleet).registry(dlms_port=port), out)


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
    table = truth.faults(described) if faults else truth.intervals(described)
    _write_table(table, out)


def _write(rows: list[dict[str, str]], out: Path | None) -> None:
    if not rows:
        show.problem("The fleet has none.")
        raise typer.Exit(1)
    if out is None:
        _rows(rows, sys.stdout)
        return
    with out.open("w", encoding="utf-8", newline="") as file:
        _rows(rows, file)
    show.done(f"{out}: {len(rows)} lines")


def _rows(rows: list[dict[str, str]], file: TextIO) -> None:
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


def _write_table(table: pd.DataFrame, out: Path | None) -> None:
    table.to_csv(out or sys.stdout, index=False)
    if out is not None:
        show.done(f"{out}: {len(table):,} rows")
