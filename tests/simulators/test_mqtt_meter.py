"""Simulated MQTT meters publish what is due, to a real broker, as the payload decoders read it."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.mqtt import broker as urls
from drivers.mqtt import mapping, payloads
from drivers.mqtt.payload import Delivery, Message
from drivers.mqtt.setting import Setting
from drivers.mqtt.subscriber import Subscriber
from simulators import broker as brokers
from simulators import fleet, mqtt_meter, serving
from simulators.clock import Clock
from simulators.fleet import Fleet
from simulators.meter import ACTIVE, WATER

START = datetime(2026, 5, 31, 21, tzinfo=UTC)

FLEET = """
seed = 3
zone = "Asia/Kuwait"
start = 2026-06-01
days = 2
[[group]]
name = "water"
protocol = "mqtt"
count = 3
profile = "wmbusmeters"
commodity = "water"
interval = 3600
register_modulus = 100000000
prefix = "W"
model = "multical21"
address = { topic = "wmbusmeters/{mrid}" }
[[group]]
name = "gateways"
protocol = "mqtt"
count = 2
profile = "smartmeter"
interval = 3600
address = { topic = "smartmeter/{mrid}" }
"""


def loaded(folder: Path, extra: str = "") -> Fleet:
    file = folder / "fleet.toml"
    file.write_text(FLEET + extra, "utf-8")
    return fleet.load(file)


def seconds(hours: int) -> int:
    return int((START + timedelta(hours=hours)).timestamp())


def sent(loaded_fleet: Fleet, first: int, last: int) -> list[Delivery]:
    """What is sent in hours, as the driver reads it."""
    messages = mqtt_meter.due(loaded_fleet.meters, seconds(first) - 1, seconds(last))
    read = [payloads.decode(Message(topic, text.encode(), START)) for topic, text in messages]
    assert all(isinstance(one, Delivery) for one in read), read
    return [one for one in read if isinstance(one, Delivery)]


def energy(deliveries: list[Delivery], meter: str) -> list[tuple[int, int]]:
    """A meter's cumulative readings: hour, value."""
    return [
        (int((one.read_at - START).total_seconds()) // 3600, one.value)
        for delivery in deliveries
        for one in delivery.readings
        if delivery.identity == meter and one.reading_type in (ACTIVE, WATER)
    ]


def test_what_is_sent_is_the_register(tmp_path: Path) -> None:
    made = loaded(tmp_path)
    deliveries = sent(made, 0, 48)
    for meter in made.meters:
        kind = meter.reading_types[0]
        assert energy(deliveries, meter.mrid) == [
            (hour, meter.register_at(kind, seconds(hour))) for hour in range(49)
        ]
    moments = [delivery.readings[0].read_at for delivery in deliveries]
    assert moments == sorted(moments)


LORAWAN = """
[[group]]
name = "lorawan"
protocol = "mqtt"
count = 2
profile = "chirpstack"
commodity = "water"
interval = 3600
register_modulus = 100000000
prefix = "L"
address = { topic = "application/simulated/device/{number:016x}/event/up", mapping = "water-total" }
"""


def test_uplinks_of_lorawan_meters_are_read_by_the_mapping_that_the_registry_names(
    tmp_path: Path,
) -> None:
    made = loaded(tmp_path, LORAWAN)
    meters = [meter for meter in made.meters if meter.profile == "chirpstack"]
    assert [meter.address["topic"] for meter in meters] == [
        f"application/simulated/device/{number:016x}/event/up" for number in (6, 7)
    ]
    chosen = Setting(mapping=mapping.named(str(meters[0].address["mapping"])))
    sent_by_them = list(mqtt_meter.due(meters, seconds(0) - 1, seconds(24)))
    assert len(sent_by_them) == 50
    for at, (topic, text) in enumerate(sent_by_them):
        meter, hour = meters[at % 2], at // 2
        read = payloads.decode(Message(topic, text.encode(), START), chosen)
        assert isinstance(read, Delivery), read
        assert read.serial == topic.split("/")[3]
        [one] = read.readings
        assert one.value == meter.register_at(WATER, seconds(hour))
        # The network has an uplink two seconds after it was sent.
        assert one.read_at == START + timedelta(hours=hour, seconds=2)


def test_a_message_is_sent_once_however_the_clock_moves(tmp_path: Path) -> None:
    made = loaded(tmp_path)
    whole = list(mqtt_meter.due(made.meters, seconds(0) - 1, seconds(48)))
    steps = [seconds(0) - 1, seconds(0), seconds(5) + 17, seconds(6) - 1, seconds(6), seconds(48)]
    pieces = [
        message
        for after, upto in pairwise(steps)
        for message in mqtt_meter.due(made.meters, after, upto)
    ]
    assert pieces == whole


def test_faults(tmp_path: Path) -> None:
    made = loaded(
        tmp_path,
        """
[[fault]]
kind = "gap"
meters = ["W00001"]
at = 2026-06-01T10:00:00
length = [2]
[[fault]]
kind = "dead_line"
meters = ["W00002"]
at = 2026-06-01T10:00:00
length = [3]
[[fault]]
kind = "duplicate"
meters = ["W00003"]
at = 2026-06-01T10:00:00
[[fault]]
kind = "duplicate"
meters = ["M00004"]
at = 2026-06-01T10:00:00
value = "different"
[[fault]]
kind = "stuck_register"
meters = ["M00005"]
at = 2026-06-01T10:00:00
length = [4]
""",
    )
    deliveries = sent(made, 0, 48)
    hours = {m.mrid: Counter(h for h, _ in energy(deliveries, m.mrid)) for m in made.meters}
    assert set(range(49)) - set(hours["W00001"]) == {10, 11}
    assert set(range(49)) - set(hours["W00002"]) == {10, 11, 12}
    assert [hour for hour, count in hours["W00003"].items() if count == 2] == [10]
    twice = [value for hour, value in energy(deliveries, "M00004") if hour == 10]
    meter = made.meter("M00004")
    before = meter.register_at(ACTIVE, seconds(9))
    assert twice[0] == meter.register_at(ACTIVE, seconds(10))
    assert before < twice[1] < twice[0]
    standing = dict(energy(deliveries, "M00005"))
    assert len({standing[hour] for hour in range(10, 14)}) == 1
    assert standing[14] == made.meter("M00005").register_at(ACTIVE, seconds(14)) > standing[13]


async def test_a_broker_has_everything_before_the_clock_stands(
    broker: brokers.Broker, tmp_path: Path
) -> None:
    made = loaded(tmp_path)
    clock = Clock(seconds(0))
    subscriber = Subscriber(
        urls.parse(broker.url),
        client_id="test",
        topics=["smartmeter/+/+", "wmbusmeters/+"],
        clock=lambda: START,
    )
    async with subscriber:
        meters = await mqtt_meter.serve(made.meters, clock, broker=broker.url)
        assert await meters.catch_up() == 7
        clock.move(START + timedelta(hours=10))
        assert await meters.catch_up() == 77
        assert await meters.catch_up() == 77
        got: list[tuple[str, str]] = []
        while len(got) < 77 and (batch := await subscriber.take_async(wait=3)) is not None:
            got += [(message.topic, message.payload.decode()) for message in batch.messages]
            batch.acknowledge()
        await meters.close()
    assert got == list(mqtt_meter.due(made.meters, seconds(0) - 1, seconds(10)))


async def test_a_move_that_does_not_wait_is_waited_for_by_the_next(
    broker: brokers.Broker, tmp_path: Path
) -> None:
    made = loaded(tmp_path)
    served = await serving.start(made.meters, Clock(seconds(0)), ports={}, broker=broker.url)
    try:
        assert await served.move(START, wait=False) == 0
        assert await served.move(START + timedelta(hours=10), wait=False) == 7
        assert served.clock.now == START + timedelta(hours=10)
        assert await served.move(START + timedelta(hours=11)) == 84
    finally:
        await served.close()


async def test_a_broker_that_is_not_there(tmp_path: Path) -> None:
    made = loaded(tmp_path)
    with pytest.raises(OSError, match="refused"):
        await mqtt_meter.serve(made.meters, Clock(0), broker="mqtt://127.0.0.1:1")


async def test_a_profile_that_nobody_can_simulate(tmp_path: Path) -> None:
    made = fleet.load(_changed(tmp_path))
    with pytest.raises(ValueError, match="no simulated 'lorawan'"):
        await mqtt_meter.serve(made.meters, Clock(0), broker="mqtt://127.0.0.1:1")


def _changed(folder: Path) -> Path:
    file = folder / "fleet.toml"
    file.write_text(FLEET.replace('"wmbusmeters"\n', '"lorawan"\n'), "utf-8")
    return file
