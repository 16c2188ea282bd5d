"""Delivery by HTTP: announce the manifest, send each file, take the acknowledgements.

``docs/billing.md`` describes the exchange. Every request may be repeated: a manifest is PUT under
the export's name, a file carries its SHA-256 as ``Idempotency-Key``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx

from mdm.account_balance import Balance
from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import DeliveryError, File, Package

_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
# A receiver that writes thousands of invoices to its disk may take its time.
_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_SHOWN_REASONS: Final = 5
# How long a busy receiver asks us to wait [s]: HTTP's own header, and the one of Lago's API.
_WAIT_HEADERS: Final = ("Retry-After", "X-RateLimit-Reset")


class Conversation:
    """Requests to one address, repeated until they are answered."""

    def __init__(self, url: str, way: Way) -> None:
        self._url = url.rstrip("/")
        self.way = way
        headers = {}
        if (token := way.access.token()) is not None:
            _refuse_to_shout(self._url)
            headers["Authorization"] = f"Bearer {token}"
        secured = self._url.startswith("https:")
        self._client = httpx.Client(
            timeout=_TIMEOUT,
            headers=headers,
            verify=way.access.tls() if secured else True,
            # The environment's proxies are not for a neighbour in the same house.
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def request(
        self,
        method: str,
        path: str,
        content: bytes,
        headers: dict[str, str],
        *,
        understood: Collection[int] = (),
    ) -> httpx.Response:
        """Send a request until it is answered.

        Parameters
        ----------
        understood : statuses beside success that the caller knows what to do with

        Raises
        ------
        DeliveryError
            if the address cannot be reached or answers anything else.
        """
        waits = self.way.retry.waits()
        while True:
            asked_for = 0.0
            try:
                answer = self._client.request(
                    method, self._url + path, content=content, headers=headers
                )
                if answer.is_success or answer.status_code in understood:
                    return answer
                trouble = f"it answered {answer.status_code}: {_reasons(answer)}"
                asked_for = _asked_for(answer)
                if answer.status_code < _SERVER_ERROR and answer.status_code != _TOO_MANY:
                    raise DeliveryError(
                        f"{self._url} refuses {method} {path}; {trouble}. Nothing of it was billed"
                    )
            except httpx.TransportError as problem:
                trouble = f"{type(problem).__name__}: {problem}"
            wait = next(waits, None)
            if wait is None:
                raise DeliveryError(
                    f"{self._url} did not take {method} {path} in {self.way.retry.attempts} "
                    f"attempts; at last {trouble}. Deliver again when it is back: nothing is sent "
                    "twice"
                )
            self.way.again(
                min(max(wait, asked_for), self.way.retry.longest_wait),
                f"{self._url} did not take {method} {path}: {trouble}",
            )


def sent(
    target: str, export: str, package: Package, way: Way
) -> Iterator[Sequence[Acknowledgement]]:
    """Send an export; give what became of each file's usage points as soon as it is known.

    Raises
    ------
    DeliveryError
        if the address cannot be reached, refuses or does not acknowledge as described.
    """
    with Conversation(target, way) as conversation:
        conversation.request(
            "PUT", f"/exports/{export}", package.manifest, {"Content-Type": "application/json"}
        )
        for number, file in enumerate(package.files, 1):
            yield _post(conversation, target, export, file)
            way.tell(f"{target} took {number:,} of {len(package.files):,} files of {export}")


def _post(
    conversation: Conversation, target: str, export: str, file: File
) -> list[Acknowledgement]:
    """Send a file; give what became of each usage point in it."""
    headers = {"Content-Type": file.entry.media_type, "Idempotency-Key": file.entry.sha256}
    path = f"/exports/{export}/files/{file.entry.name}"
    answer = conversation.request("POST", path, file.content, headers)
    try:
        items = answer.json()["acknowledgements"]
        found = [Acknowledgement.of(item) for item in items]
        balances = [Balance.of(item) for item in answer.json().get("balances", [])]
    except (KeyError, TypeError, ValueError) as problem:
        raise DeliveryError(
            f"{target} took {file.entry.name} and did not acknowledge it properly: {problem}"
        ) from problem
    if len(found) != file.entry.usage_points:
        raise DeliveryError(
            f"{target} acknowledges {len(found)} of {file.entry.usage_points} usage points "
            f"of {file.entry.name}; deliver again once it knows them all"
        )
    conversation.way.balances(target, balances)
    return found


def _refuse_to_shout(url: str) -> None:
    """Refuse to send a token where anybody could read it."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return
    try:
        if ipaddress.ip_address(parts.hostname or "").is_loopback:
            return
    except ValueError:
        pass  # a name, which may be anywhere
    raise DeliveryError(
        f"{url} is not encrypted, and MIQYAS_DELIVERY_TOKEN_FILE is set: the token goes to "
        "addresses of https only"
    )


def _asked_for(answer: httpx.Response) -> float:
    """Give how long a receiver asks us to wait [s], 0 if it does not."""
    for name in _WAIT_HEADERS:
        text = answer.headers.get(name, "")
        if text.isdecimal():
            return float(text)
    return 0.0


def _reasons(answer: httpx.Response) -> str:
    """Give the reasons in an answer, or its text."""
    try:
        reasons = answer.json()["reasons"]
    except (KeyError, TypeError, ValueError):
        return answer.text[:200]
    shown = "; ".join(map(str, reasons[:_SHOWN_REASONS]))
    more = len(reasons) - _SHOWN_REASONS
    return f"{shown}; and {more} more" if more > 0 else shown
