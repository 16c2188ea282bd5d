"""``miqyas probe``: which profile a meter that answers should have in the registry."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from console import show
from drivers.modbus import place, probe
from drivers.modbus.place import Framing
from drivers.modbus.plausibility import Candidate
from drivers.serial_port import Parity

app = typer.Typer(no_args_is_help=True, help="What is it that answers there, and how to read it.")


@app.command("modbus")
def modbus(
    host: Annotated[
        str,
        typer.Argument(metavar="HOST", help="The meter's or gateway's address, or /dev/ttyUSB0."),
    ],
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 502,
    unit: Annotated[int, typer.Option(min=0, max=255, help="Unit behind a gateway.")] = 1,
    framing: Annotated[
        Framing, typer.Option(help="rtu: the gateway passes serial frames on as they are.")
    ] = "tcp",
    baud: Annotated[int, typer.Option(help="Of a serial line, bit/s.")] = 9600,
    parity: Annotated[Parity, typer.Option(help="Of a serial line.")] = "N",
    stop: Annotated[int, typer.Option(help="Stop bits of a serial line.")] = 1,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for an answer, s.")] = 2.0,
    pause: Annotated[float, typer.Option(min=0, help="Between two looks at registers, s.")] = 2.0,
) -> None:
    """Propose the register map of a Modbus meter. Only reads: nothing is ever written to a meter.

    All maps are tried; voltage, frequency, power and registers that grow tell the right one. The
    exit status is 1 if none fits. A path in place of a host is a serial line.

    Example: miqyas probe modbus 192.0.2.17 --unit 3
    """
    address: dict[str, int | str] = {"framing": framing} if framing == "rtu" else {}
    if host.startswith("/"):
        address = {"line": host, "baud": baud, "parity": parity, "stop": stop}
    try:
        at = place.of(host, port, address)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with show.out.status(f"{at.name}: asking…"):
        ranked = asyncio.run(probe.probe(at, unit, seconds=timeout, pause=pause))
    fitting = [candidate for candidate in ranked if candidate.fits]
    if not fitting:
        show.problem(f"{at.name}, unit {unit}: it answers, and none of the register maps fits.")
        _tell(ranked[0], "The nearest")
        show.problem("What to do: is the unit right? Else describe the meter in a map of its own.")
        raise typer.Exit(1)
    rows = [
        (one.meter.name, f"{one.meter.manufacturer} {one.meter.model}", one.score)
        for one in fitting
    ]
    show.table("Maps that fit", ["profile", "meters", "points #"], rows)
    _tell(fitting[0], "Proposed")
    told = ";".join(f"{key}={value}" for key, value in {"unit": unit, **address}.items())
    show.done(f"In the registry: protocol modbus, profile {fitting[0].meter.name}, {told}")
    if len(fitting) > 1 and fitting[1].score == fitting[0].score:
        show.problem("Others fit as well: look at the nameplate, or probe again under load.")


def _tell(candidate: Candidate, word: str) -> None:
    """Say what speaks for and against a map."""
    show.done(f"{word}: {candidate.meter.name}")
    for clue in candidate.clues:
        show.done(f"  {clue.points:+d}  {clue.seen}")
