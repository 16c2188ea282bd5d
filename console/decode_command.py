"""``miqyas decode``: a DLMS frame from a trace, in words."""

from __future__ import annotations

from typing import Annotated

import typer

from console import show


def decode(
    frame: Annotated[str, typer.Argument(metavar="HEX", help="Spaces and colons are ignored.")],
) -> None:
    """Show a DLMS frame as XML: a bare APDU, or one in a TCP wrapper or in HDLC.

    Example: miqyas decode c001c100010000010000ff0200
    """
    # gurux-dlms is slow to import, and may be left out by whoever cannot ship it.
    from drivers.dlms import translation  # noqa: PLC0415

    digits = frame.replace(" ", "").replace(":", "")
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        raise typer.BadParameter(f"{frame[:40]!r} is not hexadecimal") from None
    if not octets:
        raise typer.BadParameter("give the frame's octets, such as c001c100010000010000ff0200")
    show.done(translation.as_xml(octets))
