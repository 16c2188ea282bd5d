"""Companion profiles: which object is what in a kind of meter, as data (``profiles/*.toml``)."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms.apdu import Attribute
from drivers.errors import LocalProtocolError, NotOffered
from schemas import quality
from schemas.obis import Obis

_FOLDER: Final = resources.files("drivers.dlms").joinpath("profiles")


@dataclass(frozen=True, slots=True)
class EventLog:
    """One event log: its buffer, the code that it captures, and the meaning of each code.

    ``events`` has category and description by the meter's number of the event.
    """

    buffer: Attribute
    code: Attribute
    events: Mapping[int, tuple[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Companion:
    """A kind of meter.

    Attributes
    ----------
    objects : attributes by what they are (clock, serial, load_profile, …)
    statuses : captured beside intervals, one of them in each profile; what it says is in
        ``status_quality``
    status_quality : quality code by the status' low octet, shape (256,)
    clock_quality : quality code by a date-time's status octet, shape (256,)
    intervals : profiles that may have intervals, the finest first, by their names in ``objects``
    registers : profiles of registers stored at fixed times, such as each midnight
    billing : profiles of registers stored at the ends of billing periods
    event_logs : the meter's event logs, the most important first
    """

    name: str
    objects: Mapping[str, Attribute]
    statuses: tuple[Attribute, ...]
    status_quality: NDArray[np.int16]
    clock_quality: NDArray[np.int16]
    intervals: tuple[str, ...]
    registers: tuple[str, ...]
    billing: tuple[str, ...]
    event_logs: tuple[EventLog, ...]

    def object(self, what: str) -> Attribute:
        """Give an attribute by what it is.

        Raises
        ------
        NotOffered
            if such meters have none.
        """
        if what not in self.objects:
            raise NotOffered(f"meters of profile {self.name} have no {what.replace('_', ' ')}")
        return self.objects[what]


def names() -> list[str]:
    """List the profiles that there are."""
    return sorted(
        path.name.removesuffix(".toml") for path in _FOLDER.iterdir() if path.name.endswith(".toml")
    )


@cache
def named(name: str) -> Companion:
    """Read a profile.

    Raises
    ------
    LocalProtocolError
        with the known names, if there is none of this name.
    """
    if name not in names():
        raise LocalProtocolError(
            f"there is no DLMS profile {name!r}; known: {', '.join(names())}: correct the registry"
        )
    facts = tomllib.loads(_FOLDER.joinpath(f"{name}.toml").read_text("utf-8"))
    return Companion(
        name=name,
        objects={what: attribute(text) for what, text in facts["objects"].items()},
        statuses=tuple(attribute(text) for text in facts["status"]["objects"]),
        status_quality=_quality_table(facts["status"]["bits"]),
        clock_quality=_quality_table(facts["clock_status"]["bits"]),
        intervals=tuple(facts["profiles"]["intervals"]),
        registers=tuple(facts["profiles"]["registers"]),
        billing=tuple(facts["profiles"]["billing"]),
        event_logs=tuple(_event_log(log) for log in facts["event_logs"]),
    )


def attribute(text: str) -> Attribute:
    """Read an attribute as profiles write it: ``class/OBIS/index``.

    Raises
    ------
    ValueError
        if the text is none.
    """
    class_id, name, index = text.split("/")
    return Attribute(int(class_id), Obis.parse(name), int(index))


def _quality_table(bits: Sequence[Mapping[str, Any]]) -> NDArray[np.int16]:
    octet = np.arange(256)
    table = np.full(256, quality.VALID, np.int16)
    for entry in reversed(bits):
        table[octet & 1 << entry["bit"] != 0] = getattr(quality, entry["quality"].upper())
    table.setflags(write=False)
    return table


def _event_log(log: Mapping[str, str]) -> EventLog:
    return EventLog(attribute(log["buffer"]), attribute(log["code"]), _events(log["table"]))


@cache
def _events(file: str) -> dict[int, tuple[str, str]]:
    rows = csv.DictReader(_FOLDER.joinpath(file).read_text("utf-8").splitlines())
    return {int(row["code"]): (row["category"], row["description"]) for row in rows}
