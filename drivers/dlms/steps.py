"""Steps: what a client wants of a meter, as generators of APDUs that wait for nothing themselves.

A step yields what is to be sent and is sent the APDU that came back; its return value is the
result. Whoever drives it does the waiting.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Burst:
    """APDUs to send one after another before an answer is awaited; none: only await one.

    Where the answer does not come in time, ``TimedOut`` is thrown into the step, which may have a
    way to go on. Where a plain APDU is not answered in time, the step ends there.
    """

    apdus: tuple[bytes, ...] = ()


Request = bytes | Burst
Step = Generator[Request, bytes, T]
