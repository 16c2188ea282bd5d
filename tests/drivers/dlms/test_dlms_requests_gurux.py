"""What the client writes, as the translator of gurux-dlms reads it."""

from __future__ import annotations

import re

import pytest
from gurux_dlms import GXDLMSTranslator

from drivers.dlms import apdu, axdr, changing, variables
from drivers.dlms.apdu import Attribute, Entries
from drivers.dlms.block_transfer import Part
from schemas.obis import Obis

SERIAL = Attribute(1, Obis(0, 0, 96, 1, 0), 2)
SWITCH = Attribute(70, Obis(0, 0, 96, 3, 10), 1)
TARGET = changing.target(SERIAL)
TEXT = axdr.encode_octet_string(b"abc")
NAME = variables.name(0x1000)
ROWS = Entries(1, 2)

# What the translator reads, and writes again as it was.
THERE_AND_BACK = {
    "get by entry": apdu.get(1, SERIAL, ROWS),
    "set": changing.put(1, TARGET, TEXT),
    "set of a list": changing.put_list(
        1, changing.listed([TARGET] * 2), changing.listed([TEXT] * 2)
    ),
    "set, first block": changing.SET.block(1, 1, TARGET, b"abc", last=False),
    "set, last block": changing.SET.block(1, 2, b"", b"abc", last=True),
    "action": changing.action(1, SWITCH, b"\x0f\x00"),
    "action without parameters": changing.action(1, SWITCH, None),
    "read": variables.read([variables.name(0xFA08), NAME]),
    "read with parameter": variables.read([variables.parameterised(0x1000, 2, bytes(ROWS)[1:])]),
    "read of the next block": variables.read_next(3),
}


@pytest.mark.parametrize("name", THERE_AND_BACK)
def test_gurux_reads_what_we_write_and_writes_the_same(name: str) -> None:
    request = THERE_AND_BACK[name]
    back = bytes(GXDLMSTranslator().xmlToPdu(str(GXDLMSTranslator().pduToXml(request))))
    # gurux gives its whole buffer, which is longer than what it wrote.
    assert back[: len(request)] == request
    assert not back[len(request) :].strip(b"\x00")


# What the translator reads and does not write.
ONE_WAY = {
    "part": (
        bytes(Part(False, True, 5, 2, 1, b"abc")),
        {"BlockControl": "45", "BlockNumber": "0002", "BlockNumberAck": "0001",
         "BlockData": "616263"},
    ),
    "write": (
        variables.write([variables.name(0xFA08), NAME], [TEXT] * 2, confirmed=True),
        {"VariableName": "1000", "OctetString": "616263"},
    ),
    "write, block": (
        variables.write_block(1, b"abc", last=False),
        {"LastBlock": "00", "BlockNumber": "0001", "OctetString": "616263"},
    ),
    "read, block": (
        variables.read_block(1, b"abc", last=True), {"LastBlock": "01", "BlockNumber": "0001"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE_WAY)
def test_gurux_reads_what_we_write(name: str) -> None:
    request, expected = ONE_WAY[name]
    xml = str(GXDLMSTranslator().pduToXml(request))
    assert expected.items() <= dict(re.findall(r'<(\w+) Value="(\w+)"', xml)).items()
