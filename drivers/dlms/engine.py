"""A client's association with a meter, without I/O: what it does are steps (``steps``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.dlms import association, axdr, block_transfer, proof, refusals
from drivers.dlms.apdu import Attribute, Selection
from drivers.dlms.association import Answer, Conformance, Granted, Request
from drivers.dlms.block_transfer import Transfer
from drivers.dlms.channel import Channel
from drivers.dlms.logical_names import LogicalNames
from drivers.dlms.proof import Proof
from drivers.dlms.protection import Protection
from drivers.dlms.refusals import Refusal
from drivers.dlms.security import Security
from drivers.dlms.short_names import ShortNames
from drivers.dlms.steps import Burst, Step
from drivers.errors import LocalProtocolError, RemoteProtocolError, TimedOut
from schemas.obis import Obis

PROPOSED: Final = (
    Conformance.BLOCK_GET
    | Conformance.BLOCK_SET
    | Conformance.BLOCK_ACTION
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.GET
    | Conformance.SET
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
"""What a client asks for that goes by logical names."""

PROPOSED_SHORT: Final = (
    Conformance.READ
    | Conformance.WRITE
    | Conformance.BLOCK_GET
    | Conformance.BLOCK_SET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.PARAMETERISED_ACCESS
)
"""What a client asks for that goes by short names."""

LARGEST_PDU: Final = 0xFFFF

_CURRENT_ASSOCIATION: Final = Obis(0, 0, 40, 0, 0, 255)
_REPLY_TO_HLS: Final = Attribute(15, _CURRENT_ASSOCIATION, 1)
# By logical names these are services of their own; by short names they are parts of others.
_SHORT: Final = {
    Conformance.GET: Conformance.READ,
    Conformance.SET: Conformance.WRITE,
    Conformance.ACTION: Conformance.READ,
    Conformance.SELECTIVE_ACCESS: Conformance.PARAMETERISED_ACCESS,
}
# Octets that protection adds at most: tag, title, length, header and authentication tag; a message
# of general ciphering also names its transaction and brings its key.
_OVERHEAD, _GENERAL_OVERHEAD = 32, 320
# A meter must take this much, whatever it says.
_SMALLEST_ROOM: Final = 64


def _not_open(_request: bytes) -> Step[bytes]:
    raise LocalProtocolError("the association is not open")
    yield b""


_CLOSED: Final = LogicalNames(Channel(_not_open, Conformance(0), _SMALLEST_ROOM, divides=False))


class Association:
    """One association, as the client sees it.

    Parameters
    ----------
    pdu_size : longest APDU that we take [bytes]
    short_names : whether the meter is asked by short names
    window : parts of a long APDU that we take in a row; with 0, general block transfer is not
        proposed, and a meter that uses it all the same has to wait after each part
    """

    def __init__(
        self,
        security: Security,
        pdu_size: int = LARGEST_PDU,
        *,
        short_names: bool = False,
        window: int = 0,
    ) -> None:
        self.granted = Granted(Conformance(0), 0)
        self._pdu_size = pdu_size
        self._security = security
        self._protection = Protection(security)
        self._short = short_names
        self._window = window
        self._services: LogicalNames | ShortNames = _CLOSED

    def offers(self, service: Conformance) -> bool:
        """Tell whether the meter granted a service; by short names, the one that stands for it."""
        wanted = _SHORT.get(service, service) if self._short else service
        return wanted in self.granted.conformance

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
                initiate=self._protection.initiate(self._proposed, self._pdu_size),
                ciphered=security.ciphered,
                mechanism=security.mechanism,
                secret=secret,
                title=security.title if security.titled else b"",
                short_names=self._short,
            )
        )
        answer = self._accepted(reply)
        channel = self._channel
        self._services = ShortNames(channel) if self._short else LogicalNames(channel)
        if security.mechanism.high:
            yield from self._prove(Proof.of(security, secret, answer))
        self._protection.established()

    def get(self, attribute: Attribute, selection: Selection | None = None) -> Step[bytes]:
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
        result = yield from self._services.get(attribute, selection)
        if isinstance(result, Refusal):
            raise result.error(f"reading {attribute}")
        return result

    def get_all(self, attributes: Sequence[Attribute]) -> Step[list[axdr.Value | Refusal]]:
        """Read several attributes, in the fewest requests that the meter takes."""
        return (yield from self._services.get_all(attributes))

    def set(
        self, attribute: Attribute, value: bytes, selection: Selection | None = None
    ) -> Step[None]:
        """Write one attribute, in as many blocks as it takes.

        Parameters
        ----------
        value : what to write, A-XDR
        selection : the part of the attribute to write; None for the whole

        Raises
        ------
        MeterRefused
            by the result that the meter gives, NotOffered if it has no such service.
        RemoteProtocolError
            if an answer is malformed or out of order.
        """
        refusal = yield from self._services.put(attribute, value, selection)
        if refusal is not None:
            raise refusal.error(f"writing {attribute}")

    def set_all(self, changes: Sequence[tuple[Attribute, bytes]]) -> Step[list[Refusal | None]]:
        """Write several attributes, in one request if the meter takes that.

        Returns
        -------
        None for each attribute that is written, else why it is not

        Raises
        ------
        NotOffered
            if the meter has no such service.
        RemoteProtocolError
            if an answer is malformed or out of order.
        """
        return (yield from self._services.put_all(changes))

    def action(self, method: Attribute, parameters: bytes | None = None) -> Step[bytes | None]:
        """Run a method; parameters and what it gives back may take blocks.

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
            if an answer is malformed or out of order.
        """
        returned = yield from self._services.act(method, parameters)
        if isinstance(returned, Refusal):
            raise returned.error(f"running method {method}")
        return returned

    def action_all(
        self, calls: Sequence[tuple[Attribute, bytes]]
    ) -> Step[list[bytes | Refusal | None]]:
        """Run several methods, each with its parameters, in one request if the meter takes that.

        Returns
        -------
        what each method gives back, A-XDR or None, or why it did not run

        Raises
        ------
        NotOffered
            if the meter has no such service.
        RemoteProtocolError
            if an answer is malformed or out of order.
        """
        return (yield from self._services.act_all(calls))

    def release(self) -> Step[None]:
        """Leave the association. Whatever the meter says to that, it is over."""
        yield association.RELEASE

    def _accepted(self, reply: bytes) -> Answer:
        """Check an answer to the AARQ and keep what it grants."""
        refusals.check(reply)
        answer = Answer.parse(reply)
        if answer.result != association.ACCEPTED:
            raise refusals.association_refused(answer.result, answer.diagnostic)
        asks = answer.diagnostic == association.AUTHENTICATION_REQUIRED
        if self._security.mechanism.high != asks:
            raise refusals.association_refused(answer.result, answer.diagnostic)
        refusals.check(answer.initiate)
        if answer.short_names is not self._short:
            raise RemoteProtocolError("the meter enters an association with the other referencing")
        self.granted = self._protection.granted(answer)
        return answer

    def _prove(self, exchange: Proof) -> Step[None]:
        """Answer the meter's challenge, and check its answer to ours."""
        given = axdr.encode_octet_string(exchange.shown())
        if isinstance(self._services, ShortNames):
            shown = yield from self._services.reply_to_hls(given)
        else:
            shown = yield from self._services.act(_REPLY_TO_HLS, given)
        if isinstance(shown, Refusal):
            raise proof.refused(self._security, shown.result)
        exchange.check(None if shown is None else axdr.decode(shown)[0])

    @property
    def _proposed(self) -> Conformance:
        proposed = PROPOSED_SHORT if self._short else PROPOSED
        return proposed | Conformance.GENERAL_BLOCK_TRANSFER if self._window else proposed

    @property
    def _channel(self) -> Channel:
        return Channel(
            ask=self._ask,
            granted=self.granted.conformance,
            room=max(self._most - self._overhead, _SMALLEST_ROOM),
            divides=self._divides,
        )

    @property
    def _most(self) -> int:
        """Longest APDU that the meter takes; 0 means that it names no limit [bytes]."""
        return self.granted.pdu_size or LARGEST_PDU

    @property
    def _overhead(self) -> int:
        if not self._security.ciphered:
            return 0
        return _GENERAL_OVERHEAD if self._security.ciphering.enveloped else _OVERHEAD

    @property
    def _divides(self) -> bool:
        return self._window > 0 and self.offers(Conformance.GENERAL_BLOCK_TRANSFER)

    def _ask(self, request: bytes) -> Step[bytes]:
        """Send a request, protected if messages are, and give the plain answer.

        Protection comes first and is cut in parts, if need be; where the meter protects each part,
        they are joined after it is taken off.
        """
        reply = yield from self._exchanged(self._protection.protect(request))
        refusals.check(reply)
        plain = self._protection.unprotect(reply)
        if plain[0] == block_transfer.TAG:
            plain = yield from self._opened_parts(plain)
        refusals.check(plain)
        return plain

    def _exchanged(self, message: bytes) -> Step[bytes]:
        transfer = Transfer(max(self._window, 1))
        if self._divides and len(message) > self._most:
            return (yield from transfer.ask(message, self._most - block_transfer.OVERHEAD))
        reply = yield message
        if reply[:1] == _PART:
            return (yield from transfer.receive(reply))
        return reply

    def _opened_parts(self, first: bytes) -> Step[bytes]:
        """Join parts that are each protected for themselves, as are our acknowledgements."""
        step = Transfer(max(self._window, 1)).receive(first)
        try:
            request = next(step)
            while True:
                apdus = request.apdus if isinstance(request, Burst) else (request,)
                sealed = tuple(self._protection.protect(one) for one in apdus)
                try:
                    reply = yield Burst(sealed)
                except TimedOut as error:
                    request = step.throw(error)
                else:
                    refusals.check(reply)
                    request = step.send(self._protection.unprotect(reply))
        except StopIteration as done:
            whole: bytes = done.value
            return whole


_PART: Final = bytes((block_transfer.TAG,))
