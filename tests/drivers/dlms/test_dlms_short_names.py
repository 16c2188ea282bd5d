"""Referencing by short names: the same services over the object list of the association."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gurux_dlms.enums import ObjectType
from gurux_dlms.GXDLMS import GXDLMS
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlms import axdr, clock_time, short_names, variables
from drivers.dlms.apdu import Attribute, Block, Entries, Range
from drivers.dlms.association import Conformance
from drivers.dlms.engine import PROPOSED_SHORT, Association
from drivers.dlms.objects import object_list
from drivers.dlms.refusals import Refusal
from drivers.dlms.security import Security
from drivers.dlms.variables import Taken
from drivers.errors import AccessDenied, DriverError, MeterRefused, NotOffered, RemoteProtocolError
from schemas.obis import Obis
from tests.drivers.dlms import secured
from tests.drivers.dlms.meter_script import Meter, run
from tests.drivers.dlms.simulated import ECHO, NOTE, SECURITY, Talk

PROFILE = Attribute(7, Obis(1, 0, 99, 1, 0), 2)
SERIAL = Attribute(1, Obis(0, 0, 96, 1, 0), 2)
NOTHING = Attribute(1, Obis(9, 9, 9, 9, 9), 2)
ENERGY = Attribute(3, Obis(1, 0, 1, 8, 0), 2)
RECONNECT = Attribute(70, Obis(0, 0, 96, 3, 10), 2)
STATE = Attribute(70, Obis(0, 0, 96, 3, 10), 3)


def octets(text: bytes) -> bytes:
    return axdr.encode_octet_string(text)


LONG = octets(bytes(range(256)) * 4)


@pytest.mark.parametrize("security", SECURITY)
@pytest.mark.parametrize("settings", [{}, {"window": 4}])
@pytest.mark.parametrize("pdu_size", [128, 1024])
def test_every_service_works_as_by_logical_names(
    security: str, settings: dict[str, int], pdu_size: int
) -> None:
    by_name = Talk(security, options={"pdu_size": pdu_size})
    talk = Talk(security, options={"pdu_size": pdu_size}, short_names=True, **settings)
    wanted = [SERIAL, NOTHING, ENERGY, NOTE]
    for attribute in (PROFILE, SERIAL, ENERGY):
        expected = by_name.run(by_name.association.get(attribute))
        assert talk.run(talk.association.get(attribute)) == expected
    changes = [(NOTE, LONG), (SERIAL, b"\x00"), (NOTHING, b"\x00"), (NOTE, octets(b"end"))]
    for one in (by_name, talk):
        results = one.run(one.association.set_all(changes))
        assert [refusal and refusal.result for refusal in results] == [None, 3, 4, None]
        one.run(one.association.set(NOTE, LONG))
    values = talk.run(talk.association.get_all(wanted))
    assert values == by_name.run(by_name.association.get_all(wanted))
    assert values[1] == Refusal(4)
    assert all(len(apdu) <= pdu_size for apdu in talk.sent[1:])


@pytest.mark.parametrize("name", secured.CIPHERED)
def test_every_ciphering_and_mechanism_works(name: str) -> None:
    line = secured.Line(name)
    talk = Talk((line.model.meter, line.security), short_names=True)
    assert talk.run(talk.association.get(SERIAL)) == octets(line.model.meter.mrid.encode())
    talk.run(talk.association.set(NOTE, LONG))
    assert talk.run(talk.association.get(NOTE)) == LONG


def test_a_wrong_secret_is_found_by_short_names_too() -> None:
    line = secured.Line("hls-md5", told={"password": b"nonsense"})
    with pytest.raises(MeterRefused, match="challenge"):
        Talk((line.model.meter, line.security), short_names=True)


@pytest.mark.parametrize("form", ["listed", "bare"])
def test_blocks_hold_all_results_or_one_value_alone(form: str) -> None:
    talk = Talk(options={"pdu_size": 256, "short_name_blocks": form}, short_names=True)
    rows = axdr.decode(talk.run(talk.association.get(PROFILE)))[0]
    assert len(rows) == 384


def test_rows_are_selected_by_time_and_by_number() -> None:
    talk = Talk(short_names=True)
    assert talk.association.offers(Conformance.SELECTIVE_ACCESS)
    whole = axdr.decode(talk.run(talk.association.get(PROFILE)))[0]
    rows = axdr.decode(talk.run(talk.association.get(PROFILE, Entries(3, 5, 3, 4))))[0]
    assert rows == [row[2:4] for row in whole[2:5]]
    first, last = (clock_time.decode(whole[row][0]).utc() for row in (4, 8))
    assert first is not None
    assert last is not None
    wanted = Range(Attribute(8, Obis(0, 0, 1, 0, 0), 2), first, last)
    rows = axdr.decode(talk.run(talk.association.get(PROFILE, wanted)))[0]
    assert rows == whole[4:9]


VIEW = Attribute(15, Obis(0, 0, 40, 0, 0), 2)


def test_the_view_of_the_association_is_the_one_by_logical_names() -> None:
    by_name, talk = Talk(), Talk(short_names=True)
    expected = {
        (class_id, name): (attributes, methods)
        for class_id, _, name, (attributes, methods) in axdr.decode(
            by_name.run(by_name.association.get(VIEW))
        )[0]
        if class_id != 15
    }
    found = {
        (class_id, name): (attributes, methods)
        for class_id, _, name, (attributes, methods) in axdr.decode(
            talk.run(talk.association.get(VIEW))
        )[0]
        if class_id != 12
    }
    assert found.keys() == expected.keys()
    for key, (attributes, methods) in expected.items():
        assert [one[:2] for one in found[key][0]] == [one[:2] for one in attributes]
        assert found[key][1] == methods
    assert object_list.decode(axdr.decode(talk.run(talk.association.get(VIEW)))[0])


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (b"\x0c\x01\x01\x03", [(1, 1), (2, 1)]),
        (b"\x0c\x01\x00" + bytes.fromhex("0101 0203 108000 0101 0203 0f02 1603 00 0100"), [(2, 3)]),
    ],
)
def test_without_access_rights_what_a_class_has_is_taken_for_readable(
    rights: bytes, expected: list[tuple[int, int]]
) -> None:
    association, meter = held(lambda _: rights)
    ((class_id, _, name, (attributes, _)),) = axdr.decode(run(association.get(VIEW), meter))[0]
    assert (class_id, name) == (1, bytes(SERIAL.name))
    assert [one[:2] for one in attributes] == expected


@pytest.mark.parametrize("wrong", ["0101 1105", "0101 0203 108000 0101 1105 0100"])
def test_access_rights_that_are_none_are_an_error(wrong: str) -> None:
    association, meter = held(lambda _: b"\x0c\x01\x00" + bytes.fromhex(wrong))
    with pytest.raises(RemoteProtocolError, match="access right"):
        run(association.get(VIEW), meter)


def test_a_method_is_found_by_its_class() -> None:
    talk = Talk(short_names=True)
    before = talk.run(talk.association.get(STATE))
    disconnect = Attribute(RECONNECT.class_id, RECONNECT.name, 1)
    assert talk.run(talk.association.action(disconnect, b"\x0f\x00")) is None
    assert talk.run(talk.association.get(STATE)) != before


def test_a_method_whose_place_is_not_known_is_not_guessed() -> None:
    talk = Talk(short_names=True)
    with pytest.raises(NotOffered, match="class 32768"):
        talk.run(talk.association.action(ECHO, b"\x0f\x00"))
    with pytest.raises(NotOffered, match="undefined"):
        talk.run(talk.association.action(NOTHING, b"\x0f\x00"))


def test_the_object_list_is_read_once_and_other_objects_are_undefined() -> None:
    talk = Talk(short_names=True)
    before = talk.exchanges
    for _ in range(3):
        talk.run(talk.association.get(ENERGY))
    first = talk.exchanges - before
    talk.run(talk.association.get(ENERGY))
    assert talk.exchanges - before == first + 1
    with pytest.raises(NotOffered, match="undefined"):
        talk.run(talk.association.get(NOTHING))
    assert talk.exchanges - before == first + 1


def test_the_public_client_goes_by_short_names_too() -> None:
    talk = Talk("hls-gmac", client=16, short_names=True)
    with pytest.raises(AccessDenied):
        talk.run(talk.association.get(ENERGY))


def test_a_meter_that_enters_with_the_other_referencing_is_an_error() -> None:
    meter = Meter(ciphered=False)
    with pytest.raises(RemoteProtocolError, match="other referencing"):
        run(Association(Security(), short_names=True).open(), meter)


OBJECTS = axdr.encode_sequence(
    axdr.ARRAY,
    axdr.encode_sequence(
        axdr.STRUCTURE,
        b"\x10\x80\x00",
        b"\x12\x00\x01",
        b"\x11\x00",
        octets(bytes(SERIAL.name)),
    ),
)


class ShortMeter(Meter):
    """A meter that enters an association by short names and has one object."""

    def aare(self) -> bytes:
        return super().aare().replace(b"\x08\x01\x01\xa2", b"\x08\x01\x02\xa2")

    def reply(self, request: bytes) -> bytes:
        if request == bytes.fromhex("050102fa08"):
            return b"\x0c\x01\x00" + OBJECTS
        return super().reply(request)


def held(
    answer: Callable[[bytes], bytes], granted: Conformance = PROPOSED_SHORT, pdu_size: int = 64
) -> tuple[Association, Meter]:
    meter = ShortMeter(ciphered=False, answer=answer, conformance=granted, pdu_size=pdu_size)
    association = Association(Security(), short_names=True)
    run(association.open(), meter)
    return association, meter


def test_base_names_have_sixteen_bits_without_sign() -> None:
    association, meter = held(lambda _: b"\x0c\x01\x00\x11\x07")
    assert run(association.get(SERIAL), meter) == b"\x11\x07"
    assert meter.asked == [bytes.fromhex("0501028008")]


def block(number: int, data: bytes, *, last: bool) -> bytes:
    return bytes((0x0C, 1, 2, last)) + number.to_bytes(2) + axdr.encode_octets(data)


@pytest.mark.parametrize(
    ("answers", "kind", "why"),
    [
        ([b"\x0c\x01\x01\x03"], AccessDenied, "denied"),
        ([b"\x0c\x02\x00\x11\x07\x00\x11\x07"], RemoteProtocolError, "1 variables"),
        ([b"\xc4\x01\xc1\x00\x11\x07"], RemoteProtocolError, "begins 0xc4"),
        ([b"\x0d\x01\x00"], RemoteProtocolError, "begins 0x0d"),
        ([b"\x0c\x01\x03\x00\x01"], RemoteProtocolError, "more than there is"),
        ([b"\x0c\x01\x09\x00\x01"], RemoteProtocolError, "no result"),
        ([b"\x0e\x05\x02\x00"], MeterRefused, "service error"),
        ([block(2, b"ab", last=False)], RemoteProtocolError, "block 2"),
        ([block(1, b"ab", last=False)] * 2, RemoteProtocolError, "block 1"),
        ([block(1, b"", last=False)], RemoteProtocolError, "empty"),
        ([block(1, b"ab", last=False), b"\x0c\x01\x01\x0f"], MeterRefused, "aborted"),
        ([block(1, b"ab", last=False), b"\x0c\x01\x00\x11\x07"], RemoteProtocolError, "without"),
    ],
)
def test_an_answer_to_a_read_that_is_none_says_why(
    answers: list[bytes], kind: type[DriverError], why: str
) -> None:
    told = iter(answers)
    association, meter = held(lambda _: next(told))
    with pytest.raises(kind, match=why):
        run(association.get(SERIAL), meter)


@pytest.mark.parametrize(
    ("answers", "kind", "why"),
    [
        ([b"\x0d\x01\x02\x00\x02"], RemoteProtocolError, "takes block 2"),
        ([b"\x0d\x01\x02\x00\x01"] * 2, RemoteProtocolError, "takes block 1"),
        ([b"\x0d\x01\x00"], RemoteProtocolError, "done before"),
        ([b"\x0d\x01\x01\x13"], MeterRefused, "block number invalid"),
        ([b"\x0c\x01\x00\x00"], RemoteProtocolError, "begins 0x0c"),
        ([b"\x0d\x01\x05"], RemoteProtocolError, "no result"),
    ],
)
def test_a_long_write_that_goes_wrong_says_how(
    answers: list[bytes], kind: type[DriverError], why: str
) -> None:
    told = iter(answers)
    association, meter = held(lambda _: next(told))
    with pytest.raises(kind, match=why):
        run(association.set(SERIAL, octets(bytes(200))), meter)


def test_blocks_without_end_are_refused() -> None:
    numbers = iter(range(1, 1000))
    association, meter = held(lambda _: block(next(numbers), bytes(60_000), last=False))
    with pytest.raises(RemoteProtocolError, match="more than"):
        run(association.get(SERIAL), meter)


@pytest.mark.parametrize(
    "objects",
    [
        b"\x11\x05",
        b"\x01\x01\x11\x05",
        b"\x01\x01\x02\x04\x10\x80\x00\x12\x00\x01\x11\x00\x09\x01\x00",
    ],
)
def test_an_object_list_that_is_none_is_an_error(objects: bytes) -> None:
    association, meter = held(lambda _: b"")
    meter.reply = lambda _: b"\x0c\x01\x00" + objects  # type: ignore[method-assign]
    with pytest.raises(RemoteProtocolError, match="object"):
        run(association.get(SERIAL), meter)


def test_a_meter_without_the_service_is_not_asked() -> None:
    association, meter = held(lambda _: b"", granted=Conformance.READ)
    with pytest.raises(NotOffered, match="WRITE"):
        run(association.set(SERIAL, b"\x00"), meter)
    assert not meter.asked


def test_without_parameters_in_reads_a_method_is_written() -> None:
    association, meter = held(
        lambda _: b"\x0d\x01\x00", granted=Conformance.READ | Conformance.WRITE
    )
    objects = OBJECTS.replace(b"\x12\x00\x01", b"\x12\x00\x46")
    original = meter.reply
    meter.reply = lambda request: original(request).replace(OBJECTS, objects)  # type: ignore[method-assign]
    method = Attribute(70, SERIAL.name, 2)
    assert run(association.action(method, b"\x0f\x00"), meter) is None
    assert meter.asked == [bytes.fromhex("060102 8028 01 0f00")]


RESULT = st.one_of(
    st.binary(max_size=20).map(octets), st.sampled_from([Refusal(3), Refusal(4), Refusal(250)])
)


def written(results: list[bytes | Refusal]) -> bytes:
    return axdr.encode_length(len(results)) + b"".join(
        bytes((1, one.result)) if isinstance(one, Refusal) else b"\x00" + one for one in results
    )


@given(st.lists(RESULT, min_size=1, max_size=150))
def test_results_are_read_as_they_were_written_alone_or_joined(
    results: list[bytes | Refusal],
) -> None:
    whole = written(results)
    assert variables.parse_read(b"\x0c" + whole, len(results)) == results
    if len(results) > 1 or isinstance(results[0], bytes):
        assert variables.joined(whole, len(results)) == results
    if len(results) > 1:
        for end in range(1, len(whole)):
            with pytest.raises(RemoteProtocolError):
                variables.parse_read(b"\x0c" + whole[:end], len(results))


@given(st.binary(max_size=60), st.integers(1, 4))
def test_garbage_is_a_result_or_an_error_of_ours(garbage: bytes, count: int) -> None:
    for head in (b"", b"\x0c", b"\x0d", b"\x0c\x01\x02", b"\x18", b"\x18\x00"):
        for parse in (
            lambda data: variables.parse_read(data, count),
            lambda data: variables.parse_write(data, count),
            variables.parse_report,
        ):
            try:
                found = parse(head + garbage)
            except RemoteProtocolError:
                continue
            assert isinstance(found, list | Block | Taken | variables.Report)


STAMP = bytes.fromhex("07ea070103000000ff80000000"[:24])


@pytest.mark.parametrize(
    ("head", "has_time"),
    [
        (b"\x18\x00", False),
        (b"\x18\x01\x0c" + STAMP, True),
        (b"\x18\x0c" + STAMP, True),
        (b"\x18\x01\x0f20260701000000Z", False),
    ],
)
def test_an_information_report_is_read_with_and_without_a_time(head: bytes, has_time: bool) -> None:
    body = bytes.fromhex("02 02fa00 028008 02 1107 0902abcd".replace("02 02fa00", "0202fa00"))
    report = variables.parse_report(head + body)
    assert report.values == ((0xFA00, 7), (0x8008, b"\xab\xcd"))
    assert (report.time is not None) is has_time
    for end in range(len(head + body)):
        with pytest.raises(RemoteProtocolError):
            variables.parse_report((head + body)[:end])


def test_an_unconfirmed_write_is_written_as_a_write_with_its_own_tag() -> None:
    request = variables.write([variables.name(0xFA00)], [b"\x11\x07"], confirmed=False)
    assert request == bytes.fromhex("160102fa00011107")


@pytest.mark.parametrize(
    "class_id",
    [
        ObjectType.SCRIPT_TABLE, ObjectType.SPECIAL_DAYS_TABLE, ObjectType.ASSOCIATION_SHORT_NAME,
        ObjectType.IMAGE_TRANSFER, ObjectType.ACTIVITY_CALENDAR, ObjectType.PUSH_SETUP,
        ObjectType.IP4_SETUP, ObjectType.SECURITY_SETUP, ObjectType.DISCONNECT_CONTROL,
    ],
)  # fmt: skip
def test_methods_stand_where_gurux_looks_for_them(class_id: ObjectType) -> None:
    """Of other classes gurux overwrites what it knows with what it knows of the next."""
    place, count = [0], [0]
    GXDLMS.getActionInfo(class_id, place, count)
    assert short_names.METHODS[int(class_id)][1] == place[0]
