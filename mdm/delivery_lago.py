"""Delivery to the billing system Lago, as usage events in batches.

Lago takes at most 100 events at once, all or none of them, and knows each by its
``transaction_id``: an event that is there already is refused by name, and is as good as taken
(https://getlago.com/docs/api-reference/events/batch, getlago/lago-api issue 3049). A usage point's
events go in one batch, so that none is billed in half.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import DeliveryError, Package
from mdm.delivery_http import Conversation
from mdm.export import lago

FORMAT: Final = "lago"
"""The export format that this target takes."""

_PATH: Final = "/api/v1/events/batch"
_REFUSED: Final = 422
_THERE: Final = {"transaction_id": ["value_already_exist"]}
PREFIX: Final = "lago+"


@dataclass(frozen=True, slots=True)
class _Bill:
    """A usage point's events."""

    usage_point: str
    version: int
    events: Sequence[Mapping[str, Any]]


def sent(
    target: str, _export: str, package: Package, way: Way
) -> Iterator[Sequence[Acknowledgement]]:
    """Send an export's events; give what became of each batch's usage points.

    Raises
    ------
    DeliveryError
        if the address cannot be reached or refuses, or there is no API key.
    """
    if way.access.token_file is None:
        raise DeliveryError(
            f"{target} needs an API key: name its file in MIQYAS_DELIVERY_TOKEN_FILE"
        )
    with Conversation(target.removeprefix(PREFIX), way) as conversation:
        for file in package.files:
            for batch in _batches(_bills(file.content)):
                yield list(_given(conversation, target, batch))


def _bills(content: bytes) -> list[_Bill]:
    """Put events of one usage point and version together, from whichever lines of a file."""
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for event in (e for line in content.splitlines() for e in json.loads(line)["events"]):
        key = event["external_subscription_id"], event["properties"]["version"]
        found.setdefault(key, []).append(event)
    return [_Bill(*key, mine) for key, mine in found.items()]


def _batches(bills: Sequence[_Bill]) -> Iterator[list[_Bill]]:
    """Cut bills into batches of at most ``lago.BATCH`` events; a larger bill stands alone."""
    batch: list[_Bill] = []
    for bill in bills:
        if batch and sum(len(b.events) for b in batch) + len(bill.events) > lago.BATCH:
            yield batch
            batch = []
        batch.append(bill)
    if batch:
        yield batch


def _given(
    conversation: Conversation, target: str, batch: Sequence[_Bill]
) -> Iterator[Acknowledgement]:
    """Send a batch, without what is refused of it until it is taken."""
    left = list(batch)
    if len(left) == 1 and len(left[0].events) > lago.BATCH:
        number = len(left.pop().events)
        reason = f"has {number} events, and Lago takes {lago.BATCH} at once"
        yield Acknowledgement(batch[0].usage_point, batch[0].version, "rejected", reason)
    while left:
        refused = _refused(conversation, target, left)
        if not refused:
            yield from (Acknowledgement(b.usage_point, b.version, "billed") for b in left)
            return
        there, wrong = _told(left, refused)
        for bill in there:
            yield Acknowledgement(bill.usage_point, bill.version, "billed")
        for bill, reason in wrong:
            yield Acknowledgement(bill.usage_point, bill.version, "rejected", reason)
        done = [*there, *(bill for bill, _ in wrong)]
        left = [bill for bill in left if bill not in done]


def _told(
    bills: Sequence[_Bill], refused: Mapping[int, Mapping[str, Sequence[str]]]
) -> tuple[list[_Bill], list[tuple[_Bill, str]]]:
    """Tell bills that are there already from those that are wrong, with the reason."""
    there, wrong, first = [], [], 0
    for bill in bills:
        mine = {n: refused[first + n] for n in range(len(bill.events)) if first + n in refused}
        first += len(bill.events)
        bad = {n: errors for n, errors in mine.items() if errors != _THERE}
        if bad:
            reasons = (
                f"{bill.events[n]['code']}: {field}: {', '.join(map(str, why))}"
                for n, errors in bad.items()
                for field, why in errors.items()
            )
            wrong.append((bill, "; ".join(reasons)))
        elif mine:
            there.append(bill)
    return there, wrong


def _refused(
    conversation: Conversation, target: str, bills: Sequence[_Bill]
) -> dict[int, Mapping[str, Sequence[str]]]:
    """Send events; give what is wrong with which, by their number. Nothing if all were taken."""
    events = [event for bill in bills for event in bill.events]
    content = json.dumps({"events": events}, ensure_ascii=False).encode()
    answer = conversation.request(
        "POST", _PATH, content, {"Content-Type": "application/json"}, understood={_REFUSED}
    )
    if answer.status_code != _REFUSED:
        return {}
    return _errors(answer, target, len(events))


def _errors(
    answer: httpx.Response, target: str, events: int
) -> dict[int, Mapping[str, Sequence[str]]]:
    """Read which events were refused.

    Raises
    ------
    DeliveryError
        if the answer does not name them: nothing of the batch was taken.
    """
    found: dict[int, Mapping[str, Sequence[str]]]
    try:
        found = {int(n): dict(errors) for n, errors in answer.json()["error_details"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise DeliveryError(
            f"{target} refuses a batch and names no event: {answer.text[:200]}"
        ) from problem
    if not found or not all(0 <= n < events and errors for n, errors in found.items()):
        raise DeliveryError(f"{target} refuses events that were not sent: {answer.text[:200]}")
    return found
