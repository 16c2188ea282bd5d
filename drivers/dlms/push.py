"""What a meter sends unasked: data notifications and event notifications, ciphered or not.

References
----------
IEC 62056-5-3:2017, clause 8 (DataNotification, EventNotificationRequest, General-Glo-Ciphering,
General-Ciphering).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from drivers.dlms import axdr, clock_time, push_lists, readout, scaling, variables
from drivers.dlms.apdu import Attribute
from drivers.dlms.ciphering import Header, Keys
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.general import GENERAL_CIPHERING, Envelope, KeyKind
from drivers.dlms.general import GENERAL_GLO as GENERAL_GLO_CIPHERING
from drivers.dlms.message_keys import MessageKeys
from drivers.dlms.push_lists import PushList, ScalerUnit
from drivers.dlms.security import Security
from drivers.errors import RemoteProtocolError, WrongKey
from schemas import reading_type
from schemas.obis import Obis
from schemas.reading import RegisterReading
from schemas.reading_type import ReadingType

DATA_NOTIFICATION: Final = 0x0F
DATA_NOTIFICATION_CONFIRM: Final = 0x10
EVENT_NOTIFICATION: Final = 0xC2
GLO_EVENT_NOTIFICATION: Final = 0xCA
GLO_INFORMATION_REPORT: Final = 0x38
_CIPHERED: Final = frozenset(
    {GENERAL_GLO_CIPHERING, GENERAL_CIPHERING, GLO_EVENT_NOTIFICATION, GLO_INFORMATION_REPORT}
)
_PLAIN: Final = frozenset(
    bytes((tag,)) for tag in (DATA_NOTIFICATION, EVENT_NOTIFICATION, variables.INFORMATION_REPORT)
)
# Of the first octet of a long invoke id and priority.
_CONFIRMED: Final = 0x40
_ELECTRICITY: Final = 1
_CLOCK: Final = (1, 0)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification, its protection taken off.

    Attributes
    ----------
    invoke_id : long invoke id and priority of a data notification, None for an event
    time : when the meter sent it, None if it does not say
    attribute : what an event notification reports, None for a data notification
    body : the value or values
    title : the sender's system title, empty if it did not come
    security : security header, None if it came unprotected
    short_names : of the values of an information report, which names no objects otherwise
    """

    invoke_id: int | None
    time: ClockTime | None
    attribute: Attribute | None
    body: axdr.Value
    title: bytes = b""
    security: Header | None = None
    short_names: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pushed:
    """One value of a notification.

    Attributes
    ----------
    name : OBIS code, None if the list does not say and nothing is known of it
    value : number, text, ``ClockTime``, or whatever else it is
    scale : scaler and DLMS unit, None if neither the list nor what is known of it says
    meaning : reading type, None if it has none here
    raw : value as it was written, octets and all
    """

    name: Obis | None
    value: axdr.Value
    scale: ScalerUnit | None = None
    meaning: ReadingType | None = None
    raw: axdr.Value = None

    @property
    def amount(self) -> Decimal | None:
        """The scaled number in the DLMS unit, None if it is no number or has no scale."""
        value = self.value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.scale is None or not is_number or not math.isfinite(value):
            return None
        return Decimal(str(value)).scaleb(self.scale[0])


def decode(apdu: bytes, keys: Keys | Security | None = None, title: bytes = b"") -> Notification:
    """Read a notification.

    Parameters
    ----------
    keys : the sender's keys, if it protects what it sends; its security, if no less protection
        than agreed is to be taken, or the message names its own key
    title : the sender's system title, where the APDU does not bring it

    Raises
    ------
    WrongKey
        if it is protected and no key is given, or the key does not fit.
    RemoteProtocolError
        if the bytes are no notification, or protected less than the sender's security says.
    """
    sender = Security(keys=keys, policy=0, suite=keys.suite) if isinstance(keys, Keys) else keys
    if is_ciphered(apdu):
        return _unprotected(apdu, sender, title)
    if sender is not None and sender.ciphered and sender.policy:
        raise RemoteProtocolError(
            "the notification is unprotected, and its sender protects what it sends"
        )
    return _plain(apdu, title, None)


