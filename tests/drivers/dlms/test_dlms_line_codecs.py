"""What lines need beside frames: HDLC addresses and sizes, mode E, the gateway's prefix."""

from __future__ import annotations

import pytest
from gurux_dlms._HDLCInfo import _HDLCInfo
from gurux_dlms.GXDLMS import GXDLMS
from gurux_dlms.secure import GXDLMSSecureClient
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import gateway, hdlc, hdlc_parameters, mode_e
from drivers.dlms.gateway import Route
from drivers.dlms.hdlc import Frame, ResilientFrames
from drivers.dlms.hdlc_parameters import Parameters
from drivers.errors import LocalProtocolError, NotOffered, ProtocolError, RemoteProtocolError

ADDRESSES = st.sampled_from([b"\x03", b"\x21", b"\x02\x23", b"\x00\x02\x7e\xff"])
FRAMES = st.builds(
    Frame, ADDRESSES, ADDRESSES, st.integers(0, 255), st.booleans(), st.binary(max_size=300)
)
# IEC 62056-46, Green Book's example of a set-up with other sizes than usual.
PRINTED = bytes.fromhex("81801205018006018007040000000108040000 0001".replace(" ", ""))


def found(frames: ResilientFrames, *pieces: bytes) -> list[Frame]:
    came = []
    for piece in pieces:
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            came += [frame] if frame is not hdlc.DAMAGED else []
    return came


@given(st.lists(FRAMES, min_size=1, max_size=4), st.integers(1, 40))
def test_what_is_written_is_read(written: list[Frame], size: int) -> None:
    line = b"".join(map(hdlc.encode, written))
    pieces = [line[at : at + size] for at in range(0, len(line), size)]
    resilient = ResilientFrames()
    assert found(resilient, *pieces) == written
    assert resilient.damaged == resilient.noise == 0
    strict = hdlc.Frames()
    strict.feed(line)
    assert [strict.next() for _ in written] == written


@given(FRAMES, st.data(), st.binary(max_size=40).filter(lambda noise: b"\x7e" not in noise))
def test_a_damaged_frame_is_left_out_and_the_next_one_is_not(
    frame: Frame, data: st.DataObject, noise: bytes
) -> None:
    whole = bytearray(hdlc.encode(frame))
    whole[data.draw(st.integers(1, len(whole) - 2))] ^= data.draw(st.integers(1, 255))
    after = Frame(b"\x03", b"\x21", 0x73, segmented=False, information=b"")
    # What a damaged length says of the frame's end is not believed beyond the header's check.
    came = found(ResilientFrames(), noise, bytes(whole), hdlc.encode(after), hdlc.encode(after))
    assert came[-1:] == [after]
    assert frame not in came or frame == after


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_noise_is_never_an_error_and_never_kept(pieces: list[bytes]) -> None:
    frames = ResilientFrames()
    found(frames, *pieces)
    assert frames.waiting <= 2048 + 1


def test_a_frame_has_2047_octets_at_most() -> None:
    frame = Frame(b"\x03", b"\x21", 0x10, segmented=False, information=bytes(2038))
    assert len(hdlc.encode(frame)) == 2047 + 2
    with pytest.raises(LocalProtocolError, match="too long"):
        hdlc.encode(Frame(b"\x03", b"\x21", 0x10, segmented=False, information=bytes(2039)))


@pytest.mark.parametrize(
    ("logical", "physical", "size"),
    [(1, None, 1), (0x7F, None, 1), (1, 16, 2), (1, 0x7F, 2), (1, 0x3FFF, 4), (0x1234, 5, 4)],
)
def test_server_addresses_are_those_of_gurux(logical: int, physical: int | None, size: int) -> None:
    both = logical if physical is None else GXDLMSSecureClient.getServerAddress(logical, physical)
    expected = bytes(GXDLMS.getAddressBytes(both, size))
    assert hdlc.server_address(logical, physical) == expected
    assert hdlc.server_address(logical, physical, size) == expected


def test_addresses_that_do_not_fit_are_our_error() -> None:
    for logical, physical, size in ((128, None, None), (1, 200, 2), (1 << 14, 1, 4), (1, 1, 1)):
        with pytest.raises(LocalProtocolError):
            hdlc.server_address(logical, physical, size)
    with pytest.raises(LocalProtocolError):
        hdlc.client_address(128)


