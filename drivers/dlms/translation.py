"""Frames in words, for people who look at a trace: xDLMS as XML, by the gurux-dlms translator.

The driver itself makes and reads its frames without gurux-dlms; what is shown here is therefore a
second opinion on them.
"""

from __future__ import annotations

import re
from typing import Final

from gurux_dlms import GXDLMSTranslator

from drivers.dlms import hdlc, wrapper
from drivers.dlms.push_stream import PushStream
from drivers.errors import RemoteProtocolError

# A password of low-level security, and a key for one association where it is not ciphered.
_SECRET: Final = re.compile(r'(<(?:CallingAuthentication|DedicatedKey) Value=")[^"]*(")')


def as_xml(frame: bytes) -> str:
    """Translate a frame to XML; passwords and keys in it are not shown.

    Parameters
    ----------
    frame : a bare APDU, or one in a TCP wrapper or in HDLC

    Raises
    ------
    drivers.errors.RemoteProtocolError
        if no APDU can be read from it.
    """
    apdu = _apdu(frame)
    try:
        xml = str(GXDLMSTranslator().pduToXml(apdu))
    # gurux raises whatever its parser stumbles over, down to bare Exception.
    except Exception as error:
        raise RemoteProtocolError(f"no DLMS in {frame[:16].hex(' ')}…: {error}") from error
    # What it does not know it gives back as plain data.
    if not xml.strip() or xml.startswith("<Data="):
        raise RemoteProtocolError(f"no DLMS in {frame[:16].hex(' ')}…: not an APDU that is known")
    return _SECRET.sub(r"\1…\2", xml.strip())


def _apdu(frame: bytes) -> bytes:
    """Take the APDU out of whatever is around it, and join it if all its parts are there."""
    if frame[:1] != b"\x7e" and frame[:2] != b"\x00\x01":
        return frame
    stream = PushStream()
    stream.feed(frame)
    if (sent := stream.next()) is not None:
        return sent.apdu
    if frame[:1] == b"\x7e":
        return _first(frame)
    return wrapper.decode(frame).apdu


def _first(frame: bytes) -> bytes:
    frames, apdus = hdlc.Frames(), hdlc.Apdus()
    frames.feed(frame)
    while (found := frames.next()) is not None:
        if (whole := apdus.join(found)) is not None:
            return whole
    raise RemoteProtocolError(f"no whole HDLC message in {frame[:16].hex(' ')}…")
