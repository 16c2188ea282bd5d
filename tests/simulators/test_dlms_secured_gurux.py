"""gurux-dlms reads simulated meters that are secured in every way that it knows.

It has no general-ciphering with named keys, and its ECDSA on P-384 does not run (``GXEcdsa`` asks
for P-256 twice); those have the driver's client on the other side only.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gurux_dlms import GXDLMSException, GXDLMSExceptionResponse
from gurux_dlms.objects import GXDLMSData

from simulators import control, keys
from simulators import fleet as fleets
from simulators.control import Running
from tests.simulators import gurux_reader

FLEET = fleets.load("security")
METERS = {
    meter.group: meter
    for meter in FLEET.meters
    if keys.ciphering(meter) not in ("identified", "wrapped", "one-pass", "static")
    and (meter.security != "hls-ecdsa" or keys.suite(meter) == 1)
}
SERIAL = "0.0.96.1.0.255"


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with control.running("security") as served:
        yield served


@pytest.mark.parametrize("name", METERS)
def test_gurux_reads_every_way_to_be_secured(running: Running, name: str) -> None:
    meter = METERS[name]
    with gurux_reader.reading(meter, running.dlms_port, counter=1) as reader:
        assert bytes(reader.read(GXDLMSData(SERIAL), 2)) == meter.mrid.encode()
        days = reader.profile("1.0.99.2.0.255", FLEET.period.start, FLEET.period.end)
        assert len(days) == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hls-md5", "password"),
        ("hls-sha1", "password"),
        ("hls-sha256", "password"),
        ("gmac-suite-2", "encryption"),
        ("gmac-suite-2", "authentication"),
        ("gmac-authenticated", "authentication"),
        ("dedicated", "encryption"),
    ],
)
def test_gurux_with_a_wrong_key_is_refused(running: Running, name: str, kind: str) -> None:
    meter = METERS[name]
    wrong = {kind: bytes(octet ^ 1 for octet in keys.of(meter, kind))}
    reading = gurux_reader.reading(meter, running.dlms_port, counter=1000, **wrong)
    with pytest.raises((GXDLMSException, GXDLMSExceptionResponse, ValueError)), reading:
        pass
