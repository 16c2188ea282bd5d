"""A stand-in for the billing system Lago's usage API, after its public documentation.

``POST /api/v1/events/batch`` takes at most 100 events, all or none; what is wrong comes back as
422 with ``error_details`` by the event's number, also for an event that is there already
(https://getlago.com/docs/api-reference/events/batch; getlago/lago-api, issue 3049). Subscriptions
that the stand-in does not know are refused in the same way. Loopback only; ``GET /events`` lists
what it has.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators import loopback
from simulators.invoicing import DEATHS, death

_LARGEST: Final = 100
_FIELDS: Final = ("transaction_id", "external_subscription_id", "code")
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, transaction_id TEXT NOT NULL, subscription TEXT NOT NULL,
    content TEXT NOT NULL, UNIQUE (transaction_id, subscription))
"""


class _Desk:
    """Answers requests out of one SQLite file."""

    def __init__(
        self,
        journal: Path,
        key: str,
        subscriptions: frozenset[str] | None,
        at: Callable[[str], None],
    ) -> None:
        self._db = sqlite3.connect(journal, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_SCHEMA)
        self._key, self._subscriptions, self._at = key, subscriptions, at

    def application(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/events/batch", self.take, methods=["POST"]),
                Route("/events", self.events, methods=["GET"]),
            ]
        )

    async def take(self, request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {self._key}":
            return JSONResponse({"status": 401, "error": "Unauthorized"}, 401)
        try:
            events = (await request.json())["events"]
        except (KeyError, TypeError, ValueError):
            return JSONResponse({"status": 400, "error": "Bad Request"}, 400)
        self._at("before-receive")
        if not events:
            return _refusal({"events": ["no_events"]})
        if len(events) > _LARGEST:
            return _refusal({"events": ["too_many_events"]})
        errors = {str(n): found for n, event in enumerate(events) if (found := self._wrong(event))}
        if errors:
            return _refusal(errors)
        self._keep(events)
        self._at("before-acknowledge")
        return JSONResponse({"events": events})

    async def events(self, _request: Request) -> JSONResponse:
        rows = self._db.execute("SELECT content FROM event ORDER BY number")
        return JSONResponse({"events": [json.loads(row[0]) for row in rows]})

    def _wrong(self, event: Mapping[str, Any]) -> dict[str, list[str]]:
        """List what is wrong with an event, by field."""
        found = {name: ["value_is_mandatory"] for name in _FIELDS if not event.get(name)}
        try:
            float(event.get("timestamp", 0))
        except (TypeError, ValueError):
            found["timestamp"] = ["invalid_format"]
        if found:
            return found
        subscription = event["external_subscription_id"]
        if self._subscriptions is not None and subscription not in self._subscriptions:
            return {"external_subscription_id": ["subscription_not_found"]}
        known = "SELECT 1 FROM event WHERE transaction_id = ? AND subscription = ?"
        if self._db.execute(known, [event["transaction_id"], subscription]).fetchone():
            return {"transaction_id": ["value_already_exist"]}
        return {}

    def _keep(self, events: list[dict[str, Any]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(
            "INSERT INTO event (transaction_id, subscription, content) VALUES (?, ?, ?)",
            [
                (event["transaction_id"], event["external_subscription_id"], json.dumps(event))
                for event in events
            ],
        )
        self._at("before-commit")
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def _refusal(details: Mapping[str, Any]) -> JSONResponse:
    told = {"status": 422, "error": "Unprocessable Entity", "code": "validation_errors"}
    return JSONResponse({**told, "error_details": details}, 422)


def main() -> None:
    """Serve until interrupted; print one JSON line when ready."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.lago",
        description="A stand-in for Lago's usage API on 127.0.0.1.",
        epilog="Example: python -m simulators.lago --port 8072 --key-file lago.key",
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) for a free one")
    parser.add_argument("--key-file", type=Path, required=True, help="file with its API key")
    parser.add_argument(
        "--journal", type=Path, default=Path("lago.sqlite"), help="its events, an SQLite file"
    )
    parser.add_argument(
        "--subscriptions", type=Path, help="file with an external id a line; others are refused"
    )
    parser.add_argument("--die", choices=DEATHS, help="be killed at this moment")
    parser.add_argument("--die-at", type=int, default=1, help="the how many-th time it comes")
    chosen = parser.parse_args()
    known = None
    if chosen.subscriptions:
        known = frozenset(chosen.subscriptions.read_text("utf-8").split())
    at = death(chosen.die, chosen.die_at) if chosen.die else _alive
    key = chosen.key_file.read_text("utf-8").strip()
    with (
        loopback.listening(chosen.port) as listener,
        closing(_Desk(chosen.journal, key, known, at)) as desk,
    ):
        url = f"http://{loopback.HOST}:{listener.getsockname()[1]}"
        sys.stdout.write(json.dumps({"ready": True, "url": url}) + "\n")
        sys.stdout.flush()
        configuration = uvicorn.Config(
            desk.application(), log_level="warning", lifespan="off", ws="none"
        )
        uvicorn.Server(configuration).run([listener])


def _alive(_moment: str) -> None:
    """Go on, whatever the moment."""


if __name__ == "__main__":
    main()
