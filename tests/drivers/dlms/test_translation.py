import pytest

from drivers.dlms import association, translation, wrapper
from drivers.dlms.association import Conformance, Mechanism, Request
from drivers.dlms.block_transfer import Part
from drivers.errors import RemoteProtocolError

GET = bytes.fromhex("c001c100010000010000ff0200")


def test_a_request_is_told_as_xml() -> None:
    xml = translation.as_xml(GET)
    assert "<GetRequestNormal>" in xml
    assert '<InstanceId Value="0000010000FF" />' in xml


def test_passwords_and_keys_are_not_shown() -> None:
    password, key = b"s3cret-1", bytes(range(16))
    request = association.initiate_request(Conformance.GET, 0xFFFF, key)
    aarq = bytes(Request(request, mechanism=Mechanism.LOW, secret=password))
    xml = translation.as_xml(aarq)
    assert '<CallingAuthentication Value="…" />' in xml
    assert '<DedicatedKey Value="…" />' in xml
    assert password.hex() not in xml.lower()
    assert key.hex() not in xml.lower()


def test_a_wrapper_is_taken_off_first() -> None:
    framed = wrapper.encode(wrapper.Frame(1, 16, GET))
    assert translation.as_xml(framed) == translation.as_xml(GET)


@pytest.mark.parametrize("frame", [b"", b"\xff\x00\x01", b"\x7e\xa0", b"\x00\x01\x00\x01\x00"])
def test_what_is_no_frame_is_refused_in_words(frame: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        translation.as_xml(frame)


def test_parts_are_joined_and_a_part_alone_is_shown_as_one() -> None:
    push = b"\x0f\x00\x00\x00\x01\x00\x09\x03abc"
    parts = [Part(False, True, 1, 1, 0, push[:5]), Part(True, False, 1, 2, 0, push[5:])]
    frames = [wrapper.encode(wrapper.Frame(1, 16, bytes(part))) for part in parts]
    assert "<DataNotification>" in translation.as_xml(b"".join(frames))
    assert '<BlockNumber Value="0001" />' in translation.as_xml(frames[0])
