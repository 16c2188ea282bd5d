"""Simulated meters that push, registered with their keys, and what they send."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from drivers.dlms.push_inbox import Received
from drivers.dlms.push_stream import Sent
from headend import keys
from schemas.database import Connection
from simulators import dlms_push
from simulators import fleet as fleets
from simulators import keys as simulated_keys
from simulators.dlms_model import DlmsModel
from tests.headend.registry import end_device

NOW = datetime(2026, 6, 3, 12, 0, 20, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
HOST = "127.9.0.1"


@dataclass
class Pushing:
    """The meters of the fleet ``small`` by their mRIDs."""

    models: dict[str, DlmsModel] = field(default_factory=dict)

    def __getitem__(self, mrid: str) -> DlmsModel:
        return self.models[mrid]

    def registers(
        self, mrid: str, at: int = SECONDS, *, ciphered: bool = True, confirmed: bool = False
    ) -> bytes:
        plain = dlms_push.registers(self[mrid], at, invoke=at & 0xFFFF, confirmed=confirmed)
        return dlms_push.ciphered(self[mrid], plain) if ciphered else plain

    def intervals(self, mrid: str, row: int, *, ciphered: bool = True) -> bytes:
        plain = dlms_push.intervals(self[mrid], row, invoke=row)
        return dlms_push.ciphered(self[mrid], plain) if ciphered else plain


def pushing() -> Pushing:
    """Make the meters: M00001 … M00006 without ciphering, M00007 … with HLS keys."""
    fleet = fleets.load("small")
    return Pushing({one.mrid: DlmsModel(one) for one in fleet.meters})


def title(model: DlmsModel) -> str:
    return model.title.hex()


def register(
    connection: Connection,
    model: DlmsModel,
    address: str | None = None,
    *,
    host: str = HOST,
    mrid: str | None = None,
) -> int:
    """Put a meter into the registry, with its keys if it has any; give its id."""
    meter, secured = model.meter, model.meter.security == "hls-gmac"
    name = mrid or meter.mrid
    told = f'{{"system_title": "{title(model)}"}}' if secured else "{}"
    device = end_device(
        connection, name, host=host, security=meter.security if secured else "none",
        profile="generic", address=told if address is None else address,
    )  # fmt: skip
    if secured:
        rows = [
            {"end_device": name, "kind": kind, "key_hex": simulated_keys.of(meter, kind).hex()}
            for kind in ("encryption", "authentication")
        ]
        keys.import_keys(connection, rows, now=NOW)
    return device


def received(apdu: bytes, *, host: str = HOST, at: int = SECONDS) -> Received:
    """Give a push as the network hands it on."""
    return Received(Sent(apdu, 1, 1), host, "udp", at * 1_000_000)