def opened(
    apdu: bytes, sender: Security, title: bytes = b"", named: MessageKeys | None = None
) -> tuple[bytes, Header]:
    """Take the protection off a ciphered notification; give it plain, and its security header.

    Parameters
    ----------
    title : the sender's system title, where the APDU does not bring it
    named : the keys that the sender's messages named before

    Raises
    ------
    WrongKey
        if there is no key, or it does not fit.
    RemoteProtocolError
        if the bytes are no ciphered notification.
    """
    if sender.keys is None:
        raise WrongKey("the notification is ciphered and the sender's keys are not known")
    tag = apdu[0] if apdu else -1
    if tag == GENERAL_CIPHERING:
        envelope = Envelope.parse(apdu)
        keys = (named or MessageKeys(sender)).incoming(envelope)
        plain, header = keys.unprotect(envelope.content, envelope.sender, envelope.header)
    elif tag in _CIPHERED:
        at = 1
        if tag == GENERAL_GLO_CIPHERING:
            title, at = axdr.octets(apdu, 1)
        plain, header = sender.keys.unprotect(axdr.octets(apdu, at)[0], title)
    else:
        raise RemoteProtocolError(f"0x{apdu[:1].hex()} begins no ciphered notification")
    if plain[:1] not in _PLAIN:
        # Without authentication a wrong key shows only by the nonsense that comes out.
        raise WrongKey(
            f"what the notification decrypts to is none (it begins 0x{plain[:1].hex()}); "
            "check the encryption key"
        )
    return plain, header


def is_ciphered(apdu: bytes) -> bool:
    """Tell whether a notification is protected."""
    return apdu[:1] != b"" and apdu[0] in _CIPHERED


def is_counted(apdu: bytes) -> bool:
    """Tell whether a ciphered notification is under a key whose invocation counter goes on.

    A key that comes with the message, or is agreed for it, begins to count anew.
    """
    if apdu[:1] != bytes((GENERAL_CIPHERING,)):
        return True
    key = Envelope.parse(apdu).key
    return key is None or key.kind is KeyKind.IDENTIFIED


def wants_confirmation(plain: bytes) -> bool:
    """Tell whether a plain data notification asks for a confirmation (service class, bit 30)."""
    return len(plain) > 5 and plain[0] == DATA_NOTIFICATION and bool(plain[1] & _CONFIRMED)


def confirmation(plain: bytes) -> bytes:
    """Write the confirmation of a plain data notification."""
    return bytes((DATA_NOTIFICATION_CONFIRM,)) + plain[1:5] + b"\x00"


def protected(apdu: bytes, keys: Keys, title: bytes, counter: int) -> bytes:
    """Write an APDU of ours under general-glo-ciphering, authenticated and encrypted.

    Parameters
    ----------
    title : our own system title
    counter : invocation counter, used never before with these keys and title
    """
    text = keys.protect(apdu, title, counter)
    head = bytes((GENERAL_GLO_CIPHERING,)) + axdr.encode_octets(title)
    return head + axdr.encode_octets(text)


def system_title(apdu: bytes) -> bytes:
    """Give the sender's system title, which says whose keys are needed; empty if there is none."""
    if apdu[:1] == bytes((GENERAL_CIPHERING,)):
        return Envelope.parse(apdu).sender
    if apdu[:1] != bytes((GENERAL_GLO_CIPHERING,)):
        return b""
    return axdr.octets(apdu, 1)[0]


def values(notification: Notification) -> list[Pushed]:
    """Give every value of a notification with its name and scale, as far as they are known."""
    if notification.attribute is not None:
        return [_named(notification.attribute.name, notification.body)]
    body = notification.body
    if defined := _definitions(body):
        return [_named(name, value) for name, value in zip(defined, body, strict=False)]
    found = list(_scan(body if isinstance(body, list | tuple) else [body]))
    facts = push_lists.identified(_identifier(found))
    size = len(body) if isinstance(body, list | tuple) else 1
    names = iter(facts.values.get(size, ()))
    return [_completed(one, facts, names) for one in found if one.value is not None]


def registers(
    notification: Notification,
    received_at: datetime,
    *,
    deviation: int | None = None,
    scales: Mapping[Obis, ScalerUnit] | None = None,
) -> list[RegisterReading]:
    """Give the register values of a notification that have a reading type and a scale.

    Parameters
    ----------
    received_at : for meters that do not say when they sent it
    deviation : of a meter that does not write its own, from local time to UTC [min]
    scales : scaler and unit (attribute 3) of registers, for lists that come without
    """
    pushed = values(notification)
    clock = sent_at(notification, pushed)
    at = (clock.utc(deviation) if clock else None) or received_at
    readings = []
    for one in pushed:
        if one.name is None or one.meaning is None or not isinstance(one.value, int | float):
            continue
        scale = one.scale or (scales or {}).get(one.name)
        if scale is not None:
            value, code = scaling.scale(scale, one.meaning).integer(one.value)
            readings.append(RegisterReading(one.meaning.name, at, value, code))
    return readings


def sent_at(notification: Notification, pushed: Sequence[Pushed]) -> ClockTime | None:
    """Give the meter's time of what it sent: of the clock among the values, else of the message."""
    for one in pushed:
        is_clock = one.name is not None and (one.name.c, one.name.d) == _CLOCK
        if is_clock and isinstance(one.value, ClockTime):
            return one.value
    return notification.time


