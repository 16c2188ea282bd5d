"""Every decoder as a function of bytes that returns, or says what it found if it may not happen.

A target lets through what its decoder's documentation promises: a value, or one of the errors named
there. Anything else that comes out of it is a finding. Where a checksum would stop nearly all
bytes, a target also gives the decoder the same bytes with their checksum put right.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks import decode as profiles
from drivers import errors
from drivers.dlms import (
    apdu,
    association,
    axdr,
    block_transfer,
    changing,
    clock_time,
    companion,
    gateway,
    hdlc,
    hdlc_link,
    mbus,
    mode_e,
    profile,
    profile_buffer,
    push,
    push_content,
    push_layouts,
    push_stream,
    variables,
    wrapper,
)
from drivers.dlms.apdu import Attribute
from drivers.dlms.association import Conformance, Mechanism
from drivers.dlms.block_transfer import Part
from drivers.dlms.channel import Channel
from drivers.dlms.ciphering import Keys
from drivers.dlms.elliptic import PrivateKey, PublicKey
from drivers.dlms.general import Envelope, KeyInfo, KeyKind
from drivers.dlms.hdlc_parameters import Parameters
from drivers.dlms.logical_names import LogicalNames
from drivers.dlms.message_keys import MessageKeys
from drivers.dlms.objects import (
    calendar,
    checks,
    image_transfer,
    object_list,
    push_setup,
    special_days,
)
from drivers.dlms.proof import Proof
from drivers.dlms.protection import Protection
from drivers.dlms.security import Ciphering, Pairs, Security
from drivers.dlms.short_names import ShortNames
from drivers.dlms.steps import Step
from drivers.files import interval_csv, nem12
from drivers.files.parsed import Parsed
from drivers.modbus import answer, plausibility, register_map, rtu
from drivers.modbus import decode as registers
from drivers.modbus import profiles as modbus_profiles
from drivers.modbus.search import Search
from drivers.mqtt import mapping, payload, payloads
from drivers.mqtt.formats import sparkplug
from drivers.mqtt.setting import Setting
from schemas.obis import Obis

_TARGET: Final = Attribute(1, Obis(0, 0, 96, 1, 0), 2)


def _plainly(request: bytes) -> Step[bytes]:
    return (yield request)


_CHANNEL: Final = Channel(_plainly, Conformance(0xFFFFFF), room=64, divides=False)

NOW: Final = datetime(2026, 7, 1, tzinfo=UTC)
_KEYS: Final = Keys(bytes(range(16)), bytes(range(16, 32)))
_TITLE: Final = b"FUZ\x00\x00\x00\x00\x01"
_PAIR: Final = PrivateKey(1, bytes(range(32)))
_PUBLIC: Final = PublicKey(1, _PAIR.public)
_SENDER: Final = Security(
    keys=Keys(bytes(range(16)), bytes(range(16, 32)), suite=1),
    suite=1,
    master=bytes(range(16)),
    pairs=Pairs(_PAIR, _PAIR, _PUBLIC, _PUBLIC),
)
_REFUSED: Final = (errors.RemoteProtocolError, errors.MeterRefused)
_ZONE: Final = ZoneInfo("Europe/Berlin")
_TOPICS: Final = {
    "wmbusmeters/cellar": "",
    "tele/house/SENSOR": "",
    "smartmeter/flat/ACTIVE_ENERGY_P": "",
    "smartmeter/flat/power": "",
    "v3/a@t/devices/d/up": "emu-prof-ii",
    "application/a/device/24e124136b502217/event/up": "axioma-w1",
    "zigbee2mqtt/plug": "",
    "another/topic": "",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One decoder.

    Attributes
    ----------
    run : takes any bytes; an exception is a finding
    seeds : inputs from which to begin
    """

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def _axdr(data: bytes) -> None:
    value, end = axdr.decode(data)
    assert 0 < end <= len(data)
    profile.capture_objects(value)


