"""What simulated meters push, read by gurux-dlms, and when they push it."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.secure import GXDLMSSecureClient

from simulators import dlms_push, keys, stored
from simulators import fleet as fleets
from simulators.clock import Clock
from simulators.dlms_model import DlmsModel
from simulators.dlms_pusher import Pusher
from simulators.faults import Fault
from simulators.meter import ACTIVE, REACTIVE, Meter

AT = int(datetime(2026, 6, 3, 12, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def meters() -> list[Meter]:
    return list(fleets.load("small").meters)


def by_gurux(frame: bytes, meter: Meter) -> Any:
    """Decipher and decode a push with gurux-dlms."""
    client = GXDLMSSecureClient(True, 1, 1, Authentication.NONE, None, InterfaceType.WRAPPER)
    if meter.security == "hls-gmac":
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.blockCipherKey = keys.of(meter, "encryption")
        client.ciphering.authenticationKey = keys.of(meter, "authentication")
    reply, notified = GXReplyData(), GXReplyData()
    with contextlib.redirect_stdout(io.StringIO()):
        client.getData(GXByteBuffer(frame), reply, notified)
    return notified.value


@pytest.mark.parametrize("place", [0, 6])
def test_gurux_reads_the_registers_that_were_pushed(meters: list[Meter], place: int) -> None:
    meter = meters[place]
    model = DlmsModel(meter)
    plain = dlms_push.registers(model, AT, invoke=7)
    apdu = dlms_push.ciphered(model, plain) if place else plain
    found = by_gurux(dlms_push.wrapped(apdu), meter)
    assert bytes(found[1][1]) == meter.mrid.encode()
    present = meter.present(AT)
    assert [row[1] for row in found[3:]] == [
        meter.register_at(ACTIVE, AT),
        meter.register_at(REACTIVE, AT),
        present["active_power_import"],
        present["voltage_l1"],
        present["current_l1"],
    ]
    assert [(row[2][0], row[2][1]) for row in found[3:]] == [
        (0, 30), (0, 32), (0, 27), (-1, 35), (-3, 33),
    ]  # fmt: skip


def test_gurux_reads_the_interval_that_was_pushed(meters: list[Meter]) -> None:
    meter = meters[7]
    model = DlmsModel(meter)
    apdu = dlms_push.ciphered(model, dlms_push.intervals(model, 5, invoke=5))
    found = by_gurux(dlms_push.wrapped(apdu), meter)
    profile = stored.load_profile(meter)
    assert [row[1] for row in found[3:]] == [
        int(profile.values[ACTIVE][5]), int(profile.values[REACTIVE][5]),
    ]  # fmt: skip


def pushing(meter: Meter, what: str, *faults: Fault) -> DlmsModel:
    values = {name: getattr(meter, name) for name in Meter.__dataclass_fields__}
    options = {"push": what, "push_seconds": 3600}
    return DlmsModel(Meter(**{**values, "options": options, "faults": faults}))


def test_what_is_due_comes_in_the_order_of_time_and_not_without_power(
    meters: list[Meter],
) -> None:
    off = Fault("dead_line", AT + 1800, AT + 2 * 3600 + 1800, {"mode": "power"})
    models = [pushing(meters[0], "registers", off), pushing(meters[1], "registers")]
    assert dlms_push.pushes(models[0].meter)
    assert not dlms_push.pushes(meters[0])
    found = list(dlms_push.due(models, AT, AT + 4 * 3600))
    first = [frame[8] for meter, frame in found if meter is models[0].meter]
    # Last gasp, two hours of silence, power up, and then every hour again.
    assert first == [0xC2, 0xC2, 0x0F, 0x0F]
    assert len(found) == 4 + 4
    assert list(dlms_push.due(models, AT + 4 * 3600, AT + 4 * 3600)) == []


def test_intervals_are_pushed_when_they_end(meters: list[Meter]) -> None:
    model = pushing(meters[0], "intervals")
    assert len(list(dlms_push.due([model], AT, AT + 3600))) == 4


@pytest.mark.parametrize("target", ["mqtt://127.0.0.1:1", "tcp://127.0.0.1", "4059"])
def test_a_target_that_is_none_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="no address such as"):
        Pusher([], Clock(AT), target)
