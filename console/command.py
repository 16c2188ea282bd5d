"""The ``miqyas`` command."""

from __future__ import annotations

import inspect
import logging
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import click
import typer

from console import (
    backtest_command,
    balance_command,
    beside_commands,
    bill_commands,
    collection_commands,
    control_commands,
    decode_command,
    doctor,
    explain_command,
    export_commands,
    failures,
    listen_command,
    probe_command,
    quarantine_commands,
    reads_command,
    registers_command,
    registry_import,
    schedule_commands,
    scorecard_command,
    serve,
    show,
    simulate_commands,
    store,
    unknown_commands,
    vee_commands,
    worklist_commands,
)
from console.point_choice import UnknownPointError
from drivers.errors import DriverError
from headend.clock import ClockError
from headend.control_kinds import ControlError
from headend.devices import UnknownDevice
from headend.files import UnknownFormat
from headend.groups import GroupError
from headend.on_demand import Busy, NotReadable
from headend.quarantine import UnknownRow
from headend.schedules import ScheduleError
from headend.vault import VaultError
from mdm.backtest import BacktestError
from mdm.balance import BalanceError
from mdm.calendar import CalendarError
from mdm.csv_rows import HeadingError
from mdm.cycle import CycleError
from mdm.cycle_plan import PlanError
from mdm.delivery_files import DeliveryError
from mdm.delivery_targets import TargetError
from mdm.explain import ExplainError
from mdm.readings_export import ReadingsExportError
from mdm.replay import ReplayError
from mdm.scorecard import ScorecardError
from mdm.strays import StrayError
from mdm.tariff import TariffError
from mdm.worklist_days import WorklistError
from schemas.cluster import ServerError
from schemas.database import NewerSchema
from schemas.period import PeriodError
from simulators.broker import BrokerError
from simulators.control import FleetError
from simulators.fleet_file import BadFleet
from validation.parameters import RuleSetError

# What these say is for people: what, where and what to do.
_REFUSALS = (
    BacktestError,
    UnknownPointError,
    BadFleet,
    BalanceError,
    BrokerError,
    Busy,
    CalendarError,
    ClockError,
    ControlError,
    CycleError,
    DeliveryError,
    DriverError,
    ExplainError,
    FleetError,
    GroupError,
    HeadingError,
    NewerSchema,
    NotReadable,
    PeriodError,
    PlanError,
    ReadingsExportError,
    ReplayError,
    RuleSetError,
    ScheduleError,
    ScorecardError,
    ServerError,
    StrayError,
    TargetError,
    TariffError,
    UnknownDevice,
    UnknownFormat,
    UnknownRow,
    VaultError,
    WorklistError,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help=(
        "Miqyas: smart-meter head-end and meter data management.\n\n"
        "From the meter's register to a bill that can be traced back. "
        "Start with: [bold]miqyas doctor[/bold]"
    ),
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        show.done(f"miqyas {metadata.version('miqyas')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Work on the demonstration's database (make demo).")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_tell_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that every command has."""
    if demo:
        store.use_demo()


app.command()(doctor.doctor)
app.add_typer(registry_import.app, name="import")
app.add_typer(schedule_commands.group_app, name="group")
app.add_typer(schedule_commands.app, name="schedule")
app.command()(collection_commands.meter)
app.command()(collection_commands.read)
app.command()(collection_commands.worker)
app.command("scheduler")(collection_commands.run_scheduler)
app.command()(listen_command.listen)
app.add_typer(control_commands.app, name="control")
app.add_typer(unknown_commands.app, name="unknown")
app.command()(decode_command.decode)
app.add_typer(quarantine_commands.app, name="quarantine")
app.add_typer(probe_command.app, name="probe")
app.command()(serve.serve)
app.command()(explain_command.explain)
app.command()(balance_command.balance)
registry_import.app.command("check-meters")(beside_commands.import_check_meters)
registry_import.app.command("temperature")(beside_commands.import_temperature)
vee_commands.app.command("profiles")(beside_commands.make_profiles)
vee_commands.app.command("backtest")(backtest_command.backtest_rules)
vee_commands.app.command("registers")(registers_command.estimate)
vee_commands.app.command("reads")(reads_command.check)
vee_commands.app.command("scorecard")(scorecard_command.score)
app.add_typer(vee_commands.app, name="vee")
app.add_typer(worklist_commands.app, name="worklist")
app.add_typer(bill_commands.app, name="bill")
app.add_typer(export_commands.app, name="export")
app.add_typer(simulate_commands.app, name="simulate")


def _flow(commands: typer.Typer) -> None:
    """Let the lines of help texts flow to the terminal's width; examples stay as they are."""
    for one in commands.registered_commands:
        paragraphs = (inspect.getdoc(one.callback) or "").split("\n\n")
        one.help = "\n\n".join(
            text if text.startswith("Example") else " ".join(text.split()) for text in paragraphs
        )
    for group in commands.registered_groups:
        if group.typer_instance:
            _flow(group.typer_instance)


_flow(app)


def paths(commands: typer.Typer = app) -> list[tuple[str, ...]]:
    """List every command by its words, such as ``("bill", "run")``."""
    found: list[tuple[str, ...]] = [
        (one.name or one.callback.__name__,) for one in commands.registered_commands if one.callback
    ]
    for group in commands.registered_groups:
        if group.typer_instance and group.name:
            found += [(group.name, *rest) for rest in paths(group.typer_instance)]
    return found


def _need_text(arguments: Sequence[str]) -> None:
    """Refuse arguments that are no text: no name in the database is like them."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            shown = argument.encode(errors="backslashreplace").decode()
            show.problem(
                f"{shown} is not text in UTF-8. What to do: look at the terminal's locale."
            )
            sys.exit(2)


def main() -> None:
    """Run the command; show a failure of the world as one message, not as a traceback."""
    show.log_events(logging.WARNING)
    # Whoever stops a service expects it to give back what it holds: server, broker, leases.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _need_text(sys.argv[1:])
    try:
        app(prog_name="miqyas")
    except (*_REFUSALS, *failures.OF_THE_WORLD) as error:
        told = [str(error)] if isinstance(error, _REFUSALS) else failures.told(error)
        if not told:
            raise
        for line in told:
            show.problem(line)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)


if __name__ == "__main__":
    main()
