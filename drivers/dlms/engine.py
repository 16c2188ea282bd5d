"""A client's association with a meter, without I/O: each step yields an APDU and takes the answer.

A step is a generator: it yields APDUs to send and is sent the APDUs that came back; its return
value is the result. Whoever drives it does the waiting.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from drivers.dlms import apdu, association, axdr, refusals
from drivers.dlms.apdu import Attribute, Block, Range
from drivers.dlms.association import Answer, Conformance, Granted, Mechanism, Request
from drivers.dlms.ciphering import AUTHENTICATED, ENCRYPTED, TITLE_SIZE, Keys
from drivers.dlms.refusals import Refusal
from drivers.errors import LocalProtocolError, NotOffered, RemoteProtocolError, WrongKey
from schemas.obis import Obis

T = TypeVar("T")
Step = Generator[bytes, bytes, T]

# "MIQ" is no registered manufacturer; a client's title only has to be its own on this meter.
CLIENT_TITLE: Final = b"MIQ\x00\x00\x00\x00\x01"
PROPOSED: Final = (
    Conformance.BLOCK_GET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
LARGEST_PDU: Final = 0xFFFF
# A year of quarter-hours with ten columns is 2 MB.
LARGEST_VALUE: Final = 4 << 20
_MOST_BLOCKS: Final = 1 << 16

_CURRENT_ASSOCIATION: Final = Obis(0, 0, 40, 0, 0, 255)
_REPLY_TO_HLS: Final = Attribute(15, _CURRENT_ASSOCIATION, 1)
_CHALLENGE_SIZE: Final = 16
_SHORTEST_CHALLENGE, _LONGEST_CHALLENGE = 8, 64
_PROTECTED: Final = AUTHENTICATED | ENCRYPTED
_GET_HEAD, _ATTRIBUTE_HEAD = 4, 10


@dataclass(frozen=True, slots=True)
class Security:
    """How a client shows who it is, and what protects its messages.

    Attributes
    ----------
    mechanism : none, low (password) or high with GMAC
    password : for mechanism low
    keys : the meter's keys where messages are protected, else None
    take_counter : gives an invocation counter that was never used and never will be again
    """

    mechanism: Mechanism = Mechanism.NONE
    password: bytes = field(default=b"", repr=False)
    keys: Keys | None = None
    take_counter: Callable[[], int] = field(default=lambda: 0, repr=False)


class Association:
    """One association, as the client sees it."""

    def __init__(self, security: Security) -> None:
        self.granted = Granted(Conformance(0), 0)
        self._security = security
        self._title = b""
        self._invoke = 0
        self._heard = -1

    def offers(self, service: Conformance) -> bool:
        """Tell whether the meter granted a service."""
        return service in self.granted.conformance

    def open(self) -> Step[None]:
        """Enter the association; with mechanism high, both sides show that they know the keys.

        Raises
        ------
        WrongKey
            if either side does not.
        MeterRefused
            if the meter does not want this client.
        """
        security = self._security
        high = security.mechanism is Mechanism.HIGH_GMAC
        challenge = secrets.token_bytes(_CHALLENGE_SIZE) if high else security.password
        reply = yield bytes(
            Request(
                initiate=self._initiate(),
                ciphered=security.keys is not None,
                mechanism=security.mechanism,
                secret=challenge,
                title=CLIENT_TITLE if security.keys else b"",
            )
        )
        answer = self._accepted(reply)
        if high:
            yield from self._prove(challenge, answer)

    def get(self, attribute: Attribute, selection: Range | None = None) -> Step[bytes]:
        """Read one attribute as its bytes, over as many blocks as it takes.

        Parameters
        ----------
        selection : rows of a profile's buffer; None for the whole attribute

        Raises
        ------
        MeterRefused
            by the result that the meter gives instead.
        RemoteProtocolError
            if an answer is malformed, out of order or longer than 4 MiB.
        """
        invoke = self._next_invoke()
        result = yield from self._get(apdu.get(invoke, attribute, selection), invoke, listed=False)
        if isinstance(result, Refusal):
            raise result.error(f"reading {attribute}")
        return result

    def get_all(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        """Read several attributes, in the fewest requests that the meter takes."""
        values: list[axdr.Value | Refusal] = []
        most = self._most_in_list()
        for first in range(0, len(attributes), most):
            wanted = attributes[first : first + most]
            if len(wanted) == 1:
                values.append((yield from self._get_value(wanted[0])))
            else:
                values += yield from self._get_list(wanted)
        return values

    def release(self) -> Step[None]:
        """Leave the association. Whatever the meter says to that, it is over."""
        yield association.RELEASE

    def _initiate(self) -> bytes:
        request = association.initiate_request(PROPOSED, LARGEST_PDU)
        if self._security.keys is None:
            return request
        return self._protect(association.GLO_INITIATE_REQUEST, request)

    def _accepted(self, reply: bytes) -> Answer:
        """Check an answer to the AARQ and keep what it grants."""
        _raise_errors(reply)
        answer = Answer.parse(reply)
        high = self._security.mechanism is Mechanism.HIGH_GMAC
        if answer.result != association.ACCEPTED:
            raise refusals.association_refused(answer.result, answer.diagnostic)
        if high != (answer.diagnostic == association.AUTHENTICATION_REQUIRED):
            raise refusals.association_refused(answer.result, answer.diagnostic)
        self._title = answer.title
        _raise_errors(answer.initiate)
        if self._security.keys is None:
            self.granted = Granted.parse(answer.initiate)
            return answer
        if not answer.ciphered or len(answer.title) != TITLE_SIZE:
            raise RemoteProtocolError("the meter enters a secured association without security")
        plain = self._unprotect(association.GLO_INITIATE_RESPONSE, answer.initiate)
        self.granted = Granted.parse(plain)
        return answer

    def _prove(self, challenge: bytes, answer: Answer) -> Step[None]:
        """Answer the meter's challenge, and check its answer to ours."""
        keys = self._security.keys
        if keys is None:
            raise LocalProtocolError("mechanism high with GMAC needs the meter's keys")
        if answer.mechanism != Mechanism.HIGH_GMAC:
            raise RemoteProtocolError(
                f"the meter names authentication mechanism {answer.mechanism}"
            )
        theirs = answer.challenge
        if not _SHORTEST_CHALLENGE <= len(theirs) <= _LONGEST_CHALLENGE or theirs == challenge:
            raise RemoteProtocolError("the meter's challenge has a wrong size or is our own")
        counter = self._security.take_counter()
        proof = _gmac(keys, theirs, CLIENT_TITLE, counter)
        invoke = self._next_invoke()
        request = apdu.action(invoke, _REPLY_TO_HLS, axdr.encode_octet_string(proof))
        reply = yield from self._ask(request)
        shown = apdu.parse_action(reply, invoke)
        if isinstance(shown, Refusal):
            raise WrongKey(
                "the meter does not accept our answer to its challenge "
                f"(result {shown.result}); check the encryption and the authentication key"
            )
        self._check_proof(keys, challenge, shown)

    def _check_proof(self, keys: Keys, challenge: bytes, shown: axdr.Value) -> None:
        if not isinstance(shown, bytes) or len(shown) != 17:
            raise RemoteProtocolError("the meter's answer to our challenge is not built as GMAC's")
        expected = _gmac(keys, challenge, self._title, int.from_bytes(shown[1:5]))
        if not secrets.compare_digest(expected, shown):
            raise WrongKey("the meter could not show that it knows the authentication key")

    def _get(self, request: bytes, invoke: int, *, listed: bool) -> Step[bytes | Refusal]:
        reply = yield from self._ask(request)
        result = apdu.parse_get(reply, invoke, listed=listed)
        if not isinstance(result, Block):
            return result
        whole = bytearray()
        for number in range(1, _MOST_BLOCKS):
            _check_block(result, number, len(whole))
            whole += result.data
            if result.last:
                break
            reply = yield from self._ask(apdu.get_next(invoke, number))
            following = apdu.parse_get(reply, invoke, listed=listed)
            if isinstance(following, Refusal):
                return following
            if not isinstance(following, Block):
                raise RemoteProtocolError(f"after block {number} the meter answers without a block")
            result = following
        return bytes(whole)

    def _get_value(self, attribute: Attribute) -> Step[axdr.Value | Refusal]:
        invoke = self._next_invoke()
        result = yield from self._get(apdu.get(invoke, attribute), invoke, listed=False)
        return result if isinstance(result, Refusal) else axdr.decode(result)[0]

    def _get_list(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        invoke = self._next_invoke()
        result = yield from self._get(apdu.get_list(invoke, attributes), invoke, listed=True)
        if isinstance(result, Refusal):
            return [result] * len(attributes)
        return apdu.split_list(result, len(attributes))

    def _most_in_list(self) -> int:
        """Count the attributes that one request to this meter may name."""
        if not self.offers(Conformance.MULTIPLE_REFERENCES):
            return 1
        # The ciphered header and tag take up to 24 octets; 0 means that the meter names no limit.
        room = (self.granted.pdu_size or LARGEST_PDU) - _GET_HEAD - 24
        return max(1, min(room // _ATTRIBUTE_HEAD, 100))

    def _ask(self, request: bytes) -> Step[bytes]:
        """Send a request, protected if messages are, and give the plain answer."""
        if not self.offers(Conformance.GET) and request[0] == apdu.GET_REQUEST:
            raise NotOffered("the meter does not grant the service GET to this client")
        keys = self._security.keys
        if keys is not None:
            request = self._protect(request[0] + apdu.GLOBAL, request)
        reply = yield request
        _raise_errors(reply)
        if keys is None:
            return reply
        answers = (apdu.GET_RESPONSE + apdu.GLOBAL, apdu.ACTION_RESPONSE + apdu.GLOBAL)
        if reply[:1] not in (bytes((answers[0],)), bytes((answers[1],))):
            raise RemoteProtocolError(
                f"an answer that begins 0x{reply[:1].hex()} in a secured association is unprotected"
            )
        return self._unprotect(reply[0], reply)

    def _protect(self, tag: int, plain: bytes) -> bytes:
        security = self._security
        if security.keys is None:
            raise LocalProtocolError("there are no keys to protect a message with")
        text = security.keys.protect(plain, CLIENT_TITLE, security.take_counter())
        return bytes((tag,)) + axdr.encode_octets(text)

    def _unprotect(self, tag: int, message: bytes) -> bytes:
        """Give the plain APDU of a message protected as ours are, and newer than the last."""
        keys = self._security.keys
        if keys is None or message[:1] != bytes((tag,)):
            raise RemoteProtocolError(
                f"0x{message[:1].hex()} begins no message protected as agreed"
            )
        text, _ = axdr.octets(message, 1)
        plain, header = keys.unprotect(text, self._title)
        if header.control & _PROTECTED != _PROTECTED:
            raise RemoteProtocolError(
                f"a message under security control 0x{header.control:02x} is protected too weakly"
            )
        if header.counter <= self._heard:
            raise RemoteProtocolError(
                f"the meter's invocation counter went from {self._heard} to {header.counter}: "
                "an old message was sent again"
            )
        self._heard = header.counter
        return plain

    def _next_invoke(self) -> int:
        self._invoke = self._invoke % 15 + 1
        return self._invoke


def _gmac(keys: Keys, challenge: bytes, title: bytes, counter: int) -> bytes:
    tag = keys.authenticate(challenge, title, counter)
    return bytes((AUTHENTICATED,)) + counter.to_bytes(4) + tag


def _raise_errors(reply: bytes) -> None:
    if not reply:
        raise RemoteProtocolError("the meter answers with nothing")
    if reply[0] == apdu.EXCEPTION_RESPONSE:
        raise refusals.exception(reply)
    if reply[0] == association.CONFIRMED_SERVICE_ERROR:
        raise refusals.service_error(reply)


def _check_block(block: Block, number: int, held: int) -> None:
    if block.number != number:
        raise RemoteProtocolError(f"block {block.number} came where block {number} was asked for")
    if held + len(block.data) > LARGEST_VALUE:
        raise RemoteProtocolError(f"an answer of more than {LARGEST_VALUE} bytes is none we read")
    if not block.data and not block.last:
        raise RemoteProtocolError(f"block {number} is empty and not the last one")
