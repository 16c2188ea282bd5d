"""A plain gurux-dlms client on a blocking socket: the independent side of the simulated meters."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from gurux_dlms import GXByteBuffer, GXDLMSException, GXReplyData
from gurux_dlms.ecdsa import GXPrivateKey, GXPublicKey
from gurux_dlms.enums import Authentication, Conformance, InterfaceType, Security
from gurux_dlms.objects import GXDLMSProfileGeneric
from gurux_dlms.objects.enums import SecuritySuite
from gurux_dlms.secure import GXDLMSSecureClient

from simulators import keys
from simulators.meter import Meter

_AUTHENTICATION = {
    "none": Authentication.NONE,
    "lls": Authentication.LOW,
    "hls-md5": Authentication.HIGH_MD5,
    "hls-sha1": Authentication.HIGH_SHA1,
    "hls-gmac": Authentication.HIGH_GMAC,
    "hls-sha256": Authentication.HIGH_SHA256,
    "hls-ecdsa": Authentication.HIGH_ECDSA,
}
_PROTECTION = {
    "authenticated": Security.AUTHENTICATION,
    "encrypted": Security.ENCRYPTION,
    "both": Security.AUTHENTICATION_ENCRYPTION,
}


def client(
    meter: Meter, *, counter: int = 1, short_names: bool = False, **told: bytes
) -> GXDLMSSecureClient:
    """Make a client for a meter; ``told`` replaces keys by kind."""
    known = dict(keys.told(meter, right=True)) | told
    made = GXDLMSSecureClient(
        not short_names, 1, 1, _AUTHENTICATION[meter.security], None, InterfaceType.WRAPPER
    )
    if "password" in known:
        made.password = known["password"]
    ciphering = made.ciphering
    ciphering.systemTitle = b"TST\0\0\0\0\1"
    ciphering.securitySuite = SecuritySuite(keys.suite(meter))
    if "encryption" in known:
        ciphering.blockCipherKey = known["encryption"]
        ciphering.authenticationKey = known["authentication"]
    ciphering.invocationCounter = counter
    form = keys.ciphering(meter)
    if form != "none":
        ciphering.security = _PROTECTION[str(meter.address.get("protection", "both"))]
    if form.endswith("dedicated"):
        ciphering.dedicatedKey = bytes(range(len(known["encryption"])))
    if form.startswith("general"):
        made.proposedConformance |= Conformance.GENERAL_PROTECTION
    if meter.security == "hls-ecdsa":
        # The public key is the meter's, the private one the client's.
        ciphering.signingKeyPair = (
            GXPublicKey.fromRawBytes(b"\x04" + known["meter_signing"]),
            GXPrivateKey.fromRawBytes(known["client_signing"]),
        )
    return made


class Reader:
    """An association with one meter."""

    def __init__(self, made: GXDLMSSecureClient, line: socket.socket) -> None:
        self.client = made
        self.line = line
        self.answers = 0

    def associate(self) -> None:
        self.client.parseAareResponse(self.ask(self.client.aarqRequest()).data)
        if self.client.authentication > Authentication.LOW:
            proof = self.ask(self.client.getApplicationAssociationRequest())
            self.client.parseApplicationAssociationResponse(proof.data)

    def ask(self, frames: Any) -> GXReplyData:
        """Send a request, and take its answer with all its blocks."""
        reply = GXReplyData()
        for frame in frames if isinstance(frames, list) else [frames]:
            reply.clear()
            self._exchange(frame, reply)
            while reply.isMoreData():
                self._exchange(self.client.receiverReady(reply), reply)
        return reply

    def read(self, thing: Any, attribute: int) -> Any:
        reply = self.ask(self.client.read(thing, attribute))
        return self.client.updateValue(thing, attribute, reply.value)

    def profile(self, name: str, first: datetime, last: datetime) -> list[list[Any]]:
        """Read a profile's rows stamped first to last, date-times as datetime."""
        thing = GXDLMSProfileGeneric(name)
        self.read(thing, 3)
        reply = self.ask(self.client.readRowsByRange(thing, first, last))
        self.client.updateValue(thing, 2, reply.value)
        return [[row[0].value, *row[1:]] for row in thing.buffer]

    def _exchange(self, frame: Any, reply: GXReplyData) -> None:
        self.line.sendall(frame)
        buffer = GXByteBuffer()
        for _ in range(10_000):
            data = self.line.recv(65_536)
            if not data:
                raise ConnectionResetError("closed in the middle of an answer")
            buffer.set(data)
            if self.client.getData(buffer, reply, GXReplyData()):
                break
        self.answers += 1
        if reply.error:
            raise GXDLMSException(reply.error)


@contextmanager
def reading(
    meter: Meter, port: int, *, counter: int = 1, timeout: float = 5.0, **told: bytes
) -> Iterator[Reader]:
    """Associate with a meter for the length of a block."""
    with socket.create_connection((meter.host, port), timeout=timeout) as line:
        reader = Reader(client(meter, counter=counter, **told), line)
        reader.associate()
        yield reader
        reader.ask(reader.client.releaseRequest())
