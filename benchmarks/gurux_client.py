"""A plain gurux-dlms client, written as its own examples are: what the driver is measured against.

Blocking sockets, ``GXDLMSSecureClient`` with its own ciphering, ``getData`` and ``updateValue``.
It reads what the driver reads: capture objects, scalers, and the load profile by range.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from gurux_dlms import GXByteBuffer, GXReplyData
from gurux_dlms.enums import Authentication, InterfaceType, Security
from gurux_dlms.objects import GXDLMSProfileGeneric, GXDLMSRegister
from gurux_dlms.secure import GXDLMSSecureClient

from drivers.driver import Endpoint

_SYSTEM_TITLE: Final = b"GRX\x00\x00\x00\x00\x01"


class GuruxReader:
    """One meter read by gurux-dlms over an open socket."""

    def __init__(self, endpoint: Endpoint, line: socket.socket) -> None:
        self._line = line
        client = GXDLMSSecureClient(
            True, 1, 1, Authentication.HIGH_GMAC, None, InterfaceType.WRAPPER
        )
        client.ciphering.security = Security.AUTHENTICATION_ENCRYPTION
        client.ciphering.systemTitle = _SYSTEM_TITLE
        client.ciphering.blockCipherKey = endpoint.secrets["encryption"]
        client.ciphering.authenticationKey = endpoint.secrets["authentication"]
        client.ciphering.invocationCounter = endpoint.reserve_counters(100)
        self._client = client

    def open(self) -> None:
        """Enter the association and prove both sides' keys."""
        reply = self._packet(self._client.aarqRequest())
        self._client.parseAareResponse(reply.data)
        for request in self._client.getApplicationAssociationRequest():
            reply = self._packet(request)
        self._client.parseApplicationAssociationResponse(reply.data)

    def rows(self, start: datetime, end: datetime) -> list[list[Any]]:
        """Read the load profile's rows stamped from start to end, both included."""
        profile = GXDLMSProfileGeneric("1.0.99.1.0.255")
        self._read(profile, 3)
        for captured, _ in profile.captureObjects:
            if isinstance(captured, GXDLMSRegister):
                self._read(captured, 3)
        reply = self._packet(self._client.readRowsByRange(profile, start, end))
        rows: list[list[Any]] = self._client.updateValue(profile, 2, reply.value)
        return rows

    def close(self) -> None:
        """Leave the association."""
        self._packet(self._client.releaseRequest())

    def _read(self, item: Any, attribute: int) -> None:
        reply = self._packet(self._client.read(item, attribute))
        self._client.updateValue(item, attribute, reply.value)

    def _packet(self, request: Any) -> GXReplyData:
        reply = GXReplyData()
        for frame in request if isinstance(request, list) else [request]:
            reply.clear()
            self._exchange(frame, reply)
        while reply.isMoreData():
            self._exchange(self._client.receiverReady(reply), reply)
        if reply.error:
            raise ConnectionError(f"gurux-dlms reports error {reply.error}")
        return reply

    def _exchange(self, frame: bytes, reply: GXReplyData) -> None:
        self._line.sendall(frame)
        received = GXByteBuffer()
        while True:
            data = self._line.recv(65536)
            if not data:
                raise ConnectionError("the meter closed the connection")
            received.set(data)
            if self._client.getData(received, reply, None):
                return


@contextmanager
def reader(endpoint: Endpoint) -> Iterator[GuruxReader]:
    """Connect, associate, and at the end leave."""
    with socket.create_connection((endpoint.host, endpoint.port), endpoint.timeout) as line:
        opened = GuruxReader(endpoint, line)
        opened.open()
        yield opened
        opened.close()
