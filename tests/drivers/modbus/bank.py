"""A pyModbusTCP server that holds given words, and that remembers whether anybody wrote."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pyModbusTCP.server import DataBank, DataHandler, ModbusServer

Bank = Mapping[tuple[int, int], Sequence[int]]
"""Words by function code and address."""


class Writes(DataHandler):  # type: ignore[misc]
    """Counts what would change the meter; reading goes the library's own way."""

    def __init__(self, data_bank: DataBank) -> None:
        super().__init__(data_bank)
        self.count = 0

    def write_coils(self, *request: object) -> object:
        self.count += 1
        return super().write_coils(*request)

    def write_h_regs(self, *request: object) -> object:
        self.count += 1
        return super().write_h_regs(*request)


def hold(bank: DataBank, words: Bank) -> None:
    """Put words where they belong."""
    for (function, address), values in words.items():
        put = bank.set_holding_registers if function == 3 else bank.set_input_registers
        assert put(address, list(values))


@contextmanager
def serving(words: Bank) -> Iterator[tuple[int, Writes]]:
    """Serve words on a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    handler = Writes(DataBank())
    hold(handler.data_bank, words)
    server = ModbusServer("127.0.0.1", port, no_block=True, data_hdl=handler)
    server.start()
    try:
        yield port, handler
    finally:
        server.stop()
