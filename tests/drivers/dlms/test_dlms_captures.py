"""Frames of real meters and of the standard, each decoded to its expected values or named as left.

The frames themselves may not be committed: they are read from the folder of shared data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from drivers.dlms import apdu, association, axdr, hdlc, mbus, profile_buffer, push, wrapper
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Answer, Conformance, Granted, Mechanism, Request
from drivers.dlms.ciphering import Keys
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.engine import Association
from drivers.dlms.push import Pushed
from drivers.dlms.security import Security
from drivers.errors import DriverError, MeterRefused, NotOffered, RemoteProtocolError
from schemas.obis import Obis

Frame = dict[str, Any]

RECEIVED = datetime(2026, 7, 1, tzinfo=UTC)
GREEN_BOOK_KEYS = Keys(
    bytes.fromhex("000102030405060708090a0b0c0d0e0f"),
    bytes.fromhex("d0d1d2d3d4d5d6d7d8d9dadbdcdddedf"),
)

# The names that amshan's tests give to values, as OBIS groups C.D.E.
AMSHAN_NAMES = {
    "active_power_import": "1.7.0", "active_power_export": "2.7.0",
    "reactive_power_import": "3.7.0", "reactive_power_export": "4.7.0",
    "active_power_import_l1": "21.7.0", "active_power_export_l1": "22.7.0",
    "reactive_power_import_l1": "23.7.0", "reactive_power_export_l1": "24.7.0",
    "active_power_import_l2": "41.7.0", "active_power_export_l2": "42.7.0",
    "reactive_power_import_l2": "43.7.0", "reactive_power_export_l2": "44.7.0",
    "active_power_import_l3": "61.7.0", "active_power_export_l3": "62.7.0",
    "reactive_power_import_l3": "63.7.0", "reactive_power_export_l3": "64.7.0",
    "current_l1": "31.7.0", "current_l2": "51.7.0", "current_l3": "71.7.0",
    "voltage_l1": "32.7.0", "voltage_l2": "52.7.0", "voltage_l3": "72.7.0",
    "active_power_import_total": "1.8.0", "active_power_export_total": "2.8.0",
    "reactive_power_import_total": "3.8.0", "reactive_power_export_total": "4.8.0",
}  # fmt: skip
# Texts by OBIS groups C.D.E, the first that the list has.
AMSHAN_TEXTS = {
    "list_ver_id": ("0.2.129", None),
    "meter_id": ("96.1.0", "0.0.5"),
    "meter_type": ("96.1.7", "96.1.1"),
}


@pytest.fixture(scope="module")
def frames(shared: Path) -> dict[str, Frame]:
    text = (shared / "data" / "dlms_frames.json").read_text("utf-8")
    return {frame["name"]: frame for frame in json.loads(text)}


def raw(frame: Frame) -> bytes:
    return bytes.fromhex(frame["hex"])


def keys(frame: Frame) -> Keys | None:
    held = {name: bytes.fromhex(text) for name, text in frame["keys"].items()}
    return Keys(held["guek"], held.get("gak")) if held else None


def apdu_of(frame: Frame) -> bytes:
    """Take the frame's transport off."""
    if frame["transport"] == "hdlc":
        return joined(hdlc.Frames(), hdlc.Apdus(), raw(frame))
    if frame["transport"] == "mbus":
        return joined(mbus.Frames(), mbus.Apdus(), raw(frame))
    if frame["transport"] == "wrapper-udp":
        return wrapper.decode(raw(frame)).apdu
    return raw(frame)[3 if frame["transport"] == "llc+apdu" else 0 :]


def joined(frames: Any, apdus: Any, data: bytes) -> bytes:
    whole = []
    for octet in data:
        frames.feed(bytes((octet,)))
        if (frame := frames.next()) is not None and (one := apdus.join(frame)) is not None:
            whole.append(one)
    assert len(whole) == 1
    return bytes(whole[0])


def values(frame: Frame) -> dict[str, Pushed]:
    notification = push.decode(apdu_of(frame), keys(frame))
    return {str(one.name): one for one in push.values(notification)}


