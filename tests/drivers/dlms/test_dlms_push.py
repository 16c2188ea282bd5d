"""Notifications: plain and ciphered, data and events, and anything that is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gurux_dlms.enums import DataType, Security
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, clock_time, push
from drivers.dlms.apdu import Attribute
from drivers.dlms.ciphering import Keys
from drivers.errors import DriverError, RemoteProtocolError, WrongKey
from schemas.obis import Obis
from tests.drivers.dlms import by_gurux

SENT = datetime(2026, 7, 1, 12, tzinfo=UTC)
RECEIVED = datetime(2026, 7, 1, 12, 0, 3, tzinfo=UTC)
TITLE = b"ABC\x00\x00\x00\x00\x07"
SECRETS = (bytes(range(16)), bytes(range(16, 32)))
KEYS = Keys(*SECRETS)
IMPORT = Obis(1, 0, 1, 8, 0)


def register(name: Obis, value: int, scaler: int, unit: int) -> bytes:
    scale = axdr.encode_sequence(
        axdr.STRUCTURE,
        by_gurux.encoded(DataType.INT8, scaler),
        by_gurux.encoded(DataType.ENUM, unit),
    )
    return axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(bytes(name)),
        by_gurux.encoded(DataType.UINT32, value),
        scale,
    )


BODY = axdr.encode_sequence(
    axdr.ARRAY, register(IMPORT, 1234, 1, 30), register(Obis(1, 0, 32, 7, 0), 2301, -1, 35)
)
STAMP = clock_time.encode(SENT, deviation=-180)
PLAIN = b"\x0f\x00\x00\x00\x2a\x0c" + STAMP + BODY


def general(plain: bytes, security: Security = Security.AUTHENTICATION_ENCRYPTION) -> bytes:
    """Wrap a notification in general-glo-ciphering; the ciphered text is gurux-dlms' own."""
    sealed = by_gurux.sealed(plain, title=TITLE, keys=SECRETS, counter=77, security=security)
    text, _ = axdr.octets(sealed, 1)
    return b"\xdb\x08" + TITLE + axdr.encode_octets(text)


@pytest.mark.parametrize(
    "apdu",
    [
        pytest.param(PLAIN, id="plain"),
        pytest.param(PLAIN.replace(b"\x0c" + STAMP, b"\x09\x0c" + STAMP), id="tagged date-time"),
        pytest.param(general(PLAIN), id="authenticated and encrypted"),
        pytest.param(general(PLAIN, Security.AUTHENTICATION), id="authenticated"),
        pytest.param(general(PLAIN, Security.ENCRYPTION), id="encrypted"),
    ],
)
def test_a_notification_becomes_register_readings(apdu: bytes) -> None:
    notification = push.decode(apdu, KEYS)
    assert notification.invoke_id == 42
    readings = push.registers(notification, RECEIVED)
    assert [(one.reading_type, one.read_at, one.value) for one in readings] == [
        ("active_energy_import", SENT, 12_340),
        ("voltage_l1", SENT, 2301),
    ]


def test_a_notification_without_a_time_counts_from_when_it_came() -> None:
    notification = push.decode(b"\x0f\x00\x00\x00\x01\x00" + BODY)
    assert {one.read_at for one in push.registers(notification, RECEIVED)} == {RECEIVED}


def test_a_register_without_scale_takes_the_meters_own() -> None:
    body = axdr.encode_sequence(
        axdr.STRUCTURE,
        axdr.encode_octet_string(bytes(IMPORT)),
        by_gurux.encoded(DataType.UINT32, 5),
    )
    notification = push.decode(b"\x0f\x00\x00\x00\x01\x00" + body)
    assert push.registers(notification, RECEIVED) == []
    [reading] = push.registers(notification, RECEIVED, scales={IMPORT: (3, 30)})
    assert reading.value == 5000
    [value] = push.values(notification)
    assert (value.name, value.value, value.amount) == (IMPORT, 5, None)


@pytest.mark.parametrize("written", ["0301", "177fc00000", "177f800000"])
def test_what_is_no_number_has_no_amount(written: str) -> None:
    register = axdr.encode_octet_string(bytes(IMPORT)) + bytes.fromhex(written + "02020f00161e")
    body = b"\x02\x03" + register
    [value] = push.values(push.decode(b"\x0f\x00\x00\x00\x01\x00" + body))
    assert (value.name, value.scale, value.amount) == (IMPORT, (0, 30), None)


@pytest.mark.parametrize("timed", [True, False])
def test_an_event_notification_says_which_attribute_changed(timed: bool) -> None:
    attribute = Attribute(1, Obis(0, 0, 96, 11, 0), 2)
    head = b"\xc2\x01\x0c" + STAMP if timed else b"\xc2\x00"
    notification = push.decode(head + bytes(attribute) + b"\x11\x02")
    assert notification.attribute == attribute
    assert notification.body == 2
    moment = notification.time.utc() if notification.time else None
    assert moment == (SENT if timed else None)


def test_a_ciphered_event_takes_the_title_of_the_session() -> None:
    plain = b"\xc2\x00" + bytes(Attribute(1, Obis(0, 0, 96, 11, 0), 2)) + b"\x11\x01"
    text = KEYS.protect(plain, TITLE, 5)
    apdu = b"\xca" + axdr.encode_octets(text)
    assert push.decode(apdu, KEYS, TITLE).body == 1


def test_the_sender_is_known_before_its_keys_are() -> None:
    assert push.system_title(general(PLAIN)) == TITLE
    assert push.system_title(PLAIN) == b""


@pytest.mark.parametrize("security", [Security.AUTHENTICATION_ENCRYPTION, Security.ENCRYPTION])
def test_a_wrong_key_is_told_from_a_broken_message(security: Security) -> None:
    with pytest.raises(WrongKey):
        push.decode(general(PLAIN, security), Keys(bytes(16), bytes(16)))
    with pytest.raises(WrongKey):
        push.decode(general(PLAIN, security))


@given(st.data())
def test_a_notification_cut_anywhere_is_a_protocol_error(data: st.DataObject) -> None:
    with pytest.raises(RemoteProtocolError):
        push.decode(PLAIN[: data.draw(st.integers(0, len(PLAIN) - 1))])


@given(st.sampled_from([b"", b"\x0f", b"\xc2", b"\xca", b"\xdb\x08"]), st.binary(max_size=120))
def test_garbage_is_values_or_an_error_of_ours(head: bytes, data: bytes) -> None:
    try:
        notification = push.decode(head + data, KEYS, TITLE)
    except DriverError:
        return
    push.values(notification)


@given(st.binary(max_size=120))
def test_any_body_is_read_without_an_accident(body: bytes) -> None:
    try:
        notification = push.decode(b"\x0f\x00\x00\x00\x01\x00\x02\x03" + body)
        push.registers(notification, RECEIVED)
    except RemoteProtocolError:
        return
