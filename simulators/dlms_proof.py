"""High-level authentication of the simulated meters: mechanisms 3 to 7 (Green Book, 9.2.7.4)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from simulators import dlms_curve, keys
from simulators.dlms_security import Suite
from simulators.meter import Meter


@dataclass(frozen=True)
class Exchange:
    """What both sides said when the association began.

    Attributes
    ----------
    client_title, client_challenge : from the request
    challenge : the meter's own
    first_counter : of the client's request, if that was ciphered
    """

    client_title: bytes
    client_challenge: bytes
    challenge: bytes
    first_counter: int


def challenge_size(mechanism: int) -> int:
    """Tell how long the meter's challenge is [bytes]."""
    return 32 if mechanism == keys.MECHANISMS["hls-ecdsa"] else 16


def is_right(meter: Meter, suite: Suite, exchange: Exchange, answer: bytes) -> bool:
    """Tell whether a client's answer to the meter's challenge is right."""
    if meter.security == "hls-gmac":
        fresh = int.from_bytes(answer[1:5], "big") > exchange.first_counter
        return fresh and suite.proves(answer, exchange.challenge, exchange.client_title)
    titles = exchange.client_title + suite.title
    challenges = exchange.challenge + exchange.client_challenge
    if meter.security == "hls-ecdsa":
        client = keys.pair(meter, "client_signing")
        return dlms_curve.is_signed(client.suite, client.public, answer, titles + challenges)
    return hmac.compare_digest(_digest(meter, exchange.challenge, titles + challenges), answer)


def given(meter: Meter, suite: Suite, exchange: Exchange, counter: int) -> bytes:
    """Answer the client's challenge."""
    if meter.security == "hls-gmac":
        return suite.proof(exchange.client_challenge, counter)
    titles = suite.title + exchange.client_title
    challenges = exchange.client_challenge + exchange.challenge
    if meter.security == "hls-ecdsa":
        return keys.pair(meter, "meter_signing").signed(titles + challenges)
    return _digest(meter, exchange.client_challenge, titles + challenges)


def _digest(meter: Meter, challenge: bytes, everything: bytes) -> bytes:
    secret = keys.of(meter, "password")
    if meter.security == "hls-md5":
        return hashlib.md5(challenge + secret, usedforsecurity=False).digest()
    if meter.security == "hls-sha1":
        return hashlib.sha1(challenge + secret, usedforsecurity=False).digest()
    return hashlib.sha256(secret + everything).digest()
