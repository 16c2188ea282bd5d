"""A client's association with a meter, without I/O: what it does are steps (``steps``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.dlms import apdu, association, axdr, proof, refusals
from drivers.dlms.apdu import Attribute, Block, Range
from drivers.dlms.association import Answer, Conformance, Granted, Request
from drivers.dlms.proof import Proof
from drivers.dlms.protection import Protection
from drivers.dlms.refusals import Refusal
from drivers.dlms.security import Security
from drivers.dlms.steps import Step
from drivers.errors import NotOffered, RemoteProtocolError
from schemas.obis import Obis

PROPOSED: Final = (
    Conformance.BLOCK_GET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
LARGEST_PDU: Final = 0xFFFF
# A year of quarter-hours with ten columns is 2 MB.
LARGEST_VALUE: Final = 4 << 20
_MOST_BLOCKS: Final = 1 << 16

_CURRENT_ASSOCIATION: Final = Obis(0, 0, 40, 0, 0, 255)
_REPLY_TO_HLS: Final = Attribute(15, _CURRENT_ASSOCIATION, 1)
_GET_HEAD, _ATTRIBUTE_HEAD = 4, 10
# ACTION is not among them: the proof of mechanism high goes by it before anything is granted, and
# some meters that take actions do not grant the service.
_SERVICES: Final = {apdu.GET_REQUEST: Conformance.GET, apdu.SET_REQUEST: Conformance.SET}


class Association:
    """One association, as the client sees it."""

    def __init__(self, security: Security, pdu_size: int = LARGEST_PDU) -> None:
        self.granted = Granted(Conformance(0), 0)
        self._pdu_size = pdu_size
        self._security = security
        self._protection = Protection(security)
        self._invoke = 0

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
        secret = proof.secret(security)
        reply = yield bytes(
            Request(
                initiate=self._protection.initiate(PROPOSED, self._pdu_size),
                ciphered=security.ciphered,
                mechanism=security.mechanism,
                secret=secret,
                title=security.title if security.titled else b"",
            )
        )
        answer = self._accepted(reply)
        if security.mechanism.high:
            yield from self._prove(Proof.of(security, secret, answer))
        self._protection.established()

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

    def set(self, attribute: Attribute, value: bytes, selection: Range | None = None) -> Step[None]:
        """Write one attribute.

        Parameters
        ----------
        value : what to write, A-XDR
        selection : the part of the attribute to write; None for the whole

        Raises
        ------
        MeterRefused
            by the result that the meter gives, NotOffered if it has no such service.
        RemoteProtocolError
            if the answer is malformed.
        """
        invoke = self._next_invoke()
        reply = yield from self._ask(apdu.put(invoke, attribute, value, selection))
        refusal = apdu.parse_put(reply, invoke)
        if refusal is not None:
            raise refusal.error(f"writing {attribute}")

    def action(self, method: Attribute, parameters: bytes | None = None) -> Step[bytes | None]:
        """Run a method.

        Parameters
        ----------
        method : class, logical name and number of the method
        parameters : A-XDR; None if the method takes none

        Returns
        -------
        what the method gives back, A-XDR; None if nothing

        Raises
        ------
        MeterRefused
            by the result that the meter gives, NotOffered if it has no such service.
        RemoteProtocolError
            if the answer is malformed.
        """
        invoke = self._next_invoke()
        reply = yield from self._ask(apdu.action(invoke, method, parameters))
        returned = apdu.returned_octets(reply, invoke)
        if isinstance(returned, Refusal):
            raise returned.error(f"running method {method}")
        return returned

    def release(self) -> Step[None]:
        """Leave the association. Whatever the meter says to that, it is over."""
        yield association.RELEASE

    def _accepted(self, reply: bytes) -> Answer:
        """Check an answer to the AARQ and keep what it grants."""
        _raise_errors(reply)
        answer = Answer.parse(reply)
        if answer.result != association.ACCEPTED:
            raise refusals.association_refused(answer.result, answer.diagnostic)
        asks = answer.diagnostic == association.AUTHENTICATION_REQUIRED
        if self._security.mechanism.high != asks:
            raise refusals.association_refused(answer.result, answer.diagnostic)
        _raise_errors(answer.initiate)
        self.granted = self._protection.granted(answer)
        return answer

    def _prove(self, exchange: Proof) -> Step[None]:
        """Answer the meter's challenge, and check its answer to ours."""
        parameter = axdr.encode_octet_string(exchange.shown())
        invoke = self._next_invoke()
        reply = yield from self._ask(apdu.action(invoke, _REPLY_TO_HLS, parameter))
        shown = apdu.parse_action(reply, invoke)
        if isinstance(shown, Refusal):
            raise proof.refused(self._security, shown.result)
        exchange.check(shown)

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
        service = _SERVICES.get(request[0])
        if service is not None and not self.offers(service):
            raise NotOffered(f"the meter does not grant the service {service.name} to this client")
        reply = yield self._protection.protect(request)
        _raise_errors(reply)
        plain = self._protection.unprotect(reply)
        _raise_errors(plain)
        return plain

    def _next_invoke(self) -> int:
        self._invoke = self._invoke % 15 + 1
        return self._invoke


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
