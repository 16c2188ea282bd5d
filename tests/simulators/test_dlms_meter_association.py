"""The simulated meter's end of an association, byte by byte, without a network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import dlms_association, dlms_codec, dlms_wrapper, fleet, keys
from simulators.clock import Clock
from simulators.dlms_desk import Desk
from simulators.dlms_model import DlmsModel
from simulators.dlms_security import Suite, Undecipherable
from simulators.line import HangUp

CLIENT = b"TST\0\0\0\0\1"
INITIATE = bytes.fromhex("01000000065f1f0400001e1dffff")
GET_REGISTER = bytes.fromhex("c001c1 0003 0100010800ff 02 00")
GET_PROFILE = bytes.fromhex("c001c1 0007 0100630100ff 02 00")
NEXT = bytes.fromhex("c002c1")
AARQ_OPEN = bytes.fromhex("601da109060760857405080101be10040e01000000065f1f0400001e1dffff")

FLEET = fleet.load("small")


def frame(apdu: bytes, *, client: int = 1, server: int = 1) -> bytes:
    ports = client.to_bytes(2, "big") + server.to_bytes(2, "big")
    return b"\0\1" + ports + len(apdu).to_bytes(2, "big") + apdu


class Talk:
    """A client's end."""

    def __init__(self, mrid: str = "M00001", model: DlmsModel | None = None) -> None:
        self.model = model or DlmsModel(FLEET.meter(mrid))
        self.association = dlms_wrapper.Talk(Desk([self.model], Clock(FLEET.now)))

    def ask(self, apdu: bytes, *, client: int = 1, server: int = 1) -> bytes:
        answer = self.association.receive(frame(apdu, client=client, server=server))
        return answer[8:]


class Secured(Talk):
    """A client's end with keys."""

    def __init__(self, model: DlmsModel | None = None, counter: int = 0) -> None:
        super().__init__("M00007", model)
        meter = self.model.meter
        self.suite = Suite(CLIENT, keys.of(meter, "encryption"), keys.of(meter, "authentication"))
        self.counter = counter

    def sealed(self, tag: int, plain: bytes) -> bytes:
        self.counter += 1
        body = self.suite.sealed(plain, self.counter)
        return bytes((tag,)) + dlms_codec.length(len(body)) + body

    def opened(self, apdu: bytes) -> bytes:
        reader = dlms_codec.Reader(apdu[1:])
        return self.suite.opened(reader.take(reader.length()), self.model.title)[0]

    def aarq(self) -> bytes:
        information = self.sealed(0x21, INITIATE)
        body = bytes.fromhex("a109060760857405080103")
        body += b"\xa6\x0a\x04\x08" + CLIENT + bytes.fromhex("8a0207808b0760857405080205")
        body += b"\xac\x0a\x80\x08CHALLENG"
        body += bytes((0xBE, len(information) + 2, 4, len(information))) + information
        return bytes((0x60, len(body))) + body

    def associate(self) -> bytes:
        """Associate; give the answer to the proof."""
        answer = self.ask(self.aarq())
        assert answer[0] == 0x61
        challenge = answer[answer.index(b"\xaa\x12\x80\x10") + 4 :][:16]
        self.counter += 1
        return self.prove(self.suite.proof(challenge, self.counter))

    def prove(self, proof: bytes) -> bytes:
        action = bytes.fromhex("c301c1 000f 0000280000ff 01 01") + dlms_codec.octets(proof)
        return self.opened(self.ask(self.sealed(0xCB, action)))

    def get(self, plain: bytes) -> bytes:
        return self.ask(self.sealed(0xC8, plain))


def test_open_association_answers_a_register() -> None:
    talk = Talk()
    aare = talk.ask(AARQ_OPEN)
    assert aare[:2] == bytes((0x61, len(aare) - 2))
    assert bytes.fromhex("a203020100a305a103020100") in aare
    value = talk.ask(GET_REGISTER)
    assert value[:4] == bytes.fromhex("c401c100")
    assert int.from_bytes(value[5:], "big") == talk.model.meter.register_at(
        "active_energy_import", FLEET.now
    )
    assert talk.ask(bytes.fromhex("6203800100")) == bytes.fromhex("6303800100")
    assert talk.ask(GET_REGISTER)[:2] == bytes.fromhex("d801"), "released: no service"


def test_frames_may_come_in_any_pieces() -> None:
    stream = frame(AARQ_OPEN) + frame(GET_PROFILE) + frame(NEXT + bytes(3) + b"\1")
    whole = Talk().association.receive(stream)
    for size in (1, 3, 8, 50):
        talk = Talk().association
        parts = [talk.receive(stream[at : at + size]) for at in range(0, len(stream), size)]
        assert b"".join(parts) == whole


@given(st.binary(max_size=200))
def test_garbage_is_answered_or_hung_up(garbage: bytes) -> None:
    for talk in (Talk(), Secured()):
        talk.ask(AARQ_OPEN)
        answer = talk.ask(garbage)
        assert len(answer) < 4096
        try:
            talk.association.receive(garbage)
        except HangUp:
            assert garbage[:2] != b"\0\1"


