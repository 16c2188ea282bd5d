"""xDLMS APDUs of the services by short names: Read, Write, unconfirmed Write and InformationReport.

References
----------
IEC 62056-5-3:2017, clause 8 (ReadRequest … InformationReportRequest, Variable-Access-Specification)
and 9.4.6.7 … 9.4.6.12.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.dlms import axdr, clock_time
from drivers.dlms.apdu import Block
from drivers.dlms.clock_time import ClockTime
from drivers.dlms.refusals import Refusal
from drivers.errors import RemoteProtocolError

READ_REQUEST: Final = 0x05
WRITE_REQUEST: Final = 0x06
READ_RESPONSE: Final = 0x0C
WRITE_RESPONSE: Final = 0x0D
UNCONFIRMED_WRITE_REQUEST: Final = 0x16
INFORMATION_REPORT: Final = 0x18

# Variable access specifications.
_NAME, _PARAMETERISED, _NEXT_BLOCK, _READ_BLOCK, _WRITE_BLOCK = 2, 4, 5, 6, 7
# Results of a Read; those of a Write are the same less a block's content.
_DATA, _ERROR, _BLOCK, _BLOCK_TAKEN = 0, 1, 2, 3
_WRITE_BLOCK_TAKEN: Final = 2
_LONGEST_REPORT: Final = 255

# Octets around a block's content: tag, count, specification, last, number, count and tag of the
# octet-string, and its length.
BLOCK_OVERHEAD: Final = 12


@dataclass(frozen=True, slots=True)
class Taken:
    """The meter took a block of a long request, and waits for the next."""

    number: int


Result = bytes | Refusal


def name(short: int) -> bytes:
    """Write the specification of a variable."""
    return bytes((_NAME,)) + short.to_bytes(2)


def parameterised(short: int, selector: int, parameter: bytes) -> bytes:
    """Write the specification of a variable with a parameter, A-XDR: of a selection or method."""
    return bytes((_PARAMETERISED,)) + short.to_bytes(2) + bytes((selector,)) + parameter


def read(specifications: Sequence[bytes]) -> bytes:
    """Write a request to read variables."""
    return bytes((READ_REQUEST,)) + read_content(specifications)


def read_content(specifications: Sequence[bytes]) -> bytes:
    """Write what a request to read says behind its tag."""
    return axdr.encode_length(len(specifications)) + b"".join(specifications)


def read_next(number: int) -> bytes:
    """Write a request for the block of an answer after one that came."""
    return read([bytes((_NEXT_BLOCK,)) + number.to_bytes(2)])


def read_block(number: int, content: bytes, *, last: bool) -> bytes:
    """Write one block of a long request to read."""
    head = bytes((_READ_BLOCK, last)) + number.to_bytes(2)
    return read([head + axdr.encode_octets(content)])


def write(specifications: Sequence[bytes], values: Sequence[bytes], *, confirmed: bool) -> bytes:
    """Write a request to write variables, each to its value, A-XDR."""
    tag = WRITE_REQUEST if confirmed else UNCONFIRMED_WRITE_REQUEST
    return bytes((tag,)) + write_content(specifications, values)


def write_content(specifications: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Write what a request to write says behind its tag."""
    return read_content(specifications) + axdr.encode_length(len(values)) + b"".join(values)


def write_block(number: int, content: bytes, *, last: bool) -> bytes:
    """Write one block of a long request to write."""
    head = bytes((_WRITE_BLOCK, last)) + number.to_bytes(2)
    return write([head], [axdr.encode_octet_string(content)], confirmed=True)


