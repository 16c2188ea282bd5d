"""Random meters: exchanged, moved in or out, with another multiplier; and what their dials show."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from tests.mdm.oracle.world import House, Known, Meter, Tariff, midnight

_LONG_AGO = timedelta(days=400)


def installed(
    random: Random, of: House, days: tuple[date, date], seconds: int, *, steady: bool
) -> list[Meter]:
    """Give the usage point's meters over the days, one after the other."""
    since, until = midnight(days[0], of.zone), midnight(days[1], of.zone)
    how = "one" if steady else random.choice(
        ("one", "one", "one", "exchange", "exchange", "two", "multiplier", "in", "out")
    )  # fmt: skip
    moments = sorted(_moment(random, since, until, seconds) for _ in range(2))
    start: datetime | None = since - _LONG_AGO
    end: datetime | None = None
    cuts: list[datetime] = []
    if how in ("exchange", "multiplier"):
        cuts = moments[:1]
    elif how == "two" and moments[1] - moments[0] >= timedelta(seconds=seconds):
        cuts = moments
    elif how == "in":
        start = moments[0]
    elif how == "out":
        end = moments[1]
    assert start is not None
    bounds = [start, *cuts, end]
    modulus, dials = _dial(random)
    found = []
    for number, (a, b) in enumerate(itertools.pairwise(bounds)):
        assert a is not None
        name = f"M-{of.mrid}" if how == "multiplier" else f"M-{of.mrid}-{number}"
        found.append(Meter(name, a, b, _multiplier(random), modulus, dials))
        if how != "multiplier":
            modulus, dials = _dial(random)
        else:
            dials = {}
    return found


def _moment(random: Random, since: datetime, until: datetime, seconds: int) -> datetime:
    """Give a moment inside: mostly on the grid, sometimes a midnight, sometimes in a slot."""
    count = int((until - since).total_seconds()) // seconds
    at = since + timedelta(seconds=seconds * random.randint(1, count - 1))
    if random.random() < 0.2:
        at += timedelta(seconds=random.randint(1, seconds - 1))
    return at


def _multiplier(random: Random) -> Decimal:
    return random.choice([Decimal(m) for m in ("1", "1", "40", "0.5", "1.25", "0.333333")])


def _dial(random: Random) -> tuple[int | None, dict[str, dict[datetime, Known]]]:
    return random.choice((None, 10**5, 10**6, 10**9)), {}


def there(meters: Sequence[Meter], since: datetime, until: datetime) -> bool:
    """Say whether some meter was there through all of a stretch; an exchange leaves no hole."""
    if not meters:
        return True
    first, last = meters[0], meters[-1]
    return first.since <= since and (last.until is None or until <= last.until)


def read(random: Random, of: House, tariff: Tariff, days: tuple[date, date]) -> None:
    """Let every meter show what it counted, at moments that somebody read it."""
    types = [tariff.register]
    types += [
        kind for keys in tariff.declared if keys["kind"] == "time_of_use_register"
        for kind in keys["registers"].values()
    ]  # fmt: skip
    often = random.choice(("never", "ends", "daily", "daily", "exchange"))
    before: dict[str, tuple[str, int]] = {}
    for meter in of.meters:
        moments = list(_read_at(random, of, meter, days, often))
        for kind in types:
            name, value = before.get(kind, ("", 0))
            shown = _shown(random, meter, moments, value if name == meter.name else None)
            meter.dials[kind] = shown
            if shown:
                before[kind] = (meter.name, shown[max(shown)].value)


def _read_at(
    random: Random, of: House, meter: Meter, days: tuple[date, date], often: str
) -> Iterator[datetime]:
    """Give the moments at which a meter was read."""
    if often == "never":
        return
    count = (days[1] - days[0]).days
    for number in range(count + 1):
        at = midnight(days[0] + timedelta(days=number), of.zone)
        inside = meter.since <= at and (meter.until is None or at <= meter.until)
        if inside and (often == "daily" or number in (0, count)) and random.random() < 0.97:
            yield at
    if often == "exchange" or random.random() < 0.4:
        since = midnight(days[0], of.zone)
        yield from (at for at in (meter.since, meter.until) if at is not None and at > since)


def _shown(
    random: Random, meter: Meter, moments: Sequence[datetime], value: int | None
) -> dict[datetime, Known]:
    """Let a dial go on from reading to reading; it may roll over, be reset, or be doubted."""
    top = meter.modulus or 10**8
    at = value if value is not None else random.choice((0, top - 50, random.randint(0, top // 2)))
    reset = random.random() < 0.08
    found = {}
    for number, moment in enumerate(sorted(set(moments))):
        if number or value is None:
            at += random.randint(0, min(top // 12, 50_000)) if number else 0
        if meter.modulus:
            at %= meter.modulus
        if reset and number == 1:
            at = random.randint(0, 300)
        code = random.choice((0, 0, 0, 0, 0, 0, 0, 0, 110, 333, 400, 100))
        found[moment] = Known(at, code)
    return found
