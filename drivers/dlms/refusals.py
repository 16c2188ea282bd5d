"""What a meter says when it says no, and which error that is for the caller.

References
----------
IEC 62056-5-3:2017, clause 8 (Data-Access-Result, Action-Result, Exception-Response) and 9.4.2
(result source diagnostic of the AARE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from drivers.errors import (
    AccessDenied,
    CounterOutOfSync,
    DriverError,
    MeterRefused,
    NotOffered,
    RemoteProtocolError,
    WrongKey,
)

_Table = dict[int, tuple[str, type[DriverError]]]

DATA_ACCESS: Final[_Table] = {
    1: ("hardware fault", MeterRefused),
    2: ("temporary failure", MeterRefused),
    3: ("read-write denied", AccessDenied),
    4: ("object undefined", NotOffered),
    9: ("object class inconsistent", NotOffered),
    11: ("object unavailable", NotOffered),
    12: ("type unmatched", MeterRefused),
    13: ("scope of access violated", AccessDenied),
    14: ("data block unavailable", MeterRefused),
    15: ("long get aborted", MeterRefused),
    16: ("no long get in progress", MeterRefused),
    17: ("long set aborted", MeterRefused),
    18: ("no long set in progress", MeterRefused),
    19: ("data block number invalid", MeterRefused),
    250: ("other reason", MeterRefused),
}

ACTION: Final[_Table] = {
    **{code: DATA_ACCESS[code] for code in (1, 2, 3, 4, 9, 11, 12, 13, 14, 250)},
    15: ("long action aborted", MeterRefused),
    16: ("no long action in progress", MeterRefused),
}

ASSOCIATION: Final[_Table] = {
    0: ("no reason", MeterRefused),
    1: ("no reason given", MeterRefused),
    2: ("application context name not supported", NotOffered),
    3: ("our system title is not recognised", AccessDenied),
    11: ("authentication mechanism name not recognised", AccessDenied),
    12: ("authentication mechanism name required", AccessDenied),
    13: ("authentication failure", WrongKey),
    14: ("authentication required", AccessDenied),
}

_EXCEPTION_RESPONSE: Final = 0xD8
_CONFIRMED_SERVICE_ERROR: Final = 0x0E
_ADVICE: Final = {
    2: "; check ciphering and referencing in the registry's address",
    3: "; check title in the registry's address",
    11: "; check the registry's security",
    12: "; check the registry's security",
    13: "; check its keys and password",
    14: "; check the registry's security",
}

_STATES: Final = {1: "service not allowed", 2: "service unknown"}
_SERVICE_ERRORS: Final[_Table] = {
    1: ("operation not possible", MeterRefused),
    2: ("service not supported", NotOffered),
    3: ("other reason", MeterRefused),
    4: ("PDU too long", MeterRefused),
    5: ("deciphering error", WrongKey),
    6: ("invocation counter error", CounterOutOfSync),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A meter's answer to a request for one attribute or method, other than the value.

    ``acting`` tells the results of methods, of which some mean something else.
    """

    result: int
    acting: bool = False

    def error(self, what: str) -> DriverError:
        """Give the error that it is, with ``what`` was asked for."""
        table = ACTION if self.acting else DATA_ACCESS
        name, kind = table.get(self.result, ("unknown reason", MeterRefused))
        return kind(f"{what} is refused: {name} (result {self.result})")


def association_refused(result: int, diagnostic: int) -> DriverError:
    """Give the error of an association that the meter does not enter."""
    name, kind = ASSOCIATION.get(diagnostic, ("unknown reason", MeterRefused))
    advice = _ADVICE.get(diagnostic, "")
    return kind(
        f"the meter refuses the association: {name} "
        f"(result {result}, diagnostic {diagnostic}){advice}"
    )


def exception(apdu: bytes) -> DriverError:
    """Give the error that an exception-response, tag 0xD8, stands for."""
    if len(apdu) < 3:
        return RemoteProtocolError("an exception response is cut off")
    state = _STATES.get(apdu[1], f"state error {apdu[1]}")
    name, kind = _SERVICE_ERRORS.get(apdu[2], (f"service error {apdu[2]}", MeterRefused))
    advice = ""
    if kind is WrongKey:
        advice = "; check the encryption and the authentication key"
    if kind is CounterOutOfSync and len(apdu) >= 7:
        advice = f"; it expects one of at least {int.from_bytes(apdu[3:7])}"
    return kind(f"the meter answers with an exception: {state}, {name}{advice}")


def check(reply: bytes) -> None:
    """Raise what an answer says, if it says that the meter answers in no other way.

    Raises
    ------
    MeterRefused, RemoteProtocolError
        if it is an exception response or a confirmed service error, or nothing at all.
    """
    if not reply:
        raise RemoteProtocolError("the meter answers with nothing")
    if reply[0] == _EXCEPTION_RESPONSE:
        raise exception(reply)
    if reply[0] == _CONFIRMED_SERVICE_ERROR:
        raise service_error(reply)


def service_error(apdu: bytes) -> DriverError:
    """Give the error that a confirmed-service-error, tag 0x0E, stands for."""
    if len(apdu) < 4:
        return RemoteProtocolError("a confirmed service error is cut off")
    return MeterRefused(
        f"the meter answers with a confirmed service error "
        f"(service {apdu[1]}, error {apdu[2]}, {apdu[3]})"
    )
