"""``miqyas doctor``: which database is in use, what is missing and how to get it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import psycopg
import typer

from console import show
from schemas import database, server
from schemas.cluster import ServerError
from schemas.database import About
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; ``remedy`` says how to get what is missing, if anything is."""

    subject: str
    state: str
    remedy: str = ""
    fatal: bool = False


def doctor() -> None:
    """Say which database is in use, its version and TimescaleDB edition, and what is missing.

    Example: miqyas doctor
    """
    findings = [*_database(), *_programs()]
    for finding in findings:
        show.done(f"{finding.subject:<12} {finding.state}")
        if finding.remedy:
            show.done(f"{'':<12} → {finding.remedy}")
    if any(finding.fatal for finding in findings):
        raise typer.Exit(1)


def _database() -> list[Finding]:
    try:
        place = server.locate(Settings().home)
        with server.running(Settings().home) as running:
            database.migrate(running.url)
            with database.connect(running.url) as connection:
                about = database.about(connection)
    except (ServerError, psycopg.OperationalError, psycopg.errors.InsufficientPrivilege) as error:
        return [
            Finding(
                "database",
                f"cannot be used: {error}",
                "mend the address in MIQYAS_DATABASE_URL, or unset it to use a private database",
                fatal=True,
            )
        ]
    kind = {
        "external": "the server that MIQYAS_DATABASE_URL names",
        "timescaledb": f"private, in {place.directory}",
        "embedded": f"embedded, in {place.directory}",
    }[place.kind]
    return [
        Finding("database", f"{kind} ({place.reason})"),
        Finding("PostgreSQL", about.server_version, _old(about.server_version)),
        _timescaledb(about),
        Finding("schema", f"{len(about.migrations)} migrations, newest {about.migrations[-1]}"),
    ]


def _old(version: str) -> str:
    return "" if int(version.partition(".")[0]) >= 15 else "Miqyas needs PostgreSQL 15 or newer"


def _timescaledb(about: About) -> Finding:
    if about.timescaledb is None:
        how = (
            "the server has it: add timescaledb to shared_preload_libraries and restart"
            if about.timescaledb_available
            else "plain tables are used, which works; for chunk pruning, as root: make timescaledb"
        )
        return Finding("TimescaleDB", "not in use", how)
    lacking = {
        "apache": "no columnstore or retention policies in this edition; all else works",
        "timescale": "",
    }
    edition = about.edition or "unknown"
    return Finding(
        "TimescaleDB", f"{about.timescaledb}, {edition} edition", lacking.get(edition, "")
    )


def _programs() -> list[Finding]:
    broker = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    browser = shutil.which("chromium")
    return [
        Finding("MQTT broker", broker)
        if broker
        else Finding(
            "MQTT broker",
            "amqtt, from the Python packages",
            "slower than mosquitto; as root: make services",
        ),
        Finding("browser", f"{browser} (used by the page tests only)")
        if browser
        else Finding("browser", "none (the page tests need one)", "as root: make services"),
    ]