def _objects(data: bytes) -> None:
    """Decode attributes of the objects that engineers work with; the first octet says which."""
    which, value = data[0] % 6 if data else 0, axdr.decode(data[1:])[0]
    if which == 0:
        object_list.decode(value)
    elif which == 1:
        calendar.decode(*(checks.parts(value, "calendar", object, object, object, object)))
    elif which == 2:
        special_days.decode(value)
    elif which == 3:
        push_setup.decode(0, list(checks.parts(value, "push", *[object] * 6)))
    elif which == 4:
        image_transfer._bits(value)
    else:
        image_transfer._identifications(value)


def _profile_buffer(data: bytes) -> None:
    width = data[0] % 6 + 1 if data else 1
    clock = None if width == 6 else data[0] // 8 % width if data else 0
    columns = profile_buffer.decode(data[1:], width=width, clock=clock, period_seconds=900)
    assert columns.rows <= len(data)
    for column in columns.others:
        assert len(column.values) == len(column.present) == columns.rows
    if columns.clock is not None:
        assert len(columns.clock.moments) == columns.rows


def _clock(data: bytes) -> None:
    time = clock_time.decode(data).utc(-60)
    assert time is not None


def _push(data: bytes) -> None:
    first, rest = data[:1], data[1:]
    if first == b"\x01":
        # A meter whose keys are right may still say anything.
        sealed = _KEYS.protect(rest, _TITLE, 1)
        rest = bytes((push.GENERAL_GLO_CIPHERING,)) + axdr.encode_octets(_TITLE)
        rest += axdr.encode_octets(sealed)
    push.system_title(rest)
    notification = push.decode(rest, _KEYS if first != b"\x02" else None, _TITLE)
    for one in push.values(notification):
        assert one.amount is None or one.scale is not None
    for reading in push.registers(notification, NOW, deviation=-60):
        assert abs(reading.value) < 2**63


def _general(data: bytes) -> None:
    envelope = Envelope.parse(b"\xdd" + data)
    assert Envelope.parse(bytes(envelope)) == envelope
    MessageKeys(_SENDER).incoming(envelope)


def _answers(data: bytes) -> None:
    """A meter with the right keys, or none, answers anything, in any form."""
    for ciphering in Ciphering:
        protection = Protection(replace(_SENDER, ciphering=ciphering))
        protection.title = _TITLE
        if data[:1] == b"\x01":
            protection.established()
        _allowing(lambda p=protection: p.unprotect(data[1:]), *_REFUSED)  # type: ignore[misc]
        for tag in (0xCC, 0xD4, 0x2C):
            sealed = bytes((tag,)) + axdr.encode_octets(_KEYS.protect(data[1:], _TITLE, 1))
            _allowing(lambda p=protection, s=sealed: p.unprotect(s), *_REFUSED)  # type: ignore[misc]


def _aare(data: bytes) -> None:
    answer = association.Answer.parse(data)
    for ciphering in (Ciphering.NONE, Ciphering.GLOBAL, Ciphering.GENERAL_DEDICATED):
        protection = Protection(replace(_SENDER, ciphering=ciphering))
        _allowing(lambda p=protection: p.granted(answer), *_REFUSED)  # type: ignore[misc]
    for mechanism in Mechanism:
        asking = replace(_SENDER, mechanism=mechanism, password=b"12345678")
        _allowing(
            lambda a=asking: Proof.of(a, bytes(16), answer).check(data),  # type: ignore[misc]
            *_REFUSED,
            errors.LocalProtocolError,
        )


def _push_content(data: bytes) -> None:
    """Read a push by the general decoder and by layouts: the same, or an error of both."""
    terms = push_content.Terms(companion.named("generic"), 900, -60)
    moments = np.full(4, round(NOW.timestamp() * 1e6))
    found, left = push_layouts.Layouts().read([data] * 4, [terms] * 4, moments)
    content = push_content.read(push.decode(data), terms, NOW)
    assert len(left) in {0, 4}
    for one in found:
        assert [one.names[0]] == [content.names]
        assert one.values.shape[1] == len(content.registers) + len(content.blocks)


def _push_stream(data: bytes) -> None:
    stream = push_stream.PushStream()
    for piece in _pieces(data):
        stream.feed(piece)
        while (sent := stream.next()) is not None:
            assert len(sent.apdu) <= 0xFFFF
        assert stream.waiting <= 65_543 + len(piece)
    for sent in push_stream.datagram(data):
        push.system_title(sent.apdu)