def obis_values(frame: Frame) -> None:
    """Values by OBIS code, scaled by what stands in the list itself."""
    found = values(frame)
    for name, expected in frame["expected"].items():
        one = found[name]
        assert expected == (one.value if isinstance(expected, str) else float(one.amount or 0)), (
            name
        )
        assert isinstance(expected, str) or one.amount is not None, name


def raw_obis_values(frame: Frame) -> None:
    """Kamstrup Omnipower: the expected values are the raw ones, which this list leaves unscaled."""
    found = values(frame)
    expected = dict(frame["expected"])
    assert found.pop("None").value == expected.pop("0.0.0.0.0.0")
    clock = found.pop("0.1.1.0.0.255").value
    assert isinstance(clock, ClockTime)
    assert str(clock.local) == expected.pop("0.1.1.0.0.255")
    assert {name: one.value for name, one in found.items()} == expected


def amshan_values(frame: Frame) -> None:
    """Values by amshan's names, scaled by what is known of the maker's list."""
    notification = push.decode(apdu_of(frame))
    found = {
        f"{one.name.c}.{one.name.d}.{one.name.e}": one
        for one in push.values(notification)
        if one.name is not None
    }
    expected = dict(frame["expected"])
    # amshan guesses the maker by the list's shape; nothing in the frame says it.
    expected.pop("meter_manufacturer")
    stamp = expected.pop("meter_datetime", None)
    for name, text in AMSHAN_TEXTS.items():
        if name in expected:
            said = next((found[code].value for code in text if code in found), None)
            assert expected.pop(name) == (said or push.values(notification)[0].value)
    if stamp is not None:
        clock = found["1.0.0"].value if "1.0.0" in found else notification.time
        assert isinstance(clock, ClockTime)
        assert clock.local == datetime.fromisoformat(stamp).replace(tzinfo=None)
    for name, value in expected.items():
        amount = found[AMSHAN_NAMES[name]].amount
        assert amount is not None, name
        assert float(amount) == value, name


def self_describing(frame: Frame) -> None:
    """Energomera puts the definitions first; each value belongs to the definition at its place.

    The expected 0.0 are the data index of each definition, which the source took for the value.
    """
    found = values(frame)
    assert set(found) == set(frame["expected"])
    assert found["0.0.42.0.0.255"].value == "EMR0222173608710"
    assert found["0.0.96.1.0.255"].value == "012415173608710"
    assert found["0.0.97.98.10.255"].value == 65535


def ciphered_push(frame: Frame) -> None:
    """A cellular device's opaque record. The source read its counter three octets too early."""
    whole = apdu_of(frame)
    notification = push.decode(whole, keys(frame))
    assert (
        notification.title.hex()
        == frame["expected"]["system_title"]
        == (push.system_title(whole).hex())
    )
    assert notification.security is not None
    assert f"'ic': {notification.security.counter}," in frame["check"]["notes"][0]
    plain = bytes.fromhex(frame["check"]["apdus"][0]["apdu"])
    assert notification.invoke_id == int.from_bytes(plain[1:5])
    assert isinstance(notification.body, bytes)
    assert plain.endswith(notification.body)
    with pytest.raises(DriverError):
        push.decode(whole[:-1] + bytes((whole[-1] ^ 1,)), keys(frame))


def bad_check(frame: Frame) -> None:
    """The transcript's FCS is wrong, so the frame must be refused whatever it seems to say."""
    with pytest.raises(RemoteProtocolError, match="FCS"):
        apdu_of(frame)


def hdlc_frame(frame: Frame) -> None:
    """No byte stuffing in frames of type 3: flags and escapes inside are data."""
    cutter = hdlc.Frames()
    cutter.feed(raw(frame))
    found = cutter.next()
    assert found is not None
    assert found.information.hex() == frame["check"]["apdus"][0]["apdu"]
    assert cutter.next() is None
    assert cutter.waiting == 1


def null_compressed(frame: Frame) -> None:
    columns = profile_buffer.decode(raw(frame), width=4, clock=0, period_seconds=3600)
    assert columns.clock is not None
    first = datetime(2019, 12, 31, 22, tzinfo=UTC)
    assert columns.clock.moments.tolist() == [
        int((first + timedelta(hours=row)).timestamp()) for row in range(4)
    ]
    assert [column.values.tolist() for column in columns.others] == [
        [6] * 4,
        [1517] * 4,
        [1620] * 4,
    ]


