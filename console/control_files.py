"""Controls that take a file or give one: calendars, special days, push set-ups, keys, firmware."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from console import control_asking, show, store, toml_text, writing
from console.control_asking import ActivateAt, Asking, At, By, Group, Later, Meter, Reason, Until
from headend import firmware, pending_keys
from headend.control_kinds import ControlError

From = Annotated[
    Path | None,
    typer.Option("--from", exists=True, dir_okay=False, help="Write what this TOML file says."),
]
Out = Annotated[
    Path | None, typer.Option("--out", dir_okay=False, help="Keep what was read as TOML.")
]
_KEY_KINDS = ("authentication", "encryption")


def add_to(app: typer.Typer) -> None:
    """Add these commands to ``miqyas control``."""
    for name, command in (
        ("calendar", calendar), ("special-days", special_days), ("push-setup", push_setup),
        ("change-keys", change_keys), ("firmware", update_firmware),
    ):  # fmt: skip
        app.command(name)(command)


def calendar(
    meter: Meter = None,
    source: From = None,
    out: Out = None,
    activate_at: ActivateAt = None,
    by: By = None,
    reason: Reason = "",
    *,
    later: Later = False,
    at: At = None,
    until: Until = None,
    group: Group = None,
) -> None:
    """Read a meter's tariff calendar, or write one; without --activate-at it counts at once.

    Example: miqyas control calendar M00001 --from summer.toml \\
    --activate-at 2026-07-01T00:00+03:00
    """
    asked = control_asking.asking(meter, by, reason, later=later, at=at, until=until, group=group)
    if source is None:
        _read("read_activity_calendar", asked, out, part="active")
        return
    parameters: dict[str, Any] = {"calendar": _toml(source)}
    if activate_at is not None:
        parameters["activate_at"] = activate_at.isoformat()
    control_asking.carry("write_activity_calendar", asked, parameters)


def special_days(
    meter: Meter = None,
    source: From = None,
    out: Out = None,
    by: By = None,
    reason: Reason = "",
    *,
    later: Later = False,
    at: At = None,
    until: Until = None,
    group: Group = None,
) -> None:
    """Read the days that follow another day's tariffs, or replace them all.

    Example: miqyas control special-days M00001 --out holidays.toml
    """
    asked = control_asking.asking(meter, by, reason, later=later, at=at, until=until, group=group)
    if source is None:
        _read("read_special_days", asked, out)
        return
    days = _toml(source).get("days", [])
    control_asking.carry("write_special_days", asked, {"days": days})


def push_setup(
    meter: Meter = None,
    source: From = None,
    out: Out = None,
    channel: Annotated[int, typer.Option(min=0, max=255, help="Number in the meter.")] = 0,
    by: By = None,
    reason: Reason = "",
    *,
    later: Later = False,
    at: At = None,
    until: Until = None,
    group: Group = None,
) -> None:
    """Read what a meter sends by itself and where to, or write it.

    Example: miqyas control push-setup M00001 --from push.toml
    """
    asked = control_asking.asking(meter, by, reason, later=later, at=at, until=until, group=group)
    if source is None:
        _read("read_push_setup", asked, out, {"channel": channel})
        return
    control_asking.carry("write_push_setup", asked, {"setup": _toml(source)})


def change_keys(
    meter: Meter = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this key, may be repeated.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            exists=True,
            dir_okay=False,
            help="Keys of your own: CSV end_device,kind,key_hex; else new ones are made.",
        ),
    ] = None,
    by: By = None,
    reason: Reason = "",
    *,
    later: Later = False,
    at: At = None,
    until: Until = None,
    group: Group = None,
) -> None:
    """Give a meter new keys, wrapped under its master key; they are never shown.

    What breaks off goes on with the same command, or by a worker. The old keys stay
    until the meter has proved the new ones.

    Example: miqyas control change-keys M00001 --reason 'yearly change' --by Noura
    """
    asked = control_asking.asking(meter, by, reason, later=later, at=at, until=until, group=group)
    wanted = list(kinds or _KEY_KINDS)
    if source is not None:
        if meter is None:
            raise typer.BadParameter("keys from a file are for one meter", param_hint="--from")
        with store.connection() as connection, source.open(encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            wanted = pending_keys.take(connection, rows, mrid=meter, now=store.now(connection))
    control_asking.carry("change_keys", asked, {"kinds": wanted})


def update_firmware(
    image: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The image.")
    ],
    meter: Meter = None,
    identifier: Annotated[
        str | None, typer.Option(help="The maker's name of the image; else the file's name.")
    ] = None,
    activate_at: ActivateAt = None,
    by: By = None,
    reason: Reason = "",
    *,
    activate: Annotated[bool, typer.Option("--activate", help="At once, after the check.")] = False,
    later: Later = False,
    at: At = None,
    until: Until = None,
    group: Group = None,
) -> None:
    """Bring a firmware image into a meter, have it checked, and activated if that is asked.

    A transfer that broke off goes on with the same command.

    Example: miqyas control firmware X1-2.4.bin M00001 \\
    --activate-at 2026-07-01T02:00+03:00
    """
    asked = control_asking.asking(meter, by, reason, later=later, at=at, until=until, group=group)
    with store.connection() as connection:
        now = store.now(connection)
        number = firmware.add(connection, image.read_bytes(), identifier or image.stem, now=now)
    parameters: dict[str, Any] = {"image": number}
    if activate or activate_at is not None:
        parameters["activate_at"] = activate_at.isoformat() if activate_at else "verified"
    control_asking.carry("update_firmware", asked, parameters)


def _read(
    kind: str,
    asked: Asking,
    out: Path | None,
    parameters: Mapping[str, Any] | None = None,
    *,
    part: str | None = None,
) -> None:
    found = control_asking.carry(kind, asked, parameters)
    if found is None or out is None:
        return
    with writing.text(out) as file:
        file.write(toml_text.written(found.result[part] if part else found.result))
    show.done(f"Kept in {out}.")


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ControlError(f"{file} is not a TOML file: {error}") from error
