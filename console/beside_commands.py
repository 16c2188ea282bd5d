"""``miqyas import check-meters``, ``import temperature`` and ``vee profiles``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from console import show, store
from console.registry_import import opened
from mdm import beside_import, class_profiles, vee_weeks
from mdm.beside_import import Report

CsvFile = Annotated[Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False)]


def import_check_meters(file: CsvFile) -> None:
    """Bring in which usage points' meters count the same flow as others', from when until when.

    The rule check_meter and the estimator check_meter_value use them. Columns: usage_point,
    check_usage_point, from, until (local days; until is the day after the last, or empty).

    Example: miqyas import check-meters checks.csv
    """
    with store.connection() as connection, opened(file) as lines:
        report = beside_import.check_meters(connection, lines, now=store.now(connection))
    _tell(file, "check meter", report)


def import_temperature(file: CsvFile) -> None:
    """Bring in temperatures of days or hours, for the estimator proxy_day.

    Columns: place (a billing group, or a time zone for all others), time (a local day or a local
    time of one, whose mean counts), celsius.

    Example: miqyas import temperature weather.csv
    """
    with store.connection() as connection, opened(file) as lines:
        report = beside_import.temperatures(connection, lines, now=store.now(connection))
    _tell(file, "day", report)


def make_profiles(
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First local day.")
    ],
    end: Annotated[
        datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Before this local day.")
    ],
) -> None:
    """Make the load profile of each sector and tariff from whole measured days of the record.

    The estimator class_profile uses the newest; `miqyas explain` those that an estimate had.

    Example: miqyas vee profiles --from 2026-05-01 --to 2026-06-01
    """
    if end <= first:
        raise typer.BadParameter("must be after --from", param_hint="--to")
    with store.connection() as connection:
        made = class_profiles.make(
            connection, first.date(), end.date(), now=store.now(connection),
            weeks=vee_weeks.shipped(),
        )  # fmt: skip
    show.table("Profiles", ["sector", "tariff", "usage points #", "days #"], made)


def _tell(file: Path, thing: str, report: Report) -> None:
    new = show.count(report.changed, thing)
    show.done(f"{file}: {new} new or changed, {report.unchanged:,} unchanged")
    for rejected in report.rejected:
        show.problem(f"{file}: {rejected}")
    if report.rejected:
        show.problem(f"Not taken: {show.count(len(report.rejected), 'line')}.")
        raise typer.Exit(1)
