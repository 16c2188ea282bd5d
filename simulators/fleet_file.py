"""A fleet's TOML file, read and checked; its reference is ``docs/simulators.md``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from schemas.period import Period, local_day
from simulators import keys
from simulators.faults import KINDS, Setting

FOLDER: Final = Path(__file__).parent / "fleets"

_Described = TypeVar("_Described", "Group", "FaultRequest")

SETTINGS: Final[Mapping[str, frozenset[str]]] = {
    "duplicate": frozenset({"value"}),
    "spike": frozenset({"factor"}),
    "stuck_register": frozenset({"mode"}),
    "clock_drift": frozenset({"seconds"}),
    "dead_line": frozenset({"mode"}),
    "slow_line": frozenset({"latency", "chunk"}),
    "wrong_multiplier": frozenset({"factor"}),
    "reset_in_transfer": frozenset({"times", "after"}),
}
"""What a kind of fault can be told beside where and when."""


class BadFleet(ValueError):
    """A fleet's file is wrong; the message says where and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Meters that are alike; ``behind`` of them share an endpoint, told apart by their address."""

    name: str
    protocol: str
    count: int
    profile: str
    first_address: str = ""
    behind: int = 1
    prefix: str = "M"
    sector: str = "residential"
    commodity: str = "electricity"
    security: str = "none"
    interval: int = 900
    curve: str = "il_cooling"
    mean: int = 0
    mix: int = 0
    multiplier: int = 1
    resolution: int = 1
    register_modulus: int = 1_000_000_000
    register_start_max: int = 40_000_000
    tariff: str = ""
    billing_group: str = "monthly"
    segment: str = ""
    manufacturer: str = "Miqyas"
    model: str = "simulated"
    address: Mapping[str, int | str] = field(default_factory=dict)
    options: Mapping[str, int | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FaultRequest:
    """Faults of one kind that the file asks for.

    Attributes
    ----------
    kind : a name in ``faults.KINDS``
    groups : names of groups that meters are drawn from
    count : how many meters get it; each meter gets only one kind this way
    meters : named meters instead, which may have several kinds
    each : how many times each meter has it
    at : first moment, local time; drawn by the seed if it is not given
    days : first and last day of the fleet that starts are drawn from, the first day being 0
    length : lengths in intervals, taken in turn; 0 lasts for ever
    settings : what the kind needs
    """

    kind: str
    groups: tuple[str, ...] = ()
    count: int = 0
    meters: tuple[str, ...] = ()
    each: int = 1
    at: datetime | None = None
    days: tuple[int, ...] = ()
    length: tuple[int, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """Everything that a fleet's file says."""

    name: str
    seed: int
    zone: ZoneInfo
    first_day: date
    period: Period
    now: datetime
    groups: tuple[Group, ...]
    faults: tuple[FaultRequest, ...]


def read(path: str | Path, *, meters: int | None = None) -> Description:
    """Read a fleet's file.

    Parameters
    ----------
    path : TOML file, or the name of one in ``simulators/fleets``
    meters : how many meters the first group has, instead of the file's number

    Raises
    ------
    BadFleet
        if there is no such file, or what stands in it is wrong.
    """
    named = FOLDER / f"{path}.toml"
    file = named if named.exists() else Path(path)
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        return _description(file.stem, tables, meters)
    except OSError:
        known = ", ".join(sorted(known.stem for known in FOLDER.glob("*.toml")))
        raise BadFleet(f"{path}: no such file; fleets known by name: {known}") from None
    except UnicodeDecodeError as wrong:
        raise BadFleet(f"{file} is not text in UTF-8; save it so") from wrong
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadFleet(f"{file}: {wrong.args[0] if wrong.args else wrong}") from wrong


def _description(name: str, tables: Mapping[str, Any], meters: int | None) -> Description:
    unknown = tables.keys() - {"seed", "zone", "start", "days", "now", "group", "fault"}
    if unknown:
        raise ValueError(f"unknown at the top: {', '.join(sorted(unknown))}")
    zone, first, days = ZoneInfo(str(tables["zone"])), tables["start"], int(tables["days"])
    if not isinstance(first, date) or isinstance(first, datetime) or days < 1:
        raise ValueError("start must be a day such as 2026-05-27, and days at least 1")
    last = local_day(first + timedelta(days=days - 1), zone)
    period = Period(local_day(first, zone).start, last.end)
    groups = [_group(at, table) for at, table in enumerate(tables.get("group", ()))]
    if meters is not None and groups:
        groups[0] = _with_count(groups[0], meters)
    requests = [_fault(at, table) for at, table in enumerate(tables.get("fault", ()))]
    _check_names(groups, requests)
    return Description(
        name=name,
        seed=int(tables["seed"]),
        zone=zone,
        first_day=first,
        period=period,
        now={"start": period.start, "end": period.end}[tables.get("now", "start")],
        groups=tuple(groups),
        faults=tuple(requests),
    )


def _group(at: int, table: Mapping[str, Any]) -> Group:
    group = _checked(Group, f"group {at + 1}", table)
    if group.protocol not in ("dlms", "modbus", "mqtt"):
        raise ValueError(f"group {group.name}: protocol must be dlms, modbus or mqtt")
    has_host = group.protocol != "mqtt" and "line" not in group.address
    if has_host and not group.first_address.startswith("127."):
        raise ValueError(f"group {group.name}: first_address must be in 127.0.0.0/8")
    if group.behind < 1:
        raise ValueError(f"group {group.name}: behind must be at least 1")
    if group.interval not in (900, 1800, 3600):
        raise ValueError(f"group {group.name}: interval must be 900, 1800 or 3600")
    if group.protocol == "dlms":
        _check_dlms(group)
    return group


def _check_dlms(group: Group) -> None:
    if group.register_modulus > 2**32:
        raise ValueError(f"group {group.name}: DLMS registers have 32 bits")
    for what, value, known in (
        ("security", group.security, keys.MECHANISMS),
        ("ciphering", str(group.address.get("ciphering", "none")), keys.CIPHERINGS),
        ("protection", str(group.address.get("protection", "both")), keys.PROTECTIONS),
        ("suite", str(group.address.get("suite", 0)), ("0", "1", "2")),
    ):
        if value not in known:
            raise ValueError(f"group {group.name}: {what} must be one of {', '.join(known)}")


def _with_count(group: Group, count: int) -> Group:
    return Group(**{f.name: getattr(group, f.name) for f in fields(group)} | {"count": count})


def _fault(at: int, table: Mapping[str, Any]) -> FaultRequest:
    kind = str(table.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"fault {at + 1}: kind {kind!r} is not one of {', '.join(KINDS)}")
    own = SETTINGS.get(kind, frozenset())
    plain = {name: value for name, value in table.items() if name not in own}
    plain["settings"] = {name: value for name, value in table.items() if name in own}
    for name in ("groups", "meters", "days", "length"):
        if name in plain:
            plain[name] = tuple(plain[name])
    return _checked(FaultRequest, f"fault {at + 1} ({kind})", plain)


def _checked(what: type[_Described], where: str, table: Mapping[str, Any]) -> _Described:
    """Make a group or a fault of a table, refusing what is unknown or missing."""
    known: dict[str, Field[Any]] = {f.name: f for f in fields(what)}
    if unknown := table.keys() - known.keys():
        raise ValueError(f"{where}: unknown {', '.join(sorted(unknown))}")
    needed = {
        name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    }
    if missing := needed - table.keys():
        raise ValueError(f"{where}: needs {', '.join(sorted(missing))}")
    return what(**table)


def _check_names(groups: list[Group], requests: list[FaultRequest]) -> None:
    names = [group.name for group in groups]
    if len(set(names)) != len(names):
        raise ValueError("two groups have the same name")
    for request in requests:
        for name in request.groups:
            if name not in names:
                raise ValueError(f"fault {request.kind}: no group {name!r}")
            protocol = groups[names.index(name)].protocol
            if protocol not in KINDS[request.kind]:
                raise ValueError(f"fault {request.kind}: {protocol} meters cannot have it")