@given(st.integers(0, len(GET_PROFILE) * 8 - 1), st.integers(0, len(AARQ_OPEN) * 8 - 1))
def test_flipped_bits_are_answered(in_get: int, in_aarq: int) -> None:
    def flipped(data: bytes, bit: int) -> bytes:
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    talk = Talk()
    assert talk.ask(flipped(AARQ_OPEN, in_aarq))[0] in (0x61, 0x63, 0x0E, 0xD8)
    talk.ask(AARQ_OPEN)
    assert talk.ask(flipped(GET_PROFILE, in_get))


def test_blocks_keep_to_the_negotiated_size_and_end() -> None:
    talk = Talk()
    talk.ask(AARQ_OPEN.replace(b"\xff\xff", b"\x00\x80"))
    answer, data, number = talk.ask(GET_PROFILE), b"", 1
    for _ in range(1000):
        assert len(answer) <= 128
        assert answer[:3] == bytes.fromhex("c402c1")
        assert int.from_bytes(answer[4:8], "big") == number
        data += answer[10:] if answer[9] < 0x80 else answer[11:]
        if answer[3]:
            break
        answer = talk.ask(NEXT + number.to_bytes(4, "big"))
        number += 1
    assert number > 10
    rows = dlms_codec.Reader(data).value()
    assert isinstance(rows, list)
    assert len(rows) == 4 * 96


def test_wrong_block_number_ends_the_transfer() -> None:
    talk = Talk()
    talk.ask(AARQ_OPEN)
    talk.ask(GET_PROFILE)
    assert talk.ask(NEXT + (7).to_bytes(4, "big"))[8:] == bytes((1, 19))
    assert talk.ask(NEXT + (1).to_bytes(4, "big"))[8:] == bytes((1, 16))


@pytest.mark.parametrize(
    ("request_hex", "result"),
    [
        ("c001c1 0003 0100090900ff 02 00", "c401c1 01 04"),  # no such object
        ("c001c1 0003 0100010800ff 09 00", "c401c1 01 03"),  # no such attribute
        ("c001c1 0007 0100630100ff 02 01 01 00", "c401c1 01 0c"),  # a range that is none
        ("c001c1 0007 0100630100ff 02 01 03 02 00", "c401c1 01 0c"),  # unknown selector
        ("c101c1 0001 0000600100ff 02 00 00", "c501c1 03"),  # nobody writes the serial number
        ("c301c1 000f 0000280000ff 01 00", "c701c1 03 00"),  # no method without a challenge
        ("c302c1", "d8 02 02"),  # not understood
        ("ff", "d8 02 02"),
        ("", "d8 02 02"),
        ("c8 05 30 00000001", "d8 02 02"),  # ciphered, where nothing is
    ],
)
def test_what_cannot_be_answered_says_why(request_hex: str, result: str) -> None:
    talk = Talk()
    talk.ask(AARQ_OPEN)
    assert talk.ask(bytes.fromhex(request_hex)) == bytes.fromhex(result)


def test_another_server_does_not_answer_and_another_client_starts_anew() -> None:
    talk = Talk()
    talk.ask(AARQ_OPEN)
    assert talk.ask(GET_REGISTER, server=2) == b""
    assert talk.ask(GET_REGISTER, client=16)[:1] == b"\xd8"
    assert talk.ask(AARQ_OPEN, client=7)[0] == 0x61
    assert bytes.fromhex("a203020101") in talk.ask(AARQ_OPEN, client=7)
    talk.ask(AARQ_OPEN, client=16)
    counter = bytes.fromhex("c001c1 0001 00002b0100ff 02 00")
    assert talk.ask(counter, client=16)[:5] == bytes.fromhex("c401c10006")
    assert talk.ask(GET_REGISTER, client=16) == bytes.fromhex("c401c10103")


def test_old_dlms_and_tiny_pdus_are_refused_by_name() -> None:
    assert Talk().ask(AARQ_OPEN.replace(b"\x06\x5f", b"\x05\x5f")) == bytes.fromhex("0e010601")
    assert Talk().ask(AARQ_OPEN.replace(b"\xff\xff", b"\x00\x0b")) == bytes.fromhex("0e010603")


def test_open_client_is_refused_by_a_secured_meter() -> None:
    answer = Talk("M00007").ask(AARQ_OPEN)
    assert bytes.fromhex("a203020101a305a103020102") in answer, "context not supported"
    answer = Talk("M00004").ask(AARQ_OPEN)
    assert bytes.fromhex("a203020101a305a10302010b") in answer, "mechanism not recognised"


def test_secured_association_and_a_register() -> None:
    talk = Secured()
    proof = talk.associate()
    assert proof[:6] == bytes.fromhex("c701c1000100")
    assert talk.suite.proves(proof[8:], b"CHALLENG", talk.model.title)
    value = talk.get(GET_REGISTER)
    assert value[0] == 0xCC
    assert talk.opened(value)[:4] == bytes.fromhex("c401c100")
    assert int.from_bytes(value[3:7], "big") == 4, "each answer has its own counter"


