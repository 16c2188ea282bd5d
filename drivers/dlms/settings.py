"""What an endpoint of the registry means for DLMS: client, server, security and companion profile.

What the registry says of security stands in ``drivers.dlms.security_settings``.
The address may name ``client`` and ``server`` (1 each), the ``serial`` number that the meter must
have, and the ``deviation`` [min] of a meter that does not write its own: UTC = local + deviation;
``referencing`` is ``ln`` (logical names) or ``sn`` (short names); ``gbt`` is how many parts of a
long message we take in a row by general block transfer, 0 not to ask the meter for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.dlms import block_transfer, companion, line_settings, security_settings
from drivers.dlms.ciphering import HIGHEST_COUNTER
from drivers.dlms.companion import Companion
from drivers.dlms.line_settings import LineSettings
from drivers.dlms.security import Security
from drivers.dlms.security_settings import Wanted
from drivers.driver import Endpoint
from drivers.errors import LocalProtocolError

# One session of a day's reading takes about twenty counters.
_RUN: Final = 100
_LARGEST_DEVIATION: Final = 14 * 60


@dataclass(frozen=True, slots=True)
class Settings:
    """An endpoint's settings, checked.

    Attributes
    ----------
    client, server : wrapper ports, or HDLC addresses
    line : how the meter is reached
    deviation : of a meter that does not write its own [min]
    serial : that the meter must have, None if any will do
    short_names : whether the meter is asked by short names
    window : of general block transfer
    """

    client: int
    server: int
    line: LineSettings
    security: Security
    companion: Companion
    deviation: int | None
    serial: str | None
    short_names: bool
    window: int

    @classmethod
    def of(cls, endpoint: Endpoint) -> Settings:
        """Read an endpoint's settings.

        Raises
        ------
        LocalProtocolError
            naming the meter and the setting that is wrong or missing.
        """
        serial = endpoint.address.get("serial")
        try:
            security = _security(endpoint)
            return cls(
                client=line_settings.number(endpoint, "client", 1, 0xFFFF, 1),
                server=line_settings.number(endpoint, "server", 1, 0xFFFF, 1),
                line=LineSettings.of(endpoint),
                security=security,
                companion=companion.named(endpoint.profile),
                deviation=line_settings.number(
                    endpoint, "deviation", -_LARGEST_DEVIATION, _LARGEST_DEVIATION
                )
                if "deviation" in endpoint.address
                else None,
                serial=None if serial is None else str(serial),
                short_names=_short_names(endpoint, security),
                window=_window(endpoint, security),
            )
        except LocalProtocolError as error:
            raise LocalProtocolError(f"{endpoint.end_device}: {error}") from error


def _short_names(endpoint: Endpoint, security: Security) -> bool:
    referencing = str(endpoint.address.get("referencing", "ln"))
    if referencing not in ("ln", "sn"):
        raise line_settings.wrong(f"referencing={referencing} is neither ln nor sn")
    if referencing == "sn":
        _tell_apart("referencing=sn", endpoint, security)
    return referencing == "sn"


def _window(endpoint: Endpoint, security: Security) -> int:
    window = line_settings.number(endpoint, "gbt", 0, block_transfer.WIDEST)
    if window:
        _tell_apart(f"gbt={window}", endpoint, security)
    return window


def _tell_apart(what: str, endpoint: Endpoint, security: Security) -> None:
    """Refuse answers that do not say what they answer where they may come late or again."""
    if endpoint.address.get("framing") == "udp" and not security.ciphered:
        raise line_settings.wrong(f"{what} does not go with framing=udp without ciphering")


def _security(endpoint: Endpoint) -> Security:
    wanted = Wanted.of(endpoint.security, endpoint.address)
    return security_settings.security(wanted, endpoint.secrets, _taken(endpoint.reserve_counters))


def _taken(reserve: Callable[[int], int]) -> Callable[[], int]:
    """Give single counters out of runs, which are reserved when they are needed."""
    first = left = 0

    def take() -> int:
        nonlocal first, left
        if not left:
            first, left = reserve(_RUN), _RUN
        counter = first
        first, left = first + 1, left - 1
        if not 0 <= counter <= HIGHEST_COUNTER:
            raise LocalProtocolError(
                f"invocation counter {counter} does not fit 32 bits: the meter needs new keys"
            )
        return counter

    return take
