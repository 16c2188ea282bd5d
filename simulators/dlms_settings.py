"""Objects of the simulated meters that clients act on: clock, switch, keys, firmware image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives import keywrap

from simulators import dlms_codec, dlms_state, dlms_time, keys
from simulators.dlms_apdu import Access, Selection
from simulators.dlms_codec import Data, Malformed
from simulators.dlms_model import EVENT_CODE, FRAUD_CODE, SWITCH_CODE, DlmsModel
from simulators.dlms_object import Act, CosemObject, Read, Refused, Write, cosem
from simulators.line import HangUp

CLOCK_BEFORE, CLOCK_AFTER = 4, 5
FIRMWARE_READY, FIRMWARE_ACTIVATED, FIRMWARE_WRONG = 17, 18, 51
KEYS_CHANGED, WRONG_KEY = 48, 49
ARMED, REMOTE_DISCONNECTION, REMOTE_CONNECTION, SWITCH_FAILED = 59, 62, 63, 68
"""Event codes that IDIS meters note in their logs."""

_LONGEST_SHIFT: Final = 900
_KEYS: Final = {0: "encryption", 1: "broadcast", 2: "authentication", 3: "master"}
_LARGEST_IMAGE: Final = 1 << 20


def fixed(value: bytes) -> Read:
    """Make an attribute that never changes."""
    return lambda _model, _now, _selection: value


def shown(write: Callable[[DlmsModel], bytes]) -> Read:
    """Make an attribute that depends on the meter's state alone."""
    return lambda model, _now, _selection: write(model)


def number(value: Data, most: int) -> int:
    """Give a whole number from 0 up to some most."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Malformed(f"{value!r} is no number 0 … {most}")
    return value


def _clock_time(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
    return dlms_codec.octets(model.clock(now))


def _set_clock(model: DlmsModel, now: int, value: bytes) -> None:
    octets = dlms_codec.whole(value)
    if not isinstance(octets, bytes):
        raise Malformed("a clock is set to a date-time")
    _move_clock(model, now, dlms_time.moment(octets, model.meter.time_zone) - model.believed(now))


def _shift(model: DlmsModel, now: int, parameters: bytes | None) -> None:
    seconds = dlms_codec.whole(parameters or dlms_codec.NULL)
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise Malformed("a clock is shifted by seconds")
    if not -_LONGEST_SHIFT <= seconds <= _LONGEST_SHIFT:
        raise Refused(Access.OTHER)
    _move_clock(model, now, seconds)


def _move_clock(model: DlmsModel, now: int, seconds: int) -> None:
    model.log(EVENT_CODE, CLOCK_BEFORE, now)
    model.clock_correction += seconds
    model.log(EVENT_CODE, CLOCK_AFTER, now)


def _zone(model: DlmsModel, now: int, _selection: Selection | None) -> bytes:
    """Write the deviation of the normal time; the meter's zones here have no other."""
    written = model.clock(now)
    return dlms_codec.long(int.from_bytes(written[9:11], "big", signed=True))


def _output(model: DlmsModel) -> bytes:
    return dlms_codec.boolean(model.switch.output)


def _disconnect(model: DlmsModel, now: int, _parameters: bytes | None) -> None:
    if not model.switch.disconnect():
        raise Refused(Access.DENIED)
    model.log(SWITCH_CODE, REMOTE_DISCONNECTION, now)


def _reconnect(model: DlmsModel, now: int, _parameters: bytes | None) -> None:
    """Close or arm; the option ``switch = "stays_open"`` lets the contacts stick."""
    sticks = model.meter.options.get("switch") == "stays_open"
    if not model.switch.reconnect(sticks=sticks):
        raise Refused(Access.DENIED)
    armed = model.switch.state == dlms_state.READY
    failed = not armed and not model.switch.output
    event = SWITCH_FAILED if failed else ARMED if armed else REMOTE_CONNECTION
    model.log(SWITCH_CODE, event, now)


def _set_mode(model: DlmsModel, _now: int, value: bytes) -> None:
    model.switch.mode = number(dlms_codec.whole(value), 6)


def _transfer_keys(model: DlmsModel, now: int, parameters: bytes | None) -> None:
    """Take wrapped keys, all or none.

    Option ``key_answer``: with ``"lost"`` they are taken and the connection is cut without an
    answer, with ``"request_lost"`` it is cut before they are; option ``key_answers_lost`` says how
    often, once if it is not there.
    """
    entries = dlms_codec.whole(parameters or dlms_codec.NULL)
    if not isinstance(entries, list) or not entries:
        raise Malformed("keys come in an array")
    lost = None
    if model.answers_lost < int(model.meter.options.get("key_answers_lost", 1)):
        lost = model.meter.options.get("key_answer")
        model.answers_lost += 1
    if lost == "request_lost":
        raise HangUp("the request is lost")
    new = dict(_unwrapped(model, now, entry) for entry in entries)
    model.change_keys(new)
    model.log(EVENT_CODE, KEYS_CHANGED, now)
    if lost == "lost":
        raise HangUp("the answer is lost")


def _unwrapped(model: DlmsModel, now: int, entry: Data) -> tuple[str, bytes]:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], bytes):
        raise Malformed("a key is its number and itself, wrapped")
    name = _KEYS[number(entry[0], 3)]
    try:
        key = keywrap.aes_key_unwrap(model.key("master"), entry[1])
    except (keywrap.InvalidUnwrap, ValueError):
        model.log(FRAUD_CODE, WRONG_KEY, now)
        raise Refused(Access.OTHER) from None
    if len(key) != len(model.key(name)):
        raise Refused(Access.OTHER)
    return name, key


