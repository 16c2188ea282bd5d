"""Chooses whom of an order to ask, for what, and with which keys and counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from drivers import errors
from drivers.driver import Driver, Endpoint
from headend import (
    control_keys,
    control_ledger,
    coverage,
    devices,
    keys,
    meter_profiles,
    pending_keys,
    requests,
    sessions,
)
from headend.control_keys import Alternative
from headend.control_ledger import Due
from headend.counters import Run, Source
from headend.coverage import Coverage
from headend.devices import Device
from headend.exchange import Order, Request, Result
from headend.vault import Vault, VaultError
from schemas.database import Connection

_NOTHING = Coverage((), ())


@dataclass(frozen=True, slots=True)
class Asking:
    """One meter to be asked; ``counters`` are None where it needs none.

    ``alternatives`` are secrets that it may have instead, while a change of keys is open.
    """

    request: Request
    endpoint: Endpoint
    counters: Run | None
    alternatives: tuple[Alternative, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order made ready.

    Attributes
    ----------
    asking : meters to be asked
    refused : meters that cannot be asked, as results with the error that says why
    waiting : meters that are not asked before their next attempt
    already_read : meters that the order's batch has read before it was taken up again
    """

    asking: list[Asking]
    refused: list[Result]
    waiting: int
    already_read: int


def prepare(
    connection: Connection,
    order: Order,
    drivers: Mapping[str, Driver],
    source: Source,
    *,
    timeout: float,
    now: datetime,
    open_vault: Callable[[], Vault],
) -> Prepared:
    """Load an order's end devices and choose whom to ask, and for what; commits.

    Parameters
    ----------
    source : of invocation counters
    timeout : longest wait for one answer [s]
    open_vault : opens the key store, where a meter needs it
    """
    known = devices.load(connection, order.end_device_ids)
    read = sessions.already_read(connection, order.batch_id) if order.batch_id else set()
    askable = [one for one in known if one.id not in read and one.protocol in drivers]
    ready = [one for one in askable if _is_ready(one, drivers[one.protocol], order, now)]
    waiting = {one.id for one in askable} - {one.id for one in ready}
    if order.reason == "schedule" and waiting:
        sessions.put_off(connection, waiting, order.reads)
    have = coverage.coverage(connection, _with_memory(ready, order, drivers), now=now)
    ids = [one.id for one in ready]
    offered = meter_profiles.of_devices(connection, ids)
    due = control_ledger.of_devices(connection, ids, now=now, only=order.controls)
    pending = pending_keys.sealed_of(connection, ids)
    connection.commit()
    wanted = [
        _with_controls(
            requests.request(
                one, _reads(one, order), have.get(one.id, _NOTHING), drivers[one.protocol],
                offers=offered.get(one.id), now=now,
            ),
            due.get(one.id, ()), order,
        )
        for one in ready
    ]  # fmt: skip
    some = [one for one in wanted if one.reads or one.controls]
    runs = source.runs(one.device.id for one in some if one.device.is_counted())
    prepared = Prepared([], [], len(waiting), len(read))
    vault = _vault(some, open_vault)
    for one in some:
        try:
            endpoint = _endpoint(one.device, vault, runs.get(one.device.id), timeout)
            endpoint = replace(
                endpoint, meter_profile=offered.get(one.device.id), expected=frozenset(one.reads)
            )
            others = _alternatives(endpoint, pending.get(one.device.id, {}), vault)
        except errors.DriverError as error:
            refused = Result(one, now, now, attempts=1, error=error, failing=True)
            prepared.refused.append(refused)
        else:
            prepared.asking.append(Asking(one, endpoint, runs.get(one.device.id), others))
    return prepared


def _with_controls(wanted: Request, due: Sequence[Due], order: Order) -> Request:
    return replace(wanted, controls=tuple(due), keep_clock=order.keep_clock, by=order.by)


def _alternatives(
    endpoint: Endpoint, pending: Mapping[str, bytes], vault: Vault | VaultError | None
) -> tuple[Alternative, ...]:
    """Open the keys that are on their way into a meter; what does not open cannot be tried."""
    if not pending or not isinstance(vault, Vault):
        return ()
    try:
        opened = {
            kind: vault.unseal(keys.sealed_name(endpoint.end_device, kind), sealed)
            for kind, sealed in pending.items()
        }
    except VaultError:
        return ()
    return control_keys.alternatives(endpoint.secrets, opened)


def _with_memory(
    ready: Iterable[Device], order: Order, drivers: Mapping[str, Driver]
) -> list[Device]:
    """List the meters whose missing intervals are to be asked for."""
    return [
        one
        for one in ready
        if "intervals" in drivers[one.protocol].offers and "intervals" in _reads(one, order)
    ]


def _is_ready(device: Device, driver: Driver, order: Order, now: datetime) -> bool:
    """Tell whether a meter may be asked now.

    A meter without a memory is asked at its time however it did before: the sample would be lost
    for ever.
    """
    if order.reason == "on_demand":
        return True
    if device.held:
        return False
    due = device.next_attempt is not None and device.next_attempt <= now
    if order.reason == "control":
        return due or device.next_attempt is None
    if order.reason != "schedule":
        return due
    return due or device.next_attempt is None or "intervals" not in driver.offers


def _reads(device: Device, order: Order) -> list[str]:
    """Add to an order what was put off before."""
    extra = () if order.reason == "on_demand" else device.next_reads
    return sorted({*order.reads, *extra})


def _endpoint(
    device: Device, vault: Vault | VaultError | None, run: Run | None, timeout: float
) -> Endpoint:
    """Make an endpoint; what the registry or the key store lacks is an error of its class."""
    if not device.host and "line" not in device.address:
        raise errors.Unreachable(
            f"{device.mrid}: the registry has no host for it; import it with host and port, or with"
            " line= in its address"
        )
    if lacking := _lacking(device):
        raise errors.WrongKey(
            f"{device.mrid}: no key of kind {' and '.join(lacking)} in the key store; run"
            " miqyas import keys"
        )
    try:
        if isinstance(vault, VaultError):
            raise vault
        take: Callable[[int], int] | None = run.take if run else None
        return devices.endpoint(device, vault, reserve_counters=take, timeout=timeout)
    except VaultError as error:
        raise errors.WrongKey(f"{device.mrid}: {error}") from error


def _lacking(device: Device) -> list[str]:
    try:
        return device.lacking_keys()
    except errors.LocalProtocolError as error:
        raise errors.LocalProtocolError(f"{device.mrid}: {error}") from error


def _vault(wanted: Iterable[Request], open_vault: Callable[[], Vault]) -> Vault | VaultError | None:
    """Open the vault if a meter needs it; why it cannot be opened is each such meter's error."""
    if not any(one.device.is_secured() for one in wanted):
        return None
    try:
        return open_vault()
    except VaultError as error:
        return error
