"""Bytes made and read by gurux-dlms, an implementation that nobody here wrote."""

from __future__ import annotations

from typing import Any

from gurux_dlms import GXByteBuffer
from gurux_dlms.AesGcmParameter import AesGcmParameter
from gurux_dlms.enums import Authentication, DataType, InterfaceType, Security
from gurux_dlms.GXDLMSChippering import GXDLMSChippering
from gurux_dlms.internal._GXCommon import _GXCommon
from gurux_dlms.internal._GXDataInfo import _GXDataInfo
from gurux_dlms.secure import GXDLMSSecureClient


def encoded(data_type: DataType, value: Any) -> bytes:
    """Write one simple value."""
    buffer = GXByteBuffer()
    _GXCommon.setData(None, buffer, data_type, value)
    return bytes(buffer.array())


def decoded(data: bytes) -> Any:
    """Read one value."""
    return _GXCommon.getData(None, GXByteBuffer(data), _GXDataInfo())


def sealed(
    plain: bytes, *, title: bytes, keys: tuple[bytes, bytes], counter: int, security: Security
) -> bytes:
    """Protect an APDU under tag 0xC8, with tag and length."""
    p = AesGcmParameter(0xC8, title, keys[0], keys[1])
    p.security = security
    p.invocationCounter = counter
    return bytes(GXDLMSChippering.encryptAesGcm(p, plain))


def opened(message: bytes, *, title: bytes, keys: tuple[bytes, bytes]) -> bytes:
    """Take the protection off a whole message."""
    p = AesGcmParameter(0xC8, title, keys[0], keys[1])
    return bytes(GXDLMSChippering.decryptAesGcm(None, p, GXByteBuffer(message)))


def client(authentication: Authentication = Authentication.NONE) -> GXDLMSSecureClient:
    """Make a client over the wrapper, client 1 to server 1."""
    return GXDLMSSecureClient(True, 1, 1, authentication, "12345678", InterfaceType.WRAPPER)
