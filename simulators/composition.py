"""Making the meters of a fleet from its description: names, loads, faults, all by the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from itertools import count
from typing import Final

from simulators import load_curve
from simulators.faults import KINDS, Fault, Setting
from simulators.fleet_file import Description, FaultRequest, Group
from simulators.load_curve import SLOT, Load
from simulators.meter import ACTIVE, REACTIVE, WATER, Meter

FOREVER: Final = 2**40
"""The end of what never ends [Unix s]."""

_USUAL: Final[Mapping[str, tuple[int, int]]] = {
    # sector: mean flow [Wh/h], households' curves mixed (more are smoother)
    "residential": (2_400, 2),
    "investment": (1_500, 3),
    "chalet": (900, 1),
    "agricultural": (5_000, 4),
    "service": (6_000, 8),
    "commercial": (9_000, 8),
    "government": (20_000, 12),
    "industrial": (45_000, 20),
}
_USUAL_WATER: Final = (60, 3)

_LENGTHS: Final[Mapping[str, tuple[int, ...]]] = {
    # intervals that a fault lasts if the file does not say; 0 for ever
    "gap": (4,),
    "duplicate": (1,),
    "spike": (1,),
    "stuck_register": (192,),
    "rollover": (1,),
    "clock_drift": (960,),
    "dead_line": (192,),
    "slow_line": (0,),
    "wrong_key": (0,),
    "wrong_multiplier": (0,),
    "reset_in_transfer": (0,),
    "meter_exchange": (0,),
}

_USUAL_SETTINGS: Final[Mapping[str, Mapping[str, Setting]]] = {
    "duplicate": {"value": "same"},
    "spike": {"factor": 40},
    "stuck_register": {"mode": "register"},
    "clock_drift": {"seconds": 300},
    "dead_line": {"mode": "silent"},
    "slow_line": {"latency": 0.2, "chunk": 0},
    "wrong_multiplier": {"factor": 2},
    "reset_in_transfer": {"times": 1, "after": 600},
}

_ALWAYS: Final = frozenset({"slow_line", "wrong_key", "reset_in_transfer"})
"""Kinds that are there from the start if the file does not say since when."""


@dataclass
class _Drafts:
    """Meters before their faults, and the faults that they will get."""

    meters: dict[str, Meter] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)


def meters(described: Description) -> tuple[Meter, ...]:
    """Make the meters of a fleet.

    Raises
    ------
    ValueError
        if there are too few meters for the faults, an unknown meter is named, or two meters
        would have the same address.
    """
    drafts, numbers = _Drafts(), count(1)
    for group in described.groups:
        for at in range(group.count):
            meter = _meter(described, group, at, next(numbers))
            drafts.meters[meter.mrid] = meter
    for at, request in enumerate(described.faults):
        for meter in _chosen(described.seed, at, request, drafts):
            drafts.faults.setdefault(meter.mrid, []).extend(
                _occurrences(described, at, request, meter)
            )
    made = [
        meter
        for draft in drafts.meters.values()
        for meter in _finished(draft, drafts.faults.get(draft.mrid, []), described, numbers)
    ]
    _check_addresses(made)
    return tuple(made)


def _meter(described: Description, group: Group, at: int, number: int) -> Meter:
    """Make one meter without faults."""
    mrid = f"{group.prefix}{number:05d}"
    usage_point = f"UP{number:05d}"
    start = int(described.period.start.timestamp())
    end = int(described.period.end.timestamp())
    known = {
        "mrid": mrid,
        "number": number,
        "usage_point": usage_point,
        "place": at % group.behind + 1,
        "endpoint": at // group.behind + 1,
    }
    usual_address = {"client": 1, "server": 1} if group.protocol == "dlms" else {}
    return Meter(
        mrid=mrid,
        usage_point=usage_point,
        group=group.name,
        number=number,
        commodity=group.commodity,
        sector=group.sector,
        tariff=group.tariff or group.sector,
        billing_group=group.billing_group,
        segment=group.segment,
        time_zone=described.zone.key,
        manufacturer=group.manufacturer,
        model=group.model,
        protocol=group.protocol,
        profile=group.profile,
        security=group.security,
        host=_host(group, at // group.behind),
        address={
            name: value.format(**known) if isinstance(value, str) else value
            for name, value in (group.address or usual_address).items()
        },
        interval_seconds=group.interval,
        register_modulus=group.register_modulus,
        register_start=_register_start(described.seed, group, mrid),
        multiplier=group.multiplier,
        start=start,
        end=end,
        load=_load(described, group, mrid, (end - start) // SLOT),
        options=group.options,
    )


def _host(group: Group, at: int) -> str:
    return str(IPv4Address(group.first_address) + at) if group.first_address else ""


def _register_start(seed: int, group: Group, mrid: str) -> dict[str, int]:
    highest = min(group.register_start_max, group.register_modulus // 2) // group.resolution
    return {
        name: load_curve.draw(seed, mrid, name, low=0, high=highest) * group.resolution
        for name in (ACTIVE, REACTIVE, WATER)
    }


def _load(described: Description, group: Group, mrid: str, slots: int) -> Load:
    usual = _USUAL_WATER if group.commodity == "water" else _USUAL[group.sector]
    mean = load_curve.draw(described.seed, mrid, "mean", low=600, high=1600)
    return Load(
        key=f"{described.seed}/{mrid}",
        curve=group.curve,
        mean=(group.mean or usual[0]) * mean // 1000 // group.multiplier,
        mix=group.mix or usual[1],
        start=int(described.period.start.timestamp()),
        start_weekday=described.first_day.weekday(),
        slots=slots,
        resolution=group.resolution,
        water=group.commodity == "water",
    )


def _chosen(seed: int, at: int, request: FaultRequest, drafts: _Drafts) -> list[Meter]:
    """Choose the meters of a request: the named ones, or drawn ones that have no fault yet."""
    for name in request.meters:
        if name not in drafts.meters:
            raise ValueError(f"fault {request.kind}: no meter {name!r}")
        if drafts.meters[name].protocol not in KINDS[request.kind]:
            raise ValueError(f"fault {request.kind}: meter {name} cannot have it")
    named = [drafts.meters[name] for name in request.meters]
    drafts.taken.update(request.meters)
    if not request.count:
        return named
    free = [m for m in drafts.meters.values() if m.group in request.groups]
    free = [m for m in free if m.mrid not in drafts.taken]
    if len(free) < request.count:
        raise ValueError(f"fault {request.kind}: {request.count} meters asked, {len(free)} free")
    drawn = sorted(free, key=lambda m: _rank(seed, at, request.kind, m.mrid))[: request.count]
    drafts.taken.update(m.mrid for m in drawn)
    return named + drawn


def _rank(*key: object) -> bytes:
    return hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()


def _occurrences(
    described: Description, at: int, request: FaultRequest, meter: Meter
) -> Iterator[Fault]:
    """Place a request's faults on one meter, at most one in each equal part of its days."""
    lengths = request.length or _LENGTHS[request.kind]
    turn = int.from_bytes(_rank(described.seed, at, meter.mrid), "big") if len(lengths) > 1 else 0
    settings = {**_USUAL_SETTINGS.get(request.kind, {}), **request.settings}
    for number in range(request.each):
        length = lengths[(turn + number) % len(lengths)] * meter.interval_seconds
        starts = _start(described, (at, number), request, meter, length)
        yield Fault(request.kind, starts, starts + length if length else FOREVER, settings)


