"""The meter's end of an association, scripted: says what a test wants, right or wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from drivers.dlms import axdr
from drivers.dlms.association import Conformance, Mechanism
from drivers.dlms.ciphering import Keys
from drivers.dlms.engine import PROPOSED, Association
from drivers.dlms.security import CLIENT_TITLE, Security
from drivers.dlms.steps import Step

T = TypeVar("T")

KEYS = Keys(bytes(range(16)), bytes(range(16, 32)))
TITLE = b"TST\x00\x00\x00\x00\x09"
CHALLENGE = b"the meter's word"
INITIATE = bytes.fromhex("0800065f1f0400")


def tlv(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + axdr.encode_octets(content)


@dataclass
class Meter:
    """A meter; a test changes what it says before it is asked.

    ``answers`` maps plain requests, or functions of them, to plain answers.
    """

    ciphered: bool = True
    conformance: Conformance = PROPOSED
    pdu_size: int = 1024
    result: int = 0
    diagnostic: int | None = None
    mechanism: Mechanism = Mechanism.HIGH_GMAC
    keys: Keys = field(default_factory=lambda: KEYS)
    challenge: bytes = CHALLENGE
    control: int = 0x30
    counter: int = 0
    answer: Callable[[bytes], bytes] = lambda _: b""
    asked: list[bytes] = field(default_factory=list)

    def aare(self) -> bytes:
        """Write the answer to an AARQ."""
        initiate = INITIATE + int(self.conformance).to_bytes(3) + self.pdu_size.to_bytes(2)
        initiate += b"\x00\x07"
        context, diagnostic = (3, 14) if self.ciphered else (1, 0)
        if self.diagnostic is not None:
            diagnostic = self.diagnostic
        fields = tlv(0xA1, bytes.fromhex("060760857405080" + f"1{context:02x}"))
        fields += bytes((0xA2, 3, 2, 1, self.result))
        fields += bytes((0xA3, 5, 0xA1, 3, 2, 1, diagnostic))
        if self.ciphered:
            fields += tlv(0xA4, tlv(0x04, TITLE)) + bytes.fromhex("88020780")
            fields += tlv(0x89, bytes.fromhex("608574050802") + bytes((self.mechanism,)))
            fields += tlv(0xAA, tlv(0x80, self.challenge))
            initiate = self.protected(0x28, initiate)
        return tlv(0x61, fields + tlv(0xBE, tlv(0x04, initiate)))

    def protected(self, tag: int, plain: bytes) -> bytes:
        """Protect an APDU as the meter's next message."""
        self.counter += 1
        return tlv(tag, self.keys.protect(plain, TITLE, self.counter, self.control))

    def proof(self, plain: bytes, challenge: bytes) -> bytes:
        """Answer the client's proof with the meter's."""
        gmac = self.keys.authenticate(challenge, TITLE, 99)
        shown = b"\x10" + (99).to_bytes(4) + gmac
        return bytes((0xC7, 1, plain[2], 0, 1, 0, 9, 17)) + shown

    def reply(self, request: bytes) -> bytes:
        """Answer one APDU of the client."""
        if request[0] == 0x60:
            at = request.find(b"\xac\x12\x80\x10")
            self.theirs = request[at + 4 : at + 20]
            return self.aare()
        plain = request
        if self.ciphered:
            text, _ = axdr.octets(request, 1)
            plain, _ = KEYS.unprotect(text, CLIENT_TITLE)
        self.asked.append(plain)
        is_proof = plain[0] == 0xC3 and plain[3:5] == b"\x00\x0f"
        answer = self.proof(plain, self.theirs) if is_proof else self.answer(plain)
        if not self.ciphered or answer[:1] not in (b"\xc4", b"\xc5", b"\xc7"):
            return answer
        return self.protected(answer[0] + 8, answer)


def security(**changes: Any) -> Security:
    """Give the client's security that fits the meter above."""
    taken = iter(range(1, 10_000))
    settings = {
        "mechanism": Mechanism.HIGH_GMAC,
        "keys": KEYS,
        "take_counter": lambda: next(taken),
    }
    return Security(**settings | changes)


def run(step: Step[T], meter: Meter, most: int = 100_000) -> T:
    """Run a step of the engine against a meter."""
    try:
        request = next(step)
        for _ in range(most):
            request = step.send(meter.reply(request))
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError(f"no result after {most} exchanges")


def opened(meter: Meter) -> Association:
    """Enter an association with a meter."""
    association = Association(security() if meter.ciphered else Security())
    run(association.open(), meter)
    return association
