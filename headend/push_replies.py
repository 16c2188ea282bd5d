"""Confirms pushes that ask for it, once they are committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from drivers.dlms import push, wrapper
from drivers.dlms.security import CLIENT_TITLE
from headend.counters import Source
from headend.push_opening import Push


def confirm(pushes: Sequence[Push], counters: Source) -> int:
    """Confirm the pushes that ask for it, protected as they were; give how many.

    What was refused is confirmed too: it was heard, and sending it again would change nothing.
    """
    asking = [
        one
        for one in pushes
        if one.received.line is not None and push.wants_confirmation(one.plain)
    ]
    ciphered = Counter(one.sender.id for one in asking if one.sender and one.header)
    first = {device: counters.reserve(device, count) for device, count in ciphered.items()}
    for one in asking:
        apdu = push.confirmation(one.plain)
        if one.sender is not None and one.header is not None:
            keys = one.sender.keys()
            if keys is None:
                continue
            apdu = push.protected(apdu, keys, CLIENT_TITLE, first[one.sender.id])
            first[one.sender.id] += 1
        _send(one, apdu)
    return len(asking)


def _send(one: Push, apdu: bytes) -> None:
    sent, line = one.received.sent, one.received.line
    if line is not None:
        line.answer(wrapper.encode(wrapper.Frame(sent.destination, sent.source, apdu)))
