"""End devices as the head-end sees them: where they are, how to talk to them, how they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from drivers.dlms.security_settings import Wanted
from drivers.driver import Endpoint
from drivers.errors import LocalProtocolError
from headend import keys
from headend.vault import Vault, VaultError
from schemas import parameters, reading_type, statements
from schemas.database import Connection
from schemas.period import Period

_SQL = statements.load("headend", "devices.sql")
_FOREVER = datetime.max.replace(tzinfo=UTC)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# Where the registry gives no port.
_PORTS = {"dlms": 4059, "modbus": 502, "mqtt": 1883}


class UnknownDevice(LookupError):
    """An end device that the registry does not have; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Device:
    """An end device to be read.

    Attributes
    ----------
    segment_id, segment_limit : network segment and most sessions in it at a time; None and 0 where
        it is in none
    commodity : of the usage point where it was installed last; None if it never was
    installed : when it was installed, oldest first
    secrets : sealed keys by kind
    held, next_attempt, next_reads, failures : as its last sessions left them
    history_until, events_until : stored registers and events before these were asked for
    """

    id: int
    mrid: str
    protocol: str
    profile: str
    host: str | None
    port: int | None
    address: Mapping[str, int | str]
    security: str
    interval_seconds: int
    segment_id: int | None
    segment_limit: int
    commodity: str | None
    installed: tuple[Period, ...]
    secrets: Mapping[str, bytes] = field(repr=False)
    held: bool
    next_attempt: datetime | None
    next_reads: tuple[str, ...]
    failures: int
    history_until: datetime | None
    events_until: datetime | None

    def lacking_keys(self) -> list[str]:
        """List the kinds of key that its security needs and the store does not have.

        Raises
        ------
        drivers.errors.LocalProtocolError
            if the registry says of its security what cannot be.
        """
        wanted = Wanted.of(self.security, self.address)
        return [kind for kind in wanted.kinds if kind not in self.secrets]

    def is_secured(self) -> bool:
        """Tell whether it is asked with keys."""
        return self.security != "none" or "ciphering" in self.address

    def is_counted(self) -> bool:
        """Tell whether it is asked with invocation counters; not if its security cannot be."""
        try:
            return Wanted.of(self.security, self.address).counted
        except LocalProtocolError:
            return False

    def registers(self) -> list[str]:
        """List the reading types to ask for, by commodity: what counts, and by which ratio."""
        return list(_registers(self.commodity))

    def first_installed(self) -> datetime:
        """Tell since when it has been installed anywhere; long ago if it never was."""
        return self.installed[0].start if self.installed else _LONG_AGO


@cache
def _registers(commodity: str | None) -> tuple[str, ...]:
    return tuple(
        name
        for name, kind in reading_type.table().items()
        if kind.commodity == commodity
        and (kind.accumulation == "cumulative" or name in reading_type.RATIOS)
    )


def load(connection: Connection, ids: Sequence[int]) -> list[Device]:
    """Load end devices by id; ids that the registry does not have are left out."""
    return [
        _device(row)
        for row in connection.execute(_SQL["devices"], {"ids": parameters.numbers(ids)})
    ]


def named(connection: Connection, mrid: str) -> Device:
    """Load the end device of an mRID.

    Raises
    ------
    UnknownDevice
    """
    row = connection.execute(_SQL["device_named"], {"mrid": mrid}).fetchone()
    if row is None:
        raise UnknownDevice(f"no end device {mrid!r} in the registry; check the mRID, or import it")
    return load(connection, [row[0]])[0]


def endpoint(
    device: Device, vault: Vault | None, *, reserve_counters: Any = None, timeout: float = 10.0
) -> Endpoint:
    """Make the driver's endpoint, keys opened.

    Parameters
    ----------
    vault : None where no keys are needed
    reserve_counters : see ``drivers.driver.Endpoint``
    timeout : longest wait for one answer [s]

    Raises
    ------
    VaultError
        if a key does not open.
    """
    sealed = device.secrets if device.is_secured() else {}
    if sealed and vault is None:
        raise VaultError(f"{device.mrid}: its keys are sealed, and no master key was given")
    opened = {
        kind: vault.unseal(keys.sealed_name(device.mrid, kind), secret)
        for kind, secret in sealed.items()
        if vault is not None
    }
    counters = {"reserve_counters": reserve_counters} if reserve_counters else {}
    return Endpoint(
        end_device=device.mrid,
        host=device.host or "",
        port=device.port or _PORTS.get(device.protocol, 0),
        profile=device.profile,
        address=device.address,
        interval_seconds=device.interval_seconds,
        security=device.security,
        secrets=opened,
        timeout=timeout,
        **counters,
    )


def _device(row: tuple[Any, ...]) -> Device:
    values = list(row)
    kinds, sealed = values[13], values[14]
    values[12] = tuple(_periods(row[12]))
    values[13:15] = [dict(zip(kinds, sealed, strict=True))]
    values[16] = tuple(values[16])
    return Device(*values)


def _periods(stretches: Any) -> list[Period]:
    return [Period(one.lower or _LONG_AGO, one.upper or _FOREVER) for one in stretches or ()]