def _hdlc(data: bytes) -> None:
    _framed(hdlc.Frames(), hdlc.Apdus(), _pieces(data))
    text = data[:2000]
    size = len(text) + 4
    head = bytes((0xA0 | size >> 8, size & 0xFF))
    body = head + text
    whole = body + hdlc.check_sequence(body)
    _framed(hdlc.Frames(), hdlc.Apdus(), [b"\x7e" + whole + b"\x7e"])


_CLIENT, _SERVER = hdlc.client_address(1), hdlc.server_address(1, 17)
_MOST_TURNS: Final = 5000


def _hdlc_link(data: bytes) -> None:
    """Let a meter say anything: bytes as they are, and frames whose checks fit."""
    _linked(_pieces(data[1:]), data[:1])
    said = [
        hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, piece[0], bool(piece[1:2] > b"\x7f"), piece[2:]))
        for piece in _pieces(data[1:])
    ]
    _linked(said, data[:1])


def _linked(said: list[bytes], first: bytes) -> None:
    size = first[0] % 7 + 1 if first else 1
    parameters = Parameters(size * 16, size * 16, size, size)
    link, left = hdlc_link.Link(_CLIENT, _SERVER, parameters, 2), iter(said)
    frames = link.frames
    for talk in (link.connect(), link.exchange(bytes(40), bytes(9)), link.more()):
        output = next(talk)
        for turn in range(_MOST_TURNS):
            frames.feed(next(left, b"") if output else b"")
            try:
                output = talk.send(frames.next())
            except StopIteration:
                break
            assert turn < _MOST_TURNS - 1, "the link does not come to an end"
        assert frames.waiting <= 2048 + 4096


def _mode_e(data: bytes) -> None:
    lines = mode_e.Lines()
    for piece in _pieces(data):
        lines.feed(piece)
        while (line := lines.next()) is not None:
            _allowing(
                lambda line=line: mode_e.choice(mode_e.identified(line)),  # type: ignore[misc]
                errors.ProtocolError,
                errors.NotOffered,
            )
        assert lines.waiting <= mode_e.LONGEST_LINE


def _gateway(data: bytes) -> None:
    route = gateway.Route(data[0], data[1:3]) if data else gateway.Route(1, b"\x01")
    for said in (bytes((gateway.RESPONSE,)) + route.out(data[3:])[1:], data[3:]):
        assert len(route.back(said)) <= len(said)


def _mbus(data: bytes) -> None:
    _framed(mbus.Frames(), mbus.Apdus(), _pieces(data))
    text = data[:255]
    head = bytes((0x68, len(text), len(text), 0x68))
    _framed(mbus.Frames(), mbus.Apdus(), [head + text + bytes((sum(text) & 0xFF, 0x16))])


def _framed(
    frames: hdlc.Frames | mbus.Frames, apdus: hdlc.Apdus | mbus.Apdus, pieces: Iterable[bytes]
) -> None:
    for piece in pieces:
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            joined = apdus.join(frame)  # type: ignore[arg-type]  # the two are of one module
            assert joined is None or len(joined) <= 0xFFFF
        assert frames.waiting <= 2048 + len(piece)


def _wrapper(data: bytes) -> None:
    frames = wrapper.Frames()
    for piece in _pieces(data):
        frames.feed(piece)
        while (frame := frames.next()) is not None:
            assert wrapper.decode(wrapper.encode(frame)) == frame
        assert frames.waiting <= 0xFFFF + 8
    wrapper.decode(data)


def _pieces(data: bytes) -> list[bytes]:
    """Cut bytes as a line may deliver them."""
    return [data[at : at + 37] for at in range(0, len(data), 37)]


def _association(data: bytes) -> None:
    for parse in (association.Answer.parse, association.Granted.parse):
        _allowing(lambda parse=parse: parse(data), errors.ProtocolError)  # type: ignore[misc]


def _apdu(data: bytes) -> None:
    for listed in (False, True):
        _allowing(
            lambda listed=listed: apdu.parse_get(data, 1, listed=listed),  # type: ignore[misc]
            errors.ProtocolError,
        )
    _allowing(lambda: apdu.split_list(data, data[0] if data else 1), errors.ProtocolError)


