"""Sparkplug B against payloads of an independent implementation, and what nodes do wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mqtt import payloads
from drivers.mqtt.formats import sparkplug, sparkplug_wire
from drivers.mqtt.formats.sparkplug import Address, Edge
from drivers.mqtt.mapping import Entry, FieldMap
from drivers.mqtt.payload import Delivery, Malformed, Message, Rejected
from drivers.mqtt.setting import Setting
from schemas.reading import RegisterReading

VECTORS: dict[str, dict[str, Any]] = {
    one["name"]: one
    for one in json.loads(Path(__file__).with_name("sparkplug_payload.json").read_text())["vectors"]
}
AT = datetime(2026, 6, 3, 11, tzinfo=UTC)
MAP = FieldMap(
    "m",
    (
        Entry((("Energy/Import",),), "active_energy_import", "kWh"),
        Entry((("Energy/Export",),), "active_energy_export", "kWh"),
        Entry((("Power",),), "active_power_import", "W", "active_power_export"),
    ),
)
DEVICE = "spBv1.0/plant/{}/gateway/m1"
NODE = "spBv1.0/plant/{}/gateway"


def raw(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["hex"])


def where(topic: str) -> Address:
    found = sparkplug.address(topic)
    assert found
    return found


def said(topic: str, payload: bytes, edge: Edge | None = None) -> Delivery | Rejected:
    address = where(topic)
    aliases = edge.aliases.get(address.device, {}) if edge else {}
    return payloads.decode(Message(topic, payload, AT), Setting(mapping=MAP, aliases=aliases))


def born() -> Edge:
    edge, missed = sparkplug.follow(None, where(NODE.format("NBIRTH")), raw("nbirth"))
    assert not missed
    edge, missed = sparkplug.follow(edge, where(DEVICE.format("DBIRTH")), raw("dbirth"))
    assert not missed
    return edge


def test_every_type_is_read_as_the_independent_implementation_wrote_it() -> None:
    payload = sparkplug_wire.parse(raw("types"))
    assert (payload.timestamp, payload.seq) == (1780484400000, 255)
    read = [sparkplug_wire.typed(one, one.datatype) for one in payload.metrics]
    written = [one["value"] for one in VECTORS["types"]["payload"]["metrics"]]
    assert [float(one) if isinstance(one, Decimal) else one for one in read] == written
    assert [one.datatype for one in payload.metrics] == list(range(1, 15))
    assert {one.timestamp for one in payload.metrics} == {1780484400001}


def test_null_and_other_kinds_of_values_are_no_values() -> None:
    names = {one.name: one.value for one in sparkplug_wire.parse(raw("null")).metrics}
    assert names == {"Energy/Import": None, "Power": Decimal(1)}
    names = {one.name: one.value for one in sparkplug_wire.parse(raw("dataset")).metrics}
    assert names == {"d": None, "b": None, "Power": Decimal(7)}


def test_our_command_is_what_the_independent_implementation_writes() -> None:
    assert sparkplug_wire.rebirth(1780484400000) == raw("rebirth")


def test_a_birth_certificate_has_readings_itself() -> None:
    assert said(DEVICE.format("DBIRTH"), raw("dbirth")) == Delivery(
        "plant/gateway/m1",
        "",
        (
            RegisterReading("active_energy_import", AT, 12_500),
            RegisterReading("active_energy_export", AT, 500),
            RegisterReading("active_power_import", AT, 0),
            RegisterReading("active_power_export", AT, 218),
        ),
    )


def test_data_by_alias_is_read_with_the_birth_certificate() -> None:
    found = said(DEVICE.format("DDATA"), raw("ddata"), born())
    assert isinstance(found, Delivery)
    later = datetime(2026, 6, 3, 11, 15, tzinfo=UTC)
    assert found.readings == (
        RegisterReading("active_energy_import", later, 12_750),
        RegisterReading("active_power_import", later, 120),
        RegisterReading("active_power_export", later, 0),
    )


def test_metrics_with_times_of_their_own_keep_them() -> None:
    found = said(DEVICE.format("DDATA"), raw("history"), born())
    assert isinstance(found, Delivery)
    assert [(one.read_at.minute, one.read_at.second, one.value) for one in found.readings] == [
        (16, 40, 12_800),
        (30, 0, 12_900),
    ]


def test_data_without_a_birth_certificate_is_rejected() -> None:
    found = said(DEVICE.format("DDATA"), raw("ddata"))
    assert found == Rejected(
        "sparkplug-b: alias 7: no birth certificate names it; the node was asked for one"
    )


def test_a_message_that_was_missed_makes_the_aliases_worthless() -> None:
    edge = born()
    assert edge.seq == 1
    edge, missed = sparkplug.follow(edge, where(DEVICE.format("DDATA")), raw("history"))
    assert missed, "3 comes after 2, not after 1"
    assert edge == Edge()
    assert isinstance(said(DEVICE.format("DDATA"), raw("history"), edge), Rejected)
    # And until the node is born again every further message asks.
    _, missed = sparkplug.follow(edge, where(DEVICE.format("DDATA")), raw("null"))
    assert missed


def test_sequence_numbers_go_round() -> None:
    edge = Edge(254)
    edge, missed = sparkplug.follow(edge, where(NODE.format("NDATA")), raw("types"))
    assert (edge.seq, missed) == (255, False)
    zero = bytes.fromhex("1800")
    edge, missed = sparkplug.follow(edge, where(NODE.format("NDATA")), zero)
    assert (edge.seq, missed) == (0, False)


def test_deaths_end_what_is_known() -> None:
    edge = born()
    gone, missed = sparkplug.follow(edge, where(DEVICE.format("DDEATH")), bytes.fromhex("1802"))
    assert (gone.aliases.keys(), gone.seq, missed) == ({""}, 2, False)
    same, _ = sparkplug.follow(edge, where(NODE.format("NDEATH")), raw("nbirth"))
    assert same == Edge()
    # The broker tells of the death of an earlier session (bdSeq 3, not 4).
    earlier = bytes.fromhex("120b 0a05 6264536571 2008 5803")
    kept, _ = sparkplug.follow(edge, where(NODE.format("NDEATH")), earlier)
    assert kept == edge


def test_other_topics_have_nothing_for_anybody() -> None:
    for topic in (NODE.format("NCMD"), DEVICE.format("DCMD"), NODE.format("NDEATH")):
        found = payloads.decode(Message(topic, b"\xff", AT))
        assert found == Delivery("", "", ())
    for topic in ("spBv1.0/plant/DDATA/gateway", "spBv1.0/plant/NDATA/gateway/m1", "a/b/NDATA/c"):
        assert sparkplug.address(topic) is None


@pytest.mark.parametrize(
    "payload",
    ["ff", "08", "0a05", "12ff7f", "0b", "00", "07", "1203 0a01 ff", "12 04 0a02 0a0a", "80" * 11],
)
def test_what_is_no_payload_is_rejected(payload: str) -> None:
    with pytest.raises(Malformed):
        sparkplug_wire.parse(bytes.fromhex(payload))


def test_hostile_sizes_are_bounded() -> None:
    with pytest.raises(Malformed, match="more than 5000 metrics"):
        sparkplug_wire.parse(b"\x12\x00" * 5001)
    with pytest.raises(Malformed, match="more than 65536"):
        sparkplug_wire.parse(bytes(70_000))
    birth = bytes.fromhex("1205 0a0161 1001 1801")
    many = Edge(0, None, {str(n): {1: ("a", 10)} for n in range(1000)})
    with pytest.raises(Malformed, match="more than 1000 devices"):
        sparkplug.follow(many, where(DEVICE.format("DBIRTH")), birth)


@given(st.binary(max_size=60), st.sampled_from(sorted(VECTORS)), st.integers(0, 300))
def test_any_octets_give_a_payload_or_a_reason(noise: bytes, name: str, at: int) -> None:
    good = raw(name)
    for data in (noise, good[:at], good[:at] + noise + good[at:]):
        found = said(DEVICE.format("DDATA"), data, born())
        assert isinstance(found, Delivery | Rejected)


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
            st.integers(0, 2**64 - 1),
            st.integers(0, 2**64 - 1),
        ),
        max_size=5,
    ),
    st.integers(0, 255),
)
def test_what_is_written_by_the_rules_is_read_back(
    metrics: list[tuple[str, int, int]], seq: int
) -> None:
    """Written here by the encoding's own rules: key, length, bytes."""
    octets = b""
    for name, alias, value in metrics:
        text = name.encode()
        inner = b"\x0a" + varint(len(text)) + text + b"\x10" + varint(alias)
        inner += b"\x20\x08" + b"\x58" + varint(value)
        octets += b"\x12" + varint(len(inner)) + inner
    read = sparkplug_wire.parse(octets + b"\x18" + varint(seq))
    assert [(one.name, one.alias, one.value) for one in read.metrics] == metrics
    assert read.seq == seq


def varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])
