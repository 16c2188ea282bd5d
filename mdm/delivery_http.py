"""Delivery by HTTP: announce the manifest, send each file, take the acknowledgements.

``docs/billing.md`` describes the exchange. Every request may be repeated: a manifest is PUT under
the export's name, a file carries its SHA-256 as ``Idempotency-Key``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, get_args

import httpx

from mdm.delivery_files import DeliveryError, File

Outcome = Literal["billed", "rejected"]
_TOO_MANY: Final = 429
_SERVER_ERROR: Final = 500
# A receiver that writes thousands of invoices to its disk may take its time.
_TIMEOUT: Final = httpx.Timeout(60, connect=10)
_SHOWN_REASONS: Final = 5


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What an invoicing system made of one bill; a rejection has a reason."""

    usage_point: str
    version: int
    outcome: Outcome
    reason: str = ""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Self:
        """Read an acknowledgement.

        Raises
        ------
        KeyError, TypeError, ValueError
            if it is none.
        """
        point, version, outcome = item["usage_point"], item["version"], item["outcome"]
        reason = item.get("reason") or ""
        if not (isinstance(point, str) and type(version) is int and isinstance(reason, str)):
            raise TypeError(f"{dict(item)} is no acknowledgement")
        if outcome not in get_args(Outcome) or (outcome == "rejected" and not reason):
            raise ValueError(f"{point} must be billed, or rejected with a reason")
        return cls(point, version, outcome, reason)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an address is tried, with growing waits between.

    Attributes
    ----------
    attempts : in all
    first_wait : before the second attempt [s]; each further wait is twice as long
    longest_wait : at most [s]
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30

    def waits(self) -> Iterator[float]:
        """Give the waits between attempts [s]."""
        for number in range(self.attempts - 1):
            yield min(self.first_wait * 2**number, self.longest_wait)


class Client:
    """One conversation with an invoicing system."""

    def __init__(self, url: str, retry: Retry, wait: Callable[[float], None]) -> None:
        self._url = url.rstrip("/")
        self._retry = retry
        self._wait = wait
        # The environment's proxies are not for a neighbour in the same house.
        self._client = httpx.Client(timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def announce(self, export: str, manifest: bytes) -> None:
        """Send an export's manifest.

        Raises
        ------
        DeliveryError
            if the address cannot be reached or refuses it.
        """
        self._request("PUT", f"/exports/{export}", manifest, {"Content-Type": "application/json"})

    def post(self, export: str, file: File) -> list[Acknowledgement]:
        """Send a file; give what became of each usage point in it.

        Raises
        ------
        DeliveryError
            if the address cannot be reached, refuses the file or answers something else.
        """
        headers = {"Content-Type": file.entry.media_type, "Idempotency-Key": file.entry.sha256}
        path = f"/exports/{export}/files/{file.entry.name}"
        answer = self._request("POST", path, file.content, headers)
        try:
            items = answer.json()["acknowledgements"]
            found = [Acknowledgement.of(item) for item in items]
        except (KeyError, TypeError, ValueError) as problem:
            raise DeliveryError(
                f"{self._url} took {file.entry.name} and did not acknowledge it properly: {problem}"
            ) from problem
        if len(found) != file.entry.usage_points:
            raise DeliveryError(
                f"{self._url} acknowledges {len(found)} of {file.entry.usage_points} usage points "
                f"of {file.entry.name}; deliver again once it knows them all"
            )
        return found

    def _request(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        """Send a request until it is answered; the answer is a success."""
        waits = self._retry.waits()
        while True:
            try:
                answer = self._client.request(
                    method, self._url + path, content=content, headers=headers
                )
                if answer.is_success:
                    return answer
                trouble = f"it answered {answer.status_code}: {_reasons(answer)}"
                if answer.status_code < _SERVER_ERROR and answer.status_code != _TOO_MANY:
                    raise DeliveryError(
                        f"{self._url} refuses {method} {path}; {trouble}. Nothing of it was billed"
                    )
            except httpx.TransportError as problem:
                trouble = f"{type(problem).__name__}: {problem}"
            wait = next(waits, None)
            if wait is None:
                raise DeliveryError(
                    f"{self._url} did not take {method} {path} in {self._retry.attempts} attempts; "
                    f"at last {trouble}. Deliver again when it is back: nothing is sent twice"
                )
            self._wait(wait)


def _reasons(answer: httpx.Response) -> str:
    """Give the reasons in an answer, or its text."""
    try:
        reasons = answer.json()["reasons"]
    except (KeyError, TypeError, ValueError):
        return answer.text[:200]
    shown = "; ".join(map(str, reasons[:_SHOWN_REASONS]))
    more = len(reasons) - _SHOWN_REASONS
    return f"{shown}; and {more} more" if more > 0 else shown