def test_nothing_is_served_before_the_proof() -> None:
    talk = Secured()
    talk.ask(talk.aarq())
    assert talk.get(GET_REGISTER) == bytes.fromhex("d80101")
    assert talk.ask(GET_REGISTER) == bytes.fromhex("d80101")


def test_wrong_proof_is_refused() -> None:
    talk = Secured()
    talk.ask(talk.aarq())
    talk.counter += 1
    answer = talk.prove(talk.suite.proof(b"another challenge", talk.counter))
    assert answer == bytes.fromhex("c701c1 0d 00")
    assert talk.get(GET_REGISTER) == bytes.fromhex("d80101")


def test_plain_requests_are_refused_in_a_ciphered_association() -> None:
    talk = Secured()
    talk.associate()
    assert talk.ask(GET_REGISTER) == bytes.fromhex("d80101")


def test_repeated_frame_is_refused_with_the_counter_that_is_expected() -> None:
    talk = Secured()
    talk.associate()
    request = talk.sealed(0xC8, GET_REGISTER)
    assert talk.ask(request)[0] == 0xCC
    expected = (talk.counter + 1).to_bytes(4, "big")
    assert talk.ask(request) == bytes.fromhex("d80106") + expected


def test_counters_outlive_the_connection() -> None:
    talk = Secured()
    talk.associate()
    again = Secured(talk.model, counter=0)
    assert again.ask(again.aarq())[:3] == bytes.fromhex("d80106")
    later = Secured(talk.model, counter=talk.counter)
    assert later.associate()[3] == 0


def test_changed_byte_does_not_decipher() -> None:
    talk = Secured()
    talk.associate()
    request = bytearray(talk.sealed(0xC8, GET_REGISTER))
    request[-15] ^= 1
    assert talk.ask(bytes(request)) == bytes.fromhex("d80105")


def test_wrong_key_refuses_the_association() -> None:
    talk = Secured()
    talk.suite = Suite(CLIENT, bytes(16), talk.suite.authentication)
    assert bytes.fromhex("a203020101a305a10302010d") in talk.ask(talk.aarq())
    assert talk.model.accepted_counter == 0, "a counter that nobody proved is not taken"


def test_ciphering_follows_the_green_book_example() -> None:
    """Green Book ed. 8, table 29: a glo-get-request authenticated and encrypted."""
    suite = Suite(
        bytes.fromhex("4D4D4D0000BC614E"),
        bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
        bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
    )
    plain = bytes.fromhex("C0010000080000010000FF0200")
    sealed = bytes.fromhex("3001234567 411312FF935A47566827C467BC 7D825C3BE4A77C3FCC056B6B")
    assert suite.sealed(plain, 0x01234567) == sealed
    assert suite.opened(sealed, suite.title) == (plain, 0x01234567, 0x30)
    with pytest.raises(Undecipherable):
        suite.opened(sealed[:-1], suite.title)


def test_proof_follows_the_green_book_example() -> None:
    """Green Book ed. 8, table 31: HLS5-GMAC, the client's answer f(StoC)."""
    suite = Suite(
        bytes.fromhex("4D4D4D0000000001"),
        bytes.fromhex("000102030405060708090A0B0C0D0E0F"),
        bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"),
    )
    proof = suite.proof(b"P6wRJ21F", 1)
    assert proof == bytes.fromhex("1000000001 1A52FE7DD3E72748973C1E28")
    assert suite.proves(proof, b"P6wRJ21F", suite.title)
    assert not suite.proves(proof, b"P6wRJ21G", suite.title)


GARBAGE_HEADS = [
    b"", b"\x05", b"\x05\x01\x02", b"\x05\x01\x04\xfa\x08", b"\x05\x01\x06",
    b"\x06\x01\x02\xfa\x08", b"\x06\x01\x07", b"\x16\x01", b"\xc0", b"\xc1\x01\xc1",
    b"\xc1\x02\xc1", b"\xc1\x03\xc1", b"\xc1\x04\xc1\x02", b"\xc3\x01\xc1",
    b"\xc3\x03\xc1\x01", b"\xc3\x06\xc1", b"\xe0", b"\xe0\x80",
]  # fmt: skip


@given(st.sampled_from(GARBAGE_HEADS), st.binary(max_size=60), st.booleans())
def test_garbage_in_every_service_is_answered(head: bytes, garbage: bytes, short: bool) -> None:
    model = DlmsModel(FLEET.meter("M00001"))
    association = dlms_association.Association(model, Clock(FLEET.now))
    aarq = AARQ_OPEN.replace(bytes.fromhex("00001e1d"), bytes.fromhex("00fffffd"))
    if short:
        aarq = aarq.replace(bytes.fromhex("60857405080101"), bytes.fromhex("60857405080102"))
    assert association.answers(1, aarq)[0][0] == 0x61
    for _ in range(2):
        for answer in association.answers(1, head + garbage):
            assert 0 < len(answer) < 4096