def _start(
    described: Description, which: tuple[int, int], request: FaultRequest, meter: Meter, length: int
) -> int:
    """Give the moment at which a fault starts, on the meter's grid [Unix s].

    Parameters
    ----------
    which : number of the request in the file, number of the fault on this meter
    """
    number = which[1]
    if request.at is not None:
        local = request.at if request.at.tzinfo else request.at.replace(tzinfo=described.zone)
        return int(local.timestamp()) + number * 2 * length
    if request.kind in _ALWAYS:
        return meter.start
    days = (meter.end - meter.start) // 86_400
    first, last = request.days or (min(2, days - 1), max(days - 3, 0))
    span = (last - first + 1) * 86_400 // request.each
    room = max(span - length, meter.interval_seconds) // meter.interval_seconds
    drawn = load_curve.draw(described.seed, *which, meter.mrid, request.kind, low=0, high=room - 1)
    start = meter.start + first * 86_400 + number * span
    return start - start % meter.interval_seconds + drawn * meter.interval_seconds


def _finished(
    draft: Meter, faults: Sequence[Fault], described: Description, numbers: Iterator[int]
) -> Iterator[Meter]:
    """Give a meter with its faults; two where it is exchanged."""
    meter = replace(draft, faults=tuple(sorted(faults, key=lambda f: (f.starts_at, f.kind))))
    for fault in meter.having("rollover"):
        meter = _rolling(meter, fault)
    exchange = next(meter.having("meter_exchange"), None)
    if exchange is None:
        yield meter
    else:
        yield from _exchanged(meter, exchange, described, next(numbers))


def _rolling(meter: Meter, fault: Fault) -> Meter:
    """Set a meter's first register so that it shows zero at the fault's start."""
    name = meter.reading_types[0]
    upto = meter.register_at(name, fault.starts_at) - meter.register_at(name, meter.start)
    return replace(
        meter,
        register_start={**meter.register_start, name: -upto % meter.register_modulus},
    )


def _exchanged(
    meter: Meter, exchange: Fault, described: Description, number: int
) -> Iterator[Meter]:
    """Give the old and the new meter of an exchange."""
    group = next(group for group in described.groups if group.name == meter.group)
    mrid = f"{group.prefix}{number:05d}"
    label = replace(exchange, settings={"new": mrid})
    others = tuple(fault for fault in meter.faults if fault is not exchange)
    yield replace(meter, end=exchange.starts_at, faults=(*others, label))
    # The new meter's address follows those of all meters that the groups have from the start.
    yield replace(
        meter,
        mrid=mrid,
        number=number,
        host=_host(group, number - 1) if group.first_address else "",
        address=_renamed(group, meter, mrid, number),
        start=exchange.starts_at,
        register_start={
            name: load_curve.draw(meter.load.key, mrid, low=0, high=9) * group.resolution
            for name in meter.register_start
        },
        faults=(),
    )


def _renamed(group: Group, meter: Meter, mrid: str, number: int) -> dict[str, int | str]:
    """Give the new meter's address: what carries the name carries the new one."""
    known = {
        "mrid": mrid,
        "number": number,
        "usage_point": meter.usage_point,
        "place": 1,
        "endpoint": number,
    }
    return {
        name: str(group.address[name]).format(**known) if isinstance(value, str) else value
        for name, value in meter.address.items()
    }


def _check_addresses(made: Sequence[Meter]) -> None:
    seen: dict[tuple[str, str, frozenset[tuple[str, int | str]]], Meter] = {}
    hosts: dict[tuple[str, str], Meter] = {}
    for meter in made:
        if not meter.host and "line" not in meter.address:
            continue  # it publishes
        # Only meters of one group share a host: they are behind the same endpoint.
        other = hosts.setdefault((meter.protocol, meter.host), meter)
        if other.group == meter.group or not meter.host:
            place = (meter.protocol, meter.host, frozenset(meter.address.items()))
            other = seen.setdefault(place, meter)
        if other is not meter:
            raise ValueError(f"{meter.mrid} and {other.mrid} have the same address {meter.host}")