def test_sizes_are_written_as_printed_and_as_gurux_reads_them() -> None:
    assert hdlc_parameters.encode(Parameters()) == b""
    asked = hdlc_parameters.encode(Parameters(128, 128, 1, 7))
    assert asked[:-1] == PRINTED[:-1]
    assert asked[-1] == 7
    assert asked[3] == _HDLCInfo.MAX_INFO_TX


def test_the_meter_s_sending_is_our_receiving() -> None:
    proposed = Parameters(1024, 1024, 4, 4)
    said = bytes.fromhex("81800e 050200c8 060180 070401000000 08040000 0002".replace(" ", ""))
    assert hdlc_parameters.agreed(proposed, said) == Parameters(128, 200, 2, 4)
    assert hdlc_parameters.agreed(proposed, b"") == Parameters()


@given(st.binary(max_size=40))
def test_any_answer_gives_sizes_or_a_protocol_error(said: bytes) -> None:
    proposed = Parameters(1024, 1024, 4, 4)
    for information in (said, b"\x81\x80" + said):
        try:
            got = hdlc_parameters.agreed(proposed, information)
        except RemoteProtocolError:
            continue
        assert 1 <= got.information_out <= 1024
        assert 1 <= got.window_in <= 4


def test_mode_e_as_the_standard_prints_it() -> None:
    assert mode_e.sign_on() == bytes(b | (b.bit_count() & 1) << 7 for b in b"/?!\r\n")
    lines = mode_e.Lines()
    lines.feed(mode_e.sign_on("12")[:3])
    assert lines.next() is None
    lines.feed(mode_e.sign_on("12")[3:] + b"/ISK5\\2MT372\r\n")
    assert [lines.next(), lines.next(), lines.next()] == ["/?12!", "/ISK5\\2MT372", None]
    meter = mode_e.identified("/ISK5\\2MT372")
    assert meter == mode_e.Identification("ISK", "5", "MT372")
    assert meter.baud == 9600
    assert bytes(b & 0x7F for b in mode_e.choice(meter)) == b"\x06252\r\n"


def test_a_line_with_a_wrong_parity_bit_is_none() -> None:
    lines = mode_e.Lines()
    damaged = bytearray(mode_e.sign_on())
    damaged[1] ^= 0x40
    lines.feed(bytes(damaged) + mode_e.sign_on())
    assert [lines.next(), lines.next()] == ["/?!", None]


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_any_characters_are_an_identification_or_an_error(pieces: list[bytes]) -> None:
    lines = mode_e.Lines()
    for piece in pieces:
        lines.feed(piece)
        while (line := lines.next()) is not None:
            try:
                assert mode_e.identified(line).baud <= 19200
            except (ProtocolError, NotOffered):
                continue
        assert lines.waiting <= mode_e.LONGEST_LINE


def test_a_meter_without_hdlc_is_told() -> None:
    with pytest.raises(NotOffered, match="mode E"):
        mode_e.identified("/ISK5MT174-0001")
    for line in ("", "/ISK", "ISK5\\2x", "/I1K5\\2x"):
        with pytest.raises(RemoteProtocolError):
            mode_e.identified(line)


@given(st.integers(0, 255), st.binary(min_size=1, max_size=20), st.binary(max_size=50))
def test_a_gateway_s_prefix_comes_off_again(network: int, device: bytes, apdu: bytes) -> None:
    route = Route(network, device)
    sent = route.out(apdu)
    assert sent[0] == gateway.REQUEST
    assert route.back(bytes((gateway.RESPONSE,)) + sent[1:]) == apdu
    with pytest.raises(RemoteProtocolError, match="through the gateway"):
        route.back(bytes((gateway.RESPONSE, network ^ 1)) + sent[2:])


def test_what_comes_without_a_prefix_is_the_gateway_s_own_word() -> None:
    route = Route(0, b"\x01")
    assert route.back(b"\xd8\x01\x01") == b"\xd8\x01\x01"
    for strange in (b"", b"\xc4\x01", b"\xe7\x00"):
        with pytest.raises(RemoteProtocolError):
            route.back(strange)
    assert Route().out(b"\xc0") == Route().back(b"\xc0") == b"\xc0"