def parse_read(apdu: bytes, count: int) -> list[Result] | Block | Taken:
    """Read an answer to a Read.

    Parameters
    ----------
    count : variables that were asked for

    Returns
    -------
    each one's value, A-XDR, or why there is none; a block of them; or that a block was taken

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    results, at = _head(apdu, READ_RESPONSE)
    kind = apdu[at] if at < len(apdu) else -1
    if results == 1 and kind == _BLOCK:
        data, _ = axdr.octets(apdu, at + 4)
        return Block(bool(apdu[at + 1]), int.from_bytes(apdu[at + 2 : at + 4]), data)
    if results == 1 and kind == _BLOCK_TAKEN:
        return Taken(int.from_bytes(_exactly(apdu, at + 1, 2)))
    if results == count == 1 and kind == _DATA:
        # A single value ends the APDU, and whoever knows what it is decodes it faster.
        return [apdu[at + 1 :]]
    _check_count(results, count)
    return list(_results(apdu, at, count))


def joined(content: bytes, count: int) -> list[Result]:
    """Read the results that came in blocks.

    Some meters put a single value into the blocks as it is, without the count and the choice that
    stand before it: an array of no elements, which these would be too, needs no blocks.
    """
    if count == 1 and content[:2] != bytes((1, _DATA)):
        return [content]
    if count == 1:
        return [content[2:]]
    results, at = axdr.length(content, 0)
    _check_count(results, count)
    return list(_results(content, at, count))


def parse_write(apdu: bytes, count: int) -> list[Refusal | None] | Taken:
    """Read an answer to a Write: None for each variable that is written, else why not.

    Raises
    ------
    RemoteProtocolError
        if the bytes are no answer to such a request.
    """
    results, at = _head(apdu, WRITE_RESPONSE)
    if results == 1 and apdu[at : at + 1] == bytes((_WRITE_BLOCK_TAKEN,)):
        return Taken(int.from_bytes(_exactly(apdu, at + 1, 2)))
    _check_count(results, count)
    found: list[Refusal | None] = []
    for _ in range(count):
        kind = _exactly(apdu, at, 1)[0]
        if kind not in (_DATA, _ERROR):
            raise RemoteProtocolError(f"{kind} is no result of a Write")
        found.append(Refusal(_exactly(apdu, at + 1, 1)[0]) if kind == _ERROR else None)
        at += 2 if kind == _ERROR else 1
    return found


@dataclass(frozen=True, slots=True)
class Report:
    """An information report: variables that the meter reports unasked.

    Attributes
    ----------
    time : when it was sent, None if it does not say or not in COSEM's form
    values : by short name
    """

    time: ClockTime | None
    values: tuple[tuple[int, axdr.Value], ...]


def parse_report(apdu: bytes) -> Report:
    """Read an information report.

    Raises
    ------
    RemoteProtocolError
        if the bytes are none.
    """
    if apdu[:1] != bytes((INFORMATION_REPORT,)) or len(apdu) < 2:
        raise RemoteProtocolError(f"0x{apdu[:1].hex()} begins no information report")
    stamp, at = axdr.octets(apdu, 2 if apdu[1] == 1 else 1)
    count, at = axdr.length(apdu, at)
    if count > _LONGEST_REPORT:
        raise RemoteProtocolError(f"a report of {count} variables is none we read")
    names = []
    for _ in range(count):
        if _exactly(apdu, at, 3)[0] != _NAME:
            raise RemoteProtocolError("an information report names something else than variables")
        names.append(int.from_bytes(apdu[at + 1 : at + 3]))
        at += 3
    values, at = axdr.length(apdu, at)
    _check_count(values, count)
    found = []
    for short in names:
        value, at = axdr.decode(apdu, at)
        found.append((short, value))
    return Report(_time(stamp), tuple(found))


def _time(stamp: bytes) -> ClockTime | None:
    try:
        return clock_time.decode(stamp)
    except RemoteProtocolError:
        return None


def _head(apdu: bytes, tag: int) -> tuple[int, int]:
    if len(apdu) < 3 or apdu[0] != tag:
        raise RemoteProtocolError(
            f"the meter's answer begins 0x{apdu[:1].hex()} where 0x{tag:02x} was expected"
        )
    return axdr.length(apdu, 1)


def _results(data: bytes, at: int, count: int) -> Iterator[Result]:
    for _ in range(count):
        kind = _exactly(data, at, 1)[0]
        if kind == _DATA:
            _, end = axdr.decode(data, at + 1)
            yield data[at + 1 : end]
        elif kind == _ERROR:
            end = at + 2
            yield Refusal(_exactly(data, at + 1, 1)[0])
        else:
            raise RemoteProtocolError(f"{kind} is no result of a Read")
        at = end


def _exactly(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise RemoteProtocolError("an answer is cut off")
    return data[at : at + count]


def _check_count(came: int, asked: int) -> None:
    if came != asked:
        raise RemoteProtocolError(f"{asked} variables were asked for and {came} came")
