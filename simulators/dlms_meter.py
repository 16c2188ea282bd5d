"""Simulated DLMS meters on TCP: an own server, because no DLMS server runs in Python.

What is spoken: the TCP wrapper, logical names; no security, LLS, HLS5-GMAC with suite 0; GET
normal, with list and with blocks; selective access by range and by entry.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulators.clock import Clock
from simulators.dlms_association import Association
from simulators.dlms_model import DlmsModel
from simulators.line import Lines
from simulators.meter import Meter


async def serve(meters: Sequence[Meter], clock: Clock, *, port: int) -> Lines:
    """Serve DLMS meters, each at its own address.

    Parameters
    ----------
    port : where all of them listen; 0 takes a free port

    Raises
    ------
    OSError
        if the port is taken.
    """
    models = {meter: DlmsModel(meter) for meter in meters}
    lines = Lines(meters, clock, lambda meter: Association(models[meter], clock))
    await lines.start(port)
    return lines