def _unprotected(apdu: bytes, sender: Security | None, title: bytes) -> Notification:
    plain, header = opened(apdu, sender or Security(), title)
    if sender is not None and header.control & sender.policy != sender.policy:
        raise RemoteProtocolError(
            f"the notification is protected too weakly: security control 0x{header.control:02x}"
        )
    try:
        return _plain(plain, system_title(apdu) or title, header)
    except RemoteProtocolError as error:
        raise WrongKey(
            f"what the notification decrypts to is none ({error}); check the encryption key"
        ) from None


def _plain(apdu: bytes, title: bytes, header: Header | None) -> Notification:
    tag = apdu[0] if apdu else -1
    if tag == DATA_NOTIFICATION and len(apdu) > 5:
        time, at = _time(apdu, 5)
        body, _ = axdr.decode(apdu, at)
        return Notification(int.from_bytes(apdu[1:5]), time, None, body, title, header)
    if tag == EVENT_NOTIFICATION and len(apdu) > 2:
        time, at = _time(apdu, 2) if apdu[1] else (None, 2)
        if at + 9 > len(apdu):
            raise RemoteProtocolError("an event notification is cut off")
        attribute = Attribute(
            int.from_bytes(apdu[at : at + 2]), Obis.from_bytes(apdu[at + 2 : at + 8]), apdu[at + 8]
        )
        body, _ = axdr.decode(apdu, at + 9)
        return Notification(None, time, attribute, body, title, header)
    if tag == variables.INFORMATION_REPORT:
        report = variables.parse_report(apdu)
        body = tuple(value for _, value in report.values)
        shorts = tuple(short for short, _ in report.values)
        return Notification(None, report.time, None, body, title, header, shorts)
    raise RemoteProtocolError(f"0x{apdu[:1].hex()} begins no notification")


def _time(apdu: bytes, at: int) -> tuple[ClockTime | None, int]:
    """Read the optional date-time; some meters put the tag of an octet-string before it."""
    if apdu[at : at + 2] == bytes((axdr.OCTET_STRING, clock_time.SIZE)):
        at += 1
    text, at = axdr.octets(apdu, at)
    return (_clock(text) if text else None), at


def _clock(text: bytes) -> ClockTime | None:
    """Read a date-time; a date-time with wildcards says nothing about when."""
    try:
        return clock_time.decode(text)
    except RemoteProtocolError:
        return None


def _scan(items: Sequence[axdr.Value]) -> Iterator[Pushed]:
    """Give values with the names and scales that stand beside them, however they are nested."""
    at = 0
    while at < len(items):
        item = items[at]
        if _is_name(item) and at + 1 < len(items):
            value, scale = items[at + 1], _scale(items[at + 2] if at + 2 < len(items) else None)
            yield Pushed(Obis.from_bytes(item), _readable(value), scale, raw=value)
            at += 2 if scale is None else 3
            continue
        if isinstance(item, list | tuple):
            yield from _scan(item)
        else:
            yield Pushed(None, _readable(item), raw=item)
        at += 1


def _is_name(item: axdr.Value) -> bool:
    return isinstance(item, bytes) and len(item) == 6 and item[5] == 0xFF


def _scale(item: axdr.Value) -> ScalerUnit | None:
    match item:
        case (int(scaler), int(unit)) if -40 <= scaler <= 40 and 0 <= unit <= 0xFF:
            return scaler, unit
        case _:
            return None


def _definitions(body: axdr.Value) -> list[Obis]:
    """Read the definitions (push object list) that some meters put first; empty if none stand."""
    first = body[0] if isinstance(body, tuple) and body else None
    if not isinstance(first, list):
        return []
    names = []
    for entry in first:
        match entry:
            case (int(), bytes(name), int(), int(), *_) if len(name) == 6:
                names.append(Obis.from_bytes(name))
            case _:
                return []
    return names


def _identifier(found: Sequence[Pushed]) -> str:
    first = found[0].value if found else None
    return first if isinstance(first, str) else ""


def _completed(one: Pushed, facts: PushList, names: Iterator[Obis]) -> Pushed:
    name = one.name if one.name is not None else next(names, None)
    if name is None:
        return one
    scale, own = one.scale, name
    if name.a == _ELECTRICITY and name.b == facts.channel:
        own = replace(name, b=0)
        scale = scale or facts.scales.get((name.c, name.d))
    return Pushed(name, one.value, scale, reading_type.of_obis(own), one.raw)


def _named(name: Obis, value: axdr.Value) -> Pushed:
    return Pushed(name, _readable(value), meaning=reading_type.of_obis(name), raw=value)


def _readable(value: axdr.Value) -> axdr.Value:
    """Give octets as the time or the text that they are, if they are."""
    if not isinstance(value, bytes):
        return value.strip("\x00 ") if isinstance(value, str) else value
    if len(value) == clock_time.SIZE and (time := _clock(value)) is not None:
        return time
    stripped = value.strip(b"\x00")
    is_text = stripped.isascii() and stripped.decode("ascii").isprintable()
    return readout.text(value) if is_text else value