def first_block(frame: Frame) -> None:
    block = apdu.parse_get(raw(frame), 1, listed=False)
    assert isinstance(block, apdu.Block)
    expected = frame["expected"]
    assert (block.number, block.last) == (expected["block_number"], expected["last_block"])
    assert len(block.data) == expected["block_len"]
    rows, _ = axdr.length(block.data, 1)
    assert rows == expected["array_len"]
    # A whole number of rows fits in front of the cut; the same rows as a buffer of their own:
    width = len(b"\x02\x04\x09\x0c") + 12 + 2 + 5 + 5
    count = (len(block.data) - 4) // width
    own = b"\x01\x81" + bytes((count,)) + block.data[4 : 4 + count * width]
    columns = profile_buffer.decode(own, width=4, clock=0, period_seconds=3600)
    assert columns.others[1].values.tolist() == [1517] * count


def protected_request(frame: Frame) -> None:
    """Protecting the green book's plain request gives the green book's bytes."""
    expected = frame["expected"]
    title = bytes.fromhex(expected["system_title"])
    plain = bytes.fromhex(expected["plain"])
    counter = expected["invocation_counter"]
    assert plain == apdu.get(0, Attribute(8, Obis(0, 0, 1, 0, 0, 255), 2)).replace(
        b"\xc0\x01\xc0", b"\xc0\x01\x00"
    )
    text = GREEN_BOOK_KEYS.protect(plain, title, counter)
    assert b"\xc8" + axdr.encode_octets(text) == raw(frame)
    assert GREEN_BOOK_KEYS.unprotect(text, title)[0] == plain


def gmac(frame: Frame) -> None:
    expected = frame["expected"]
    challenge = bytes.fromhex(expected["gmac_of_challenge"])
    title = bytes.fromhex(expected["system_title"])
    found = GREEN_BOOK_KEYS.authenticate(challenge, title, expected["invocation_counter"])
    assert found == raw(frame)


def request(mechanism: Mechanism, *, ciphered: bool = False) -> Callable[[Frame], None]:
    """A client makes these and never reads them: ours writes the same octets."""

    def check(frame: Frame) -> None:
        whole = raw(frame)
        title, plain = b"", whole[-14:]
        if ciphered:
            # The user information is the initiate request, protected under the default keys.
            title = bytes.fromhex("4d4d4d0000bc614e")
            at = whole.index(bytes.fromhex("be3404322130")) + 6
            plain, header = GREEN_BOOK_KEYS.unprotect(whole[at:], title)
            assert header.counter == 0x01234567
        if ciphered:
            # It proposes a dedicated key, which this client never does: taken as it is.
            initiate = b"\x21" + axdr.encode_octets(
                GREEN_BOOK_KEYS.protect(plain, title, 0x01234567)
            )
        else:
            bits, size = int.from_bytes(plain[-5:-2]), int.from_bytes(plain[-2:])
            initiate = association.initiate_request(Conformance(bits), size)
        secret = b"12345678" if mechanism else b""
        written = Request(initiate, ciphered, mechanism, secret, title)
        assert bytes(written) == whole

    return check


def accepted(conformance: Conformance, pdu_size: int) -> Callable[[Frame], None]:
    def check(frame: Frame) -> None:
        answer = Answer.parse(raw(frame))
        granted = Granted.parse(answer.initiate)
        assert (answer.ciphered, answer.result) == (False, 0)
        assert (int(granted.conformance), granted.pdu_size) == (int(conformance), pdu_size)

    return check


def accepted_with_challenge(frame: Frame) -> None:
    answer = Answer.parse(raw(frame))
    assert (answer.result, answer.diagnostic, answer.mechanism) == (0, 14, 5)
    assert answer.challenge == b"P6wRJ21F"


def refused(kind: type[DriverError]) -> Callable[[Frame], None]:
    """A refusal, as a whole association without security meets it."""

    def check(frame: Frame) -> None:
        step = Association(Security()).open()
        next(step)
        with pytest.raises(kind):
            step.send(raw(frame))

    return check


