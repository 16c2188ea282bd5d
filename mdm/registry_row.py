"""A line of the registry file: checked and turned into values, or refused with the reason.

One line tells of one installation: which end device is (or was) at which usage point, from when,
until when, with which multiplier. A meter exchange is two lines of the same usage point.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache, partial
from typing import Any, Final, get_args
from zoneinfo import available_timezones

from schemas import facts
from schemas.reading_type import Commodity

COLUMNS = (
    "usage_point", "commodity", "sector", "time_zone", "tariff", "billing_group", "segment",
    "end_device", "manufacturer", "model", "protocol", "profile", "host", "port", "address",
    "security", "interval_seconds", "register_modulus", "multiplier", "installed_from",
    "installed_until",
)  # fmt: skip
_LARGEST_MULTIPLIER: Final = 100_000_000
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that was not taken: where, what stood there, and why."""

    line: int
    column: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}, value {self.value!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class RegistryRow:
    """One installation with its usage point and end device, all values checked."""

    line: int
    usage_point: str
    commodity: str
    sector: str
    time_zone: str
    tariff: str
    billing_group: str
    segment: str | None
    end_device: str
    manufacturer: str
    model: str
    protocol: str
    profile: str
    host: str | None
    port: int | None
    address: dict[str, int | str]
    security: str
    interval_seconds: int
    register_modulus: int | None
    multiplier: Decimal
    installed_from: datetime
    installed_until: datetime | None


def parse(line: int, cells: Mapping[str, str | None]) -> RegistryRow | Rejected:
    """Check one line.

    Parameters
    ----------
    line : number of the line in the file, the heading being 1
    cells : text by column name

    Returns
    -------
    the checked row, or the first thing that is wrong with it
    """
    values: list[Any] = []
    for column, read in _READERS.items():
        text = (cells.get(column) or "").strip()
        try:
            values.append(read(text))
        except ValueError as problem:
            return Rejected(line, column, text, str(problem))
    row = RegistryRow(line, *values)
    return _together(row) or row


def _together(row: RegistryRow) -> Rejected | None:
    """Check what columns must be to each other."""
    reached = (row.host and row.port) or "line" in row.address
    if row.protocol in ("dlms", "modbus") and not reached:
        return Rejected(
            row.line,
            "host",
            row.host or "",
            f"a {row.protocol} meter needs a host and a port, or line= in its address for a serial"
            " port",
        )
    if row.security != "none" and row.protocol != "dlms":
        return Rejected(row.line, "security", row.security, "only DLMS meters have security")
    if row.installed_until and row.installed_until <= row.installed_from:
        return Rejected(
            row.line,
            "installed_until",
            row.installed_until.isoformat(),
            f"must be after installed_from, {row.installed_from.isoformat()}",
        )
    return None


def _required(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _optional(text: str) -> str | None:
    return text or None


def _one_of(allowed: Callable[[], frozenset[str]], text: str) -> str:
    if text not in allowed():
        raise ValueError(f"must be one of {', '.join(sorted(allowed()))}")
    return text


@cache
def _zones() -> frozenset[str]:
    # Python looks through the folders of time zones each time.
    return frozenset(available_timezones())


def zone(text: str) -> str:
    """Read a time zone.

    Raises
    ------
    ValueError
        if there is none of that name.
    """
    if text not in _zones():
        raise ValueError("must be an IANA time zone such as Asia/Kuwait")
    return text


def _port(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError("must be a port number, 1 to 65535")
    return int(text)


def _address(text: str) -> dict[str, int | str]:
    pairs = [part.partition("=") for part in text.split(";") if part.strip()]
    if any(not mark or not key.strip() or not value.strip() for key, mark, value in pairs):
        raise ValueError("must be key=value pairs with ';' between, such as client=1;server=1")
    return {key.strip(): _number_or_text(value.strip()) for key, _, value in pairs}


def _number_or_text(text: str) -> int | str:
    # A leading zero belongs to a name (a serial number), not to a number.
    return int(text) if text.isdecimal() and str(int(text)) == text else text


def _interval(text: str) -> int:
    if not text.isdecimal() or not int(text) or 86400 % int(text):
        raise ValueError("must be a number of seconds that divides a day, such as 900 or 3600")
    return int(text)


def _modulus(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) < 2**63:
        raise ValueError("must be a whole number: where the register wraps to 0, in Wh or litres")
    return int(text)


@lru_cache
def _multiplier(text: str) -> Decimal:
    try:
        value = Decimal(text or "1")
    except InvalidOperation:
        raise ValueError("must be a number such as 1 or 40") from None
    if not value.is_finite() or value <= 0:
        raise ValueError("must be greater than 0")
    if value >= _LARGEST_MULTIPLIER:
        raise ValueError(f"must be less than {_LARGEST_MULTIPLIER:,}")
    if -int(value.normalize().as_tuple().exponent) > 6:
        raise ValueError("may have at most 6 decimals")
    return value


@lru_cache
def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        early = moment.tzinfo is not None and moment.astimezone(UTC) < _EARLIEST
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError("must be a time with its offset, such as 2026-05-27T00:00:00+03:00")
    if early:
        raise ValueError(f"must not be before {_EARLIEST.year}")
    return moment


def _moment_or_none(text: str) -> datetime | None:
    return _moment(text) if text else None


@cache
def sectors() -> frozenset[str]:
    """List the codes of sectors."""
    return frozenset(row["code"] for row in facts.rows("sectors.csv"))


_COMMODITIES = frozenset(get_args(Commodity))
_PROTOCOLS = frozenset({"dlms", "modbus", "mqtt", "manual"})
# What each takes beside it, such as a security suite, stands in the address.
_SECURITIES = frozenset(
    {"none", "lls", "hls-md5", "hls-sha1", "hls-gmac", "hls-sha256", "hls-ecdsa"}
)
_READERS: dict[str, Callable[[str], Any]] = {
    "usage_point": _required,
    "commodity": partial(_one_of, lambda: _COMMODITIES),
    "sector": partial(_one_of, sectors),
    "time_zone": zone,
    "tariff": _required,
    "billing_group": _required,
    "segment": _optional,
    "end_device": _required,
    "manufacturer": str,
    "model": str,
    "protocol": partial(_one_of, lambda: _PROTOCOLS),
    "profile": _required,
    "host": _optional,
    "port": _port,
    "address": _address,
    "security": lambda text: _one_of(lambda: _SECURITIES, text or "none"),
    "interval_seconds": _interval,
    "register_modulus": _modulus,
    "multiplier": _multiplier,
    "installed_from": _moment,
    "installed_until": _moment_or_none,
}