def _changing(data: bytes) -> None:
    """Answers to SET and ACTION, as a whole exchange of an association takes them."""
    several = [(_TARGET, b"\x00"), (_TARGET, b"\x00")]
    for step in (
        LogicalNames(_CHANNEL).put(_TARGET, bytes(200), None),
        LogicalNames(_CHANNEL).put_all(several),
        LogicalNames(_CHANNEL).act(_TARGET, bytes(200)),
        LogicalNames(_CHANNEL).act_all(several),
    ):
        _answered(step, data)
    _allowing(lambda: changing.split_results(data, 2), errors.ProtocolError)
    _allowing(lambda: changing.joined_result(data), errors.ProtocolError)


def _short_names(data: bytes) -> None:
    """Answers to Read and Write, with any object list, and reports that come unasked."""
    for step in (
        ShortNames(_CHANNEL).get(_TARGET, None),
        ShortNames(_CHANNEL).put(_TARGET, bytes(200), None),
        ShortNames(_CHANNEL).act(Attribute(70, _TARGET.name, 1), b"\x0f\x00"),
    ):
        _answered(step, data)
    _allowing(lambda: variables.joined(data, data[0] if data else 1), errors.ProtocolError)
    _allowing(lambda: variables.parse_report(data), errors.ProtocolError)


def _block_transfer(data: bytes) -> None:
    """Parts in any order, to somebody who listens and to somebody who asked."""
    joiner = block_transfer.Joiner()
    for piece in _messages(data):
        try:
            whole = joiner.feed(piece)
        except errors.ProtocolError:
            continue
        assert whole is None or len(whole) <= len(data)
    transfer = block_transfer.Transfer(3)
    _answered(transfer.ask(bytes(100), 30), data)


def _answered(step: Step[object], data: bytes) -> None:
    """Answer a step with messages out of the data until it ends or there are no more."""
    try:
        next(step)
        for message in _messages(data):
            step.send(message)
    except (StopIteration, errors.ProtocolError, errors.MeterRefused):
        return
    # Nobody listens any more.
    _allowing(lambda: step.throw(errors.TimedOut("no answer")), errors.TimedOut)


def _messages(data: bytes) -> Iterator[bytes]:
    """Cut data into messages, each behind an octet of its length."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at + 1 : end]
        at = end


def _modbus(data: bytes) -> None:
    span = register_map.Span(3, 0x100, data[0] % 125 + 1 if data else 1)
    request = answer.Request(int.from_bytes(data[1:3]), 1, span)
    fault = answer.fault(data[1:], request)
    assert fault is None or isinstance(fault.error, errors.DriverError)
    assert answer.progress(data[1:])
    words = [word for (word,) in struct.iter_unpack(">H", data[: len(data) // 2 * 2])]
    for name in register_map.names():
        meter = register_map.named(name)
        for register in meter.registers.values():
            count = sum(field.span.count for field in register.fields)
            if len(words) >= count:
                value = registers.value(words[:count], register)
                assert value is None or abs(value) < 2**63
        for field in meter.identity.values():
            if len(words) >= field.span.count:
                assert registers.text(words[: field.span.count], field).isprintable()


def _modbus_tcp(data: bytes) -> None:
    """What a connection brings, in pieces, while two requests wait for their answers."""
    _asked(answer.Answers(), data)


def _modbus_rtu(data: bytes) -> None:
    """The same on a serial line, as it comes and with each frame's checksum put right."""
    _asked(rtu.Answers(), data)
    body = data[1:250]
    _asked(rtu.Answers(), data[:1] + body + rtu.crc(body))


def _asked(answers: answer.Answers | rtu.Answers, data: bytes) -> None:
    span = register_map.Span(3, 0x100, data[0] % 125 + 1 if data else 1)
    late = answer.Request(0, 2, span)
    try:
        for number in (1, 2):
            if isinstance(answers, rtu.Answers):
                answers.ask(1, span, late if number == 2 else None)
            else:
                answers.ask(1, span)
            for piece in _pieces(data[1:]):
                answers.feed(piece)
                said = answers.next()
                if isinstance(said, tuple):
                    assert len(said) == span.count
                    break
                assert said is None or isinstance(said, errors.DriverError)
            assert answers.progress()
            assert str(answers.silence(1.0))
            assert answers.waiting <= 2 * len(data)
    except errors.DriverError:
        return