def _initiate(model: DlmsModel, _now: int, parameters: bytes | None) -> None:
    announced = _two(parameters)
    identifier, size = announced
    if not isinstance(identifier, bytes):
        raise Malformed("an image has an identifier")
    if not model.image.enabled:
        raise Refused(Access.DENIED)
    if not 1 <= number(size, 1 << 32) <= _LARGEST_IMAGE:
        raise Refused(Access.OTHER)
    model.image.block_size = int(model.meter.options.get("image_block", 256))
    model.image.initiate(identifier, number(size, 1 << 32))


def _take_block(model: DlmsModel, _now: int, parameters: bytes | None) -> None:
    at, block = _two(parameters)
    image = model.image
    place = number(at, 1 << 32)
    if image.status != dlms_state.INITIATED or place >= image.count:
        raise Refused(Access.OTHER)
    wanted = min(image.block_size, image.size - place * image.block_size)
    if not isinstance(block, bytes) or len(block) != wanted:
        raise Refused(Access.OTHER)
    image.blocks[place] = block


def _two(parameters: bytes | None) -> tuple[Data, Data]:
    given = dlms_codec.whole(parameters or dlms_codec.NULL)
    if not isinstance(given, list) or len(given) != 2:
        raise Malformed("two parameters are wanted")
    return given[0], given[1]


def _verify(model: DlmsModel, now: int, _parameters: bytes | None) -> None:
    """Check the image; option ``image_verify = 3`` needs as many looks at the status for that."""
    if model.image.status == dlms_state.NOT_INITIATED:
        raise Refused(Access.OTHER)
    if looks := int(model.meter.options.get("image_verify", 0)):
        model.image.status, model.image.looks = dlms_state.VERIFYING, looks
        raise Refused(Access.TEMPORARY_FAILURE)
    if not model.image.verify():
        model.log(EVENT_CODE, FIRMWARE_WRONG, now)
        raise Refused(Access.OTHER)
    model.log(EVENT_CODE, FIRMWARE_READY, now)


def _activate(model: DlmsModel, now: int, _parameters: bytes | None) -> None:
    """Run the image; option ``image_activation = "restart"`` cuts the connection by that."""
    if model.image.status != dlms_state.VERIFIED:
        raise Refused(Access.OTHER)
    activate_image(model, now)
    if model.meter.options.get("image_activation") == "restart":
        raise HangUp("the meter restarts")


def activate_image(model: DlmsModel, now: int) -> None:
    """Run the image that waits, if it is verified."""
    if model.image.status == dlms_state.VERIFIED:
        model.image.status = dlms_state.ACTIVATED
        model.firmware = model.image.identifier
        model.log(EVENT_CODE, FIRMWARE_ACTIVATED, now)


def _set_enabled(model: DlmsModel, _now: int, value: bytes) -> None:
    model.image.enabled = bool(number(int(bool(dlms_codec.whole(value))), 1))


def _first_missing(model: DlmsModel) -> bytes:
    taken = model.image.taken
    return dlms_codec.double_long_unsigned(taken.index(False) if False in taken else len(taken))


def _to_activate(model: DlmsModel) -> bytes:
    """Write which image waits: meters know it once it is verified."""
    if model.image.status not in (dlms_state.VERIFIED, dlms_state.ACTIVATED):
        return dlms_codec.array([])
    entry = dlms_codec.structure(
        dlms_codec.double_long_unsigned(model.image.size),
        dlms_codec.octets(model.image.identifier),
        dlms_codec.octets(b""),
    )
    return dlms_codec.array([entry])


_CLOCK_READS: Final[Mapping[int, Read]] = {
    2: _clock_time,
    3: _zone,
    4: fixed(dlms_codec.unsigned(0)),
    5: fixed(dlms_codec.octets(bytes.fromhex("fffffeffffffffffff8000ff"))),
    6: fixed(dlms_codec.octets(bytes.fromhex("fffffdffffffffffff8000ff"))),
    7: fixed(dlms_codec.integer(0)),
    8: fixed(dlms_codec.boolean(False)),  # what it writes
    9: fixed(dlms_codec.enum(1)),
}
_SWITCH_WRITES: Final[Mapping[int, Write]] = {4: _set_mode}
_SWITCH_METHODS: Final[Mapping[int, Act]] = {1: _disconnect, 2: _reconnect}

OBJECTS: Final[tuple[CosemObject, ...]] = (
    cosem(8, "0.0.1.0.0.255", _CLOCK_READS, writes={2: _set_clock}, methods={6: _shift}),
    cosem(
        70,
        "0.0.96.3.10.255",
        {
            2: shown(_output),
            3: shown(lambda model: dlms_codec.enum(model.switch.state)),
            4: shown(lambda model: dlms_codec.enum(model.switch.mode)),
        },
        writes=_SWITCH_WRITES,
        methods=_SWITCH_METHODS,
    ),
    cosem(
        64,
        "0.0.43.0.0.255",
        {
            2: fixed(dlms_codec.enum(0)),
            3: shown(lambda model: dlms_codec.enum(keys.suite(model.meter))),
            4: fixed(dlms_codec.octets(b"")),
            5: shown(lambda model: dlms_codec.octets(model.title)),
        },
        methods={2: _transfer_keys},
    ),
    cosem(
        18,
        "0.0.44.0.0.255",
        {
            2: shown(lambda model: dlms_codec.double_long_unsigned(model.image.block_size)),
            3: shown(lambda model: dlms_codec.bit_string(model.image.taken)),
            4: shown(_first_missing),
            5: shown(lambda model: dlms_codec.boolean(model.image.enabled)),
            6: shown(lambda model: dlms_codec.enum(model.image.look())),
            7: shown(_to_activate),
        },
        writes={5: _set_enabled},
        methods={1: _initiate, 2: _take_block, 3: _verify, 4: _activate},
    ),
)