AMSHAN_LISTS = [
    "kamstrup_no_list_1_single_phase_real_sample", "kamstrup_no_list_1_three_phase",
    "kamstrup_no_list_2_single_phase", "kamstrup_no_list_2_single_phase_real_sample",
    "kamstrup_no_list_2_three_phase", "kamstrup_se_list_real_sample",
    "kaifa_no_list_1", "kaifa_no_list_2", "kaifa_no_list_3", "kaifa_se_list",
    "aidon_no_list_1", "aidon_no_list_2", "aidon_no_list_3", "aidon_se_list",
]  # fmt: skip

CHECKS: dict[str, Callable[[Frame], None]] = {
    "dlms_parser/hdlc_iskra550": obis_values,
    "dlms_parser/hdlc_kamstrup_omnipower": raw_obis_values,
    "dlms_parser/hdlc_landis_gyr_zmf100": bad_check,
    "dlms_parser/hdlc_norway_han_1phase": obis_values,
    "dlms_parser/mbus_netz_noe_p1": obis_values,
    "dlms_parser/raw_energomera": self_describing,
    "dlms_parser/raw_salzburg_netz": obis_values,
    **{f"amshan/{name}": amshan_values for name in AMSHAN_LISTS},
    "amshan/hdlc_frame_with_escape_character_in_info": hdlc_frame,
    "amshan/hdlc_frame_with_flag_sequence_character_in_info": hdlc_frame,
    "amshan/hdlc_frame_short_info": hdlc_frame,
    "amshan/hdlc_frame_empty_info": hdlc_frame,
    "dlms-cosem/general_glo_cipher_udp": ciphered_push,
    **{f"dlms-cosem/udp_wrapper_push_{number}": ciphered_push for number in range(13)},
    "dlms-cosem/load_profile_null_compressed": null_compressed,
    "dlms-cosem/get_response_block_load_profile": first_block,
    "greenbook/glo_get_request_protected": protected_request,
    "greenbook/hls_gmac": gmac,
    "dlms-cosem/test_parse_ciphered_low_security2_60": request(Mechanism.LOW, ciphered=True),
    "dlms-cosem/test_hls_60": request(Mechanism.HIGH),
    "dlms-cosem/test_decode_60": request(Mechanism.NONE),
    "dlms-cosem/test_no_ciphering_no_security_ok_association_61": accepted(
        Conformance(0x00501F), 500
    ),
    "dlms-cosem/test_no_ciphering_no_security_app_context_name_wrong_61": refused(NotOffered),
    "dlms-cosem/test_no_cipher_no_security_incorrect_dlms_version_61": refused(MeterRefused),
    "dlms-cosem/test_no_ciher_hls_ok_61": accepted_with_challenge,
    "dlms-cosem/test_no_cipher_no_auth_conformance_61": accepted(Conformance(0x001E1D), 1224),
}

# Nothing is left for later now; a frame goes here with the reason why it is not decoded.
LEFT: dict[str, str] = {}


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_a_captured_frame_decodes_to_its_expected_values(
    name: str, frames: dict[str, Frame]
) -> None:
    CHECKS[name](frames[name])


def test_every_captured_frame_is_decoded_or_left_for_a_reason(frames: dict[str, Frame]) -> None:
    assert set(frames) == set(CHECKS) | set(LEFT)
    assert not set(CHECKS) & set(LEFT)


def test_pushed_registers_become_readings(frames: dict[str, Frame]) -> None:
    notification = push.decode(apdu_of(frames["dlms_parser/hdlc_iskra550"]))
    readings = {one.reading_type: one for one in push.registers(notification, RECEIVED)}
    assert readings["active_energy_import"].value == 261_927
    assert readings["voltage_l1"].value == 2364
    assert readings["current_l1"].value == 630
    # 21:32:35 by the meter's clock, which is two hours ahead of UTC.
    assert readings["voltage_l1"].read_at == datetime(2023, 4, 1, 19, 32, 35, tzinfo=UTC)


def test_makers_lists_become_readings(frames: dict[str, Frame]) -> None:
    frame = frames["amshan/kamstrup_no_list_2_single_phase_real_sample"]
    notification = push.decode(apdu_of(frame))
    readings = {
        one.reading_type: one.value for one in push.registers(notification, RECEIVED, deviation=-60)
    }
    assert readings["active_energy_import"] == 77_452_500
    assert readings["current_l1"] == 45_120