def _modbus_probe(data: bytes) -> None:
    """A meter that has these words everywhere: judged by every map, and asked by every family."""
    words = [word for (word,) in struct.iter_unpack(">H", data[: len(data) // 2 * 2])] or [0]
    for name in register_map.names():
        meter = register_map.named(name)
        memory = {
            (field.span.function, at): words[(at + number) % len(words)]
            for number, field in enumerate(_fields(meter))
            for at in range(field.span.address, field.span.end)
        }
        found = plausibility.judge(meter, memory, memory)
        assert all(clue.points and clue.seen for clue in found.clues)
        assert found.serial.isprintable()
    for search in modbus_profiles.FAMILIES.values():
        _searched(search(), words)


def _fields(meter: register_map.RegisterMap) -> list[register_map.Field]:
    fields = [field for register in meter.registers.values() for field in register.fields]
    product = [meter.product.field] if meter.product else []
    return [*fields, *product, *meter.identity.values()]


def _searched(search: Search, words: list[int]) -> None:
    span = next(search)
    for turn in range(50):
        assert 0 <= span.address <= span.end <= 0x10000
        told = [words[(turn + at) % len(words)] for at in range(span.count)]
        # Now and then it has no such registers.
        sent = None if words[turn % len(words)] % 7 == 6 else told
        try:
            span = search.send(sent)
        except StopIteration:
            return
    raise AssertionError("the search does not end")


def _mqtt(data: bytes) -> None:
    for topic, name in _TOPICS.items():
        chosen = mapping.named(name) if name else None
        setting = Setting(_ZONE, chosen, {7: ("energy", 10), 9: ("power", 3)})
        found = payloads.decode(payload.Message(topic, data, NOW), setting)
        if isinstance(found, payload.Rejected):
            assert len(found.reason) < 1000
            continue
        assert all(abs(one.value) < 2**63 for one in found.readings)


def _sparkplug(data: bytes) -> None:
    edge: sparkplug.Edge | None = None
    for at, kind in enumerate(("NBIRTH", "DBIRTH", "DDATA", "NDEATH")):
        device = "/d" if kind.startswith("D") else ""
        topic = f"spBv1.0/g/{kind}/n{device}"
        where = sparkplug.address(topic)
        assert where is not None
        # Each message begins elsewhere, so that one input is a birth and its data.
        part = data[at * (data[0] if data else 0) :]
        with contextlib.suppress(payload.Malformed):
            edge, _ = sparkplug.follow(edge, where, part)
        aliases = edge.aliases.get(where.device, {}) if edge else {}
        setting = Setting(_ZONE, mapping.named("zigbee2mqtt"), aliases)
        found = payloads.decode(payload.Message(topic, part, NOW), setting)
        if isinstance(found, payload.Delivery):
            assert all(abs(one.value) < 2**63 for one in found.readings)


def _files(parse: Callable[[bytes], Parsed]) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        parsed = parse(data)
        for one in parsed.blocks:
            assert len(one.block.values) > 0
            assert one.block.start.tzinfo is not None
        assert all(len(one.value) <= 40 for one in parsed.rejected)

    return run


def _allowing(run: Callable[[], object], *kinds: type[Exception]) -> None:
    try:
        run()
    except kinds:
        return


def _only(run: Callable[[bytes], None], *kinds: type[Exception]) -> Callable[[bytes], None]:
    """Let through the errors that the decoder's documentation names, and nothing else."""
    return lambda data: _allowing(lambda: run(data), *kinds)


_COMPACT: Final = (
    bytes.fromhex("13 02 02 11 01 0003 12 04 01 000200 02 000300"),
    bytes.fromhex("13 02 03 11 01 0002 02 02 09 00 06 0a 01 0161 00000001 00 00000002"),
)


def _buffers() -> Iterable[bytes]:
    yield from (b"\x01" + one for one in _COMPACT)
    for written in profiles.FORMS.values():
        for rows in (1, 3, 40):
            yield b"\x03" + written(profiles.rows(rows, 7))


_TIME: Final = clock_time.encode(NOW, -180)
_PUSHED: Final = (
    b"\x00\x0f\x00\x00\x00\x01\x0c"
    + _TIME
    + b"\x02\x03\x0a\x05Meter\x09\x06\x01\x00\x01\x08\x00\xff"
    b"\x02\x03\x06\x00\x00\x10\x00\x0f\x00\x16\x1e"
)
_EVENT: Final = b"\x00\xc2\x00\x00\x03\x01\x00\x01\x08\x00\xff\x02\x06\x00\x00\x10\x00"
_INITIATE: Final = bytes.fromhex("0800065f1f040000181d04000007")
_AARE: Final = bytes.fromhex(
    "6129a109060760857405080101a203020100a305a103020100be10040e" + _INITIATE.hex()
)
_LISTED: Final = bytes.fromhex(
    "0f00000001000203 02020906 0000600100ff 090431323334"
    "02020906 0000010000ff 090c07ea0701030000 000000 4c00"
    "02030906 0100010800ff 0600000005 02020f00161e"
)
_FRAME: Final = bytes.fromhex("7ea00a0002040023") + b"\x13\x00\x00\x7e"
_WMBUS: Final = (
    b'{"media":"water","meter":"multical21","name":"cellar","id":"12345678",'
    b'"total_m3":12.345,"timestamp":"2026-07-01T00:00:00Z"}'
)
_SML: Final = (
    b'{"Time":"2026-07-01T02:00:00","SML":{"Total_in":1234.5,"Power_curr":99,"Meter_id":"0a"}}'
)
_SMARTMETER: Final = b'{"timestamp":1782864000,"value":1234.5,"unit":"kWh"}'
_TTS: Final = (
    b'{"end_device_ids":{"device_id":"d","application_ids":{"application_id":"a"},'
    b'"dev_eui":"24E124136B502217"},"received_at":"2026-06-30T23:00:00.1Z","uplink_message":'
    b'{"f_port":1,"frm_payload":"AA==","decoded_payload":{"timestamp":{"value":1782860000},'
    b'"ActiveEnergyImportT1":{"unit":"Wh","value":1810}}}}'
)
_CHIRPSTACK: Final = (
    b'{"time":"2026-06-30T23:00:00+00:00","deviceInfo":{"applicationId":"a",'
    b'"devEui":"24e124136b502217"},"fPort":1,"data":"AA==","object":{"timestamp_unix":1782860000,'
    b'"current_volume_m3":"6.054 m3"}}'
)
_PLUG: Final = b'{"energy":31.02,"power":-3.5,"last_seen":1782860000123}'
_SPARKPLUG: Final = bytes.fromhex(
    "0880c78fe9e8331228 0a06656e657267791007 1880c78fe9e833200a 690000000000002940"
    "120d 0a05706f776572 1009 2003 5005 1803"
)
_NEM12: Final = (
    b"100,NEM12,202607010000,A,B\n200,NMI1,E1,E1,E1,N1,SN1,kWh,30,\n300,20260601,"
    + b",".join([b"1.5"] * 48)
    + b",A,,,20260602000000,\n400,1,48,F52,71,\n500,O,S1,,\n900\n"
)


def _zipped(text: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.csv"), text)
    return memory.getvalue()


_CSV: Final = (
    b"end_device,reading_type,unit,interval_seconds,starts_at,value,quality\n"
    b"M1,active_energy_import_interval,kWh,900,2026-06-01T00:00:00Z,1.25,valid\n"
)

_OBJECTS: Final = (
    b"\x00"
    + bytes.fromhex("0101 0204 120008 1100 09060000010000ff 0202 0101 0203 0f02 1603 00")
    + bytes.fromhex("0101 0202 0f06 1601"),
    b"\x01" + bytes.fromhex("0204 090141 0100 0100 0101 0202 1101 0101 0203 090400000000")
    + bytes.fromhex("090600000a0064ff 120001"),
    b"\x02" + bytes.fromhex("0101 0203 120001 0905 ffff0219ff 1102"),
    b"\x03" + bytes.fromhex("0206 0101 0204 120003 09060100010800ff 0f02 120000")
    + bytes.fromhex("0203 1600 0900 1600")
    + bytes.fromhex("0100 120000 1100 120000"),
    b"\x04" + bytes.fromhex("0409ff80"),
    b"\x05" + bytes.fromhex("0101 0203 06000000ff 09024657 0900"),
)  # fmt: skip

_ENVELOPES: Final = tuple(
    bytes(Envelope(bytes(8), _TITLE, b"MIQ\x00\x00\x00\x00\x01", key=key, content=bytes(30)))[1:]
    for key in (
        None,
        KeyInfo(KeyKind.IDENTIFIED, 0),
        KeyInfo(KeyKind.WRAPPED, 0, bytes(24)),
        KeyInfo(KeyKind.AGREED, 1, _PAIR.public + _PAIR.sign(_PAIR.public)),
        KeyInfo(KeyKind.AGREED, 2),
    )
)
_SECURED_AARE: Final = b"\x61" + axdr.encode_octets(
    bytes.fromhex("a109060760857405080103a203020100a305a10302010ea40a0408")
    + _TITLE
    + bytes.fromhex("88020780890760857405080205aa0a8008")
    + bytes(8)
    + b"\xbe\x23\x04\x21\x28\x1f"
    + Keys(bytes(range(16)), bytes(range(16, 32)), suite=1).protect(_INITIATE, _TITLE, 1)
)

# An association's object list of one object, read by its short name.
_LISTED: Final = bytes.fromhex("0c0100 0101 0204 108000 120001 1100 0906 0000600100ff")


def _several(*messages: bytes) -> bytes:
    return b"".join(bytes((len(message),)) + message for message in messages)


TARGETS: Final[Mapping[str, Target]] = {
    "axdr": Target(
        _only(_axdr, errors.ProtocolError),
        (bytes.fromhex("0203060000000109020102170102030404 0408f0"), *_COMPACT),
    ),
    "objects": Target(_only(_objects, errors.ProtocolError), _OBJECTS),
    "profile_buffer": Target(_only(_profile_buffer, errors.ProtocolError), tuple(_buffers())),
    "clock_time": Target(_only(_clock, errors.ProtocolError), (_TIME,)),
    "push": Target(
        _only(_push, errors.ProtocolError, errors.MeterRefused),
        (_PUSHED, b"\x01" + _PUSHED[1:], _EVENT, b"\x01" + _EVENT[1:]),
    ),
    "push_content": Target(
        _only(_push_content, errors.ProtocolError, errors.MeterRefused), (_PUSHED, _LISTED, _EVENT)
    ),
    "push_stream": Target(
        _only(_push_stream, errors.ProtocolError),
        (wrapper.encode(wrapper.Frame(1, 1, _PUSHED)), b"\x7e\xa0\x07\x03\x21\x93\x0f\x01\x7e"),
    ),
    "hdlc": Target(
        _only(_hdlc, errors.ProtocolError), (_FRAME, b"\x03\x03\x13\x00\x00\xe6\xe7\x00")
    ),
    "hdlc_link": Target(
        _only(_hdlc_link, errors.LinkError, errors.ProtocolError),
        (
            b"\x03"
            + hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, 0x73, False, b"")).ljust(37, b"\x7e")
            + hdlc.encode(hdlc.Frame(_CLIENT, _SERVER, 0x30, False, b"\xe6\xe7\x00\xc4")),
            b"\x01\x73\x00".ljust(38, b"\x00") + b"\x30\x00\xe6\xe7\x00\xc4\x01",
        ),
    ),
    "mode_e": Target(
        _only(_mode_e), (mode_e.sign_on("1"), b"/ISK5\\2MT372\r\n", b"/ABB4TYPE1\r\n")
    ),
    "gateway": Target(
        _only(_gateway, errors.ProtocolError), (b"\x01\x00\x01\xe7\x01\x02\x00\x01\xc4\x01\xc1",)
    ),
    "wrapper": Target(
        _only(_wrapper, errors.ProtocolError), (wrapper.encode(wrapper.Frame(1, 1, b"\xc4")),)
    ),
    "association": Target(_association, (_AARE, _INITIATE)),
    "apdu": Target(
        _apdu, (b"\xc4\x01\xc1\x00\x11\x05", b"\xc7\x01\xc1\x00\x01\x00\x00", b"\x01\x00\x00")
    ),
    "general": Target(_only(_general, *_REFUSED), _ENVELOPES),
    "answers": Target(
        _answers, (b"\x01\xc4\x01\xc1\x00\x11\x05", *(b"\x01\xdd" + one for one in _ENVELOPES))
    ),
    "secured_association": Target(_only(_aare, *_REFUSED), (_SECURED_AARE, _AARE)),
    "changing": Target(
        _changing,
        tuple(
            _several(*answers)
            for answers in (
                (b"\xc5\x02\xc1\x00\x00\x00\x01", b"\xc5\x03\xc1\x00\x00\x00\x00\x02"),
                (b"\xc5\x05\xc1\x02\x00\x03",),
                (b"\xc7\x04\xc1\x00\x00\x00\x01", b"\xc7\x01\xc1\x00\x01\x00\x11\x05"),
                (b"\xc7\x02\xc1\x01\x00\x00\x00\x01\x02\x11\x05",),
                (b"\xc7\x03\xc1\x02\x00\x01\x00\x11\x05\x00\x01\x01\x03",),
            )
        ),
    ),
    "short_names": Target(
        _short_names,
        (
            _several(_LISTED, b"\x0c\x01\x00\x11\x05"),
            _several(
                _LISTED,
                b"\x0c\x01\x02\x00\x00\x01\x02\x01\x00",
                b"\x0c\x01\x02\x01\x00\x02\x02\x11\x05",
            ),
            _several(_LISTED, b"\x0d\x01\x02\x00\x01", b"\x0d\x01\x00"),
            _several(_LISTED, b"\x0c\x01\x01\x03"),
            b"\x18\x00\x01\x02\xfa\x08\x01\x11\x05",
        ),
    ),
    "block_transfer": Target(
        _block_transfer,
        tuple(
            _several(*map(bytes, parts))
            for parts in (
                [Part(n == 3, n < 3, 2, n, 0, b"abc") for n in (1, 2, 3)],
                [Part(False, False, 2, 1, 1, b""), Part(True, False, 2, 2, 4, b"abc")],
            )
        ),
    ),
    "mbus": Target(
        _only(_mbus, errors.ProtocolError),
        (bytes.fromhex("6806066853ff100167 00ca16"), b"\x53\xff\x10\x01\x67\x0f"),
    ),
    "modbus": Target(_modbus, (b"\x02\x00\x01\x00\x00\x00\x07\x01\x03\x04\x00\x01\x00\x02",)),
    "modbus_tcp": Target(
        _modbus_tcp,
        (
            b"\x01\x00\x01\x00\x00\x00\x07\x01\x03\x04\x00\x01\x00\x02",
            b"\x01\x00\x01\x00\x00\x00\x03\x01\x83\x02",
        ),
    ),
    "modbus_rtu": Target(
        _modbus_rtu,
        (
            b"\x01\x01\x03\x04\x00\x01\x00\x02" + rtu.crc(b"\x01\x03\x04\x00\x01\x00\x02"),
            b"\x01\x01\x83\x02" + rtu.crc(b"\x01\x83\x02"),
            b"\x01\x02\x03\x04\x00\x01\x00\x02" + rtu.crc(b"\x02\x03\x04\x00\x01\x00\x02"),
        ),
    ),
    "modbus_probe": Target(
        _modbus_probe,
        (
            struct.pack(">8H", 0x5375, 0x6E53, 203, 105, 0xFFFF, 0, 0x4366, 0x0000),
            struct.pack(">4H", 0x4366, 0x0000, 0x4248, 0x0000),
        ),
    ),
    "mqtt": Target(_mqtt, (_WMBUS, _SML, _SMARTMETER, _TTS, _CHIRPSTACK, _PLUG)),
    "sparkplug": Target(_sparkplug, (_SPARKPLUG, b"\x1c" + _SPARKPLUG)),
    "nem12": Target(_files(nem12.parse), (_NEM12, _zipped(_NEM12))),
    "interval_csv": Target(_files(interval_csv.parse), (_CSV,)),
}
"""Every decoder by its name."""
