"""Long answers that come in numbered blocks, asked for one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from drivers.dlms.apdu import Block
from drivers.dlms.refusals import Refusal
from drivers.dlms.steps import Step
from drivers.errors import RemoteProtocolError

# A year of quarter-hours with ten columns is 2 MB.
LARGEST_VALUE: Final = 4 << 20
_MOST_BLOCKS: Final = 1 << 16


def joined(
    block: Block, following: Callable[[int], Step[Block | Refusal]]
) -> Step[bytes | Refusal]:
    """Join blocks to the whole.

    Parameters
    ----------
    block : the first one
    following : asks for the block after the one of a number

    Raises
    ------
    RemoteProtocolError
        if a block is out of order or empty, or they do not end.
    """
    whole = bytearray()
    for number in range(1, _MOST_BLOCKS):
        _check(block, number, len(whole))
        whole += block.data
        if block.last:
            return bytes(whole)
        result = yield from following(number)
        if isinstance(result, Refusal):
            return result
        block = result
    raise RemoteProtocolError(f"an answer of more than {_MOST_BLOCKS} blocks is none we read")


def _check(block: Block, number: int, held: int) -> None:
    if block.number != number:
        raise RemoteProtocolError(f"block {block.number} came where block {number} was asked for")
    if held + len(block.data) > LARGEST_VALUE:
        raise RemoteProtocolError(f"an answer of more than {LARGEST_VALUE} bytes is none we read")
    if not block.data and not block.last:
        raise RemoteProtocolError(f"block {number} is empty and not the last one")
