"""A small invoicing system: takes exports over HTTP, prices them, acknowledges.

It knows of Miqyas only what ``docs/billing.md`` says. Loopback only. With ``--folder`` it takes
what lies in a folder, too, and leaves acknowledgements and balances there.

==========================================  ====================================================
``PUT /exports/{export}``                   the manifest
``POST /exports/{export}/files/{file}``     a file of it; answers what became of each bill
``GET /exports/{export}``                   which of its files came
``GET /invoices?usage_point=…``             invoices and notes, oldest first
``GET /invoices/{number}``                  one, with its lines in English and Arabic
``GET /accounts``                           all accounts with balance and ages [KD]
``GET /accounts/{account}?on=…``            one, with invoices, notes and payments, on a day
``POST /accounts/{account}/payments``       ``reference``, ``paid_on``, ``amount_kd``
``GET /rejections``                         bills that were rejected, with reasons
==========================================  ====================================================
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from simulators import invoicing_check, invoicing_folder, invoicing_prices, loopback
from simulators.invoicing_accounts import Accounts
from simulators.invoicing_balance import Payment
from simulators.invoicing_check import Malformed
from simulators.invoicing_ledger import Books, Ledger

_LARGEST: Final = 64 * 2**20
_STOP_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 1.0

DEATHS: Final = {
    "before-receive": "a file came and nothing of it was written",
    "before-commit": "everything of a file was written and nothing was kept",
    "before-acknowledge": "a file was invoiced and nobody was told",
}
"""Moments at which the system can be made to die, as by a power cut."""


@dataclass(frozen=True, slots=True)
class Running:
    """An invoicing system in a thread of this process."""

    url: str
    ledger: Ledger


class _Desk:
    """Answers requests out of a ledger."""

    def __init__(self, ledger: Ledger, at: Callable[[str], None], folder: Path | None) -> None:
        self._ledger = ledger
        self._at = at
        self._folder = folder

    def application(self) -> Starlette:
        """Give the web application."""
        return Starlette(
            routes=[
                Route("/exports/{export}", self.announce, methods=["PUT"]),
                Route("/exports/{export}", self.export, methods=["GET"]),
                Route("/exports/{export}/files/{file}", self.take, methods=["POST"]),
                Route("/invoices", self.invoices, methods=["GET"]),
                Route("/invoices/{number:int}", self.invoice, methods=["GET"]),
                Route("/accounts", self.accounts, methods=["GET"]),
                Route("/accounts/{account}", self.account, methods=["GET"]),
                Route("/accounts/{account}/payments", self.pay, methods=["POST"]),
                Route("/rejections", self.rejections, methods=["GET"]),
            ],
            lifespan=self._looking,
        )

    @asynccontextmanager
    async def _looking(self, _application: Starlette) -> AsyncIterator[None]:
        """Look into the folder as long as requests are answered, between them."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()

    async def _look(self) -> None:
        told: list[str] = []
        while self._folder is not None:
            problems = invoicing_folder.look(self._folder, self._ledger)
            if problems != told:
                sys.stderr.writelines(f"{problem}\n" for problem in problems)
            told = problems
            await asyncio.sleep(_LOOK_SECONDS)

    async def announce(self, request: Request) -> JSONResponse:
        export = request.path_params["export"]
        try:
            content = await _body(request)
            invoicing_check.manifest(content, export)
        except Malformed as problem:
            return _refusal(422, problem.reasons)
        if not self._ledger.announce(export, content):
            return _refusal(409, [f"another manifest of {export} is here"])
        return JSONResponse({"export": export}, 200)

    async def take(self, request: Request) -> JSONResponse:
        export, name = request.path_params["export"], request.path_params["file"]
        manifest = self._ledger.manifest(export)
        if manifest is None:
            return _refusal(404, [f"export {export} was not announced"])
        try:
            content = await _body(request)
            self._at("before-receive")
            sha256 = _checked(request, content, manifest, name)
            answered = self._ledger.answered(export, name)
            if answered is not None and answered[0] == sha256:
                return JSONResponse(answered[1])
            media_type = request.headers.get("content-type", "").partition(";")[0]
            bills = invoicing_check.bills(content, media_type, export)
            _counted(bills, manifest, name)
        except Malformed as problem:
            return _refusal(422, problem.reasons)
        answer = self._ledger.take(
            export, name, sha256, bills, before_commit=lambda: self._at("before-commit")
        )
        self._at("before-acknowledge")
        return JSONResponse(answer)

    async def export(self, request: Request) -> JSONResponse:
        export = request.path_params["export"]
        manifest = self._ledger.manifest(export)
        if manifest is None:
            return _refusal(404, [f"export {export} was not announced"])
        came = {f["name"]: self._ledger.answered(export, f["name"]) for f in manifest["files"]}
        return JSONResponse({"export": export, "files": {n: bool(a) for n, a in came.items()}})

    async def invoices(self, request: Request) -> JSONResponse:
        return JSONResponse(
            {"invoices": self._ledger.invoices(request.query_params.get("usage_point"))}
        )

    async def invoice(self, request: Request) -> JSONResponse:
        number = request.path_params["number"]
        return _found(self._ledger.invoice(number), f"no invoice {number}")

    async def accounts(self, request: Request) -> JSONResponse:
        try:
            on = _on(request)
        except ValueError as problem:
            return _refusal(422, [str(problem)])
        return JSONResponse({"accounts": self._ledger.accounts.every(on)})

    async def account(self, request: Request) -> JSONResponse:
        name = request.path_params["account"]
        try:
            on = _on(request)
        except ValueError as problem:
            return _refusal(422, [str(problem)])
        return _found(self._ledger.accounts.of(name, on), f"nothing is known of account {name}")

    async def pay(self, request: Request) -> JSONResponse:
        name = request.path_params["account"]
        try:
            payment = Payment.of(json.loads(await _body(request)))
        except Malformed as problem:
            return _refusal(422, problem.reasons)
        except ValueError as problem:
            return _refusal(422, [str(problem)])
        taken = self._ledger.accounts.pay(name, payment)
        if taken is None:
            return _refusal(404, [f"there is no account {name}"])
        if not taken:
            return _refusal(409, [f"another payment has the reference {payment.reference}"])
        return _found(self._ledger.accounts.of(name), f"nothing is known of account {name}")

    async def rejections(self, _request: Request) -> JSONResponse:
        return JSONResponse({"rejections": self._ledger.rejections()})


def _on(request: Request) -> date | None:
    """Give the day that is asked for."""
    text = request.query_params.get("on")
    return date.fromisoformat(text) if text else None


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > _LARGEST:
            raise Malformed([f"is larger than {_LARGEST} bytes"])
    return b"".join(parts)


def _checked(request: Request, content: bytes, manifest: dict[str, Any], name: str) -> str:
    """Hold a file against the manifest and its idempotency key; give its SHA-256."""
    entry = next((file for file in manifest["files"] if file["name"] == name), None)
    if entry is None:
        raise Malformed([f"{name} is not in the manifest"])
    sha256 = hashlib.sha256(content).hexdigest()
    reasons = []
    if sha256 != entry["sha256"]:
        reasons.append(f"{name}: its SHA-256 is {sha256}, the manifest says {entry['sha256']}")
    if len(content) != entry["bytes"]:
        reasons.append(f"{name}: has {len(content)} bytes, the manifest says {entry['bytes']}")
    if request.headers.get("idempotency-key") != entry["sha256"]:
        reasons.append(f"{name}: Idempotency-Key must be its SHA-256")
    if reasons:
        raise Malformed(reasons)
    return sha256


def _counted(bills: list[invoicing_check.Bill], manifest: dict[str, Any], name: str) -> None:
    (expected,) = (f["usage_points"] for f in manifest["files"] if f["name"] == name)
    if len(bills) != expected:
        raise Malformed([f"{name}: has {len(bills)} usage points, the manifest says {expected}"])


def _found(document: dict[str, Any] | None, missing: str) -> JSONResponse:
    return _refusal(404, [missing]) if document is None else JSONResponse(document)


def _refusal(status: int, reasons: list[str]) -> JSONResponse:
    return JSONResponse({"reasons": reasons}, status)


def _alive(_moment: str) -> None:
    """Go on, whatever the moment."""


def death(moment: str, number: int = 1) -> Callable[[str], None]:
    """Give what kills this process the ``number``-th time that a moment comes."""
    left = [number]

    def die(at: str) -> None:
        left[0] -= at == moment
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return die


def application(
    ledger: Ledger, at: Callable[[str], None] = _alive, folder: Path | None = None
) -> Starlette:
    """Give the invoicing system's web application.

    Parameters
    ----------
    at : called at each moment of ``DEATHS``
    folder : where exports lie that nobody sends
    """
    return _Desk(ledger, at, folder).application()


@contextmanager
def serving(journal: Path, *, port: int = 0, books: Books | None = None) -> Iterator[Running]:
    """Run an invoicing system in a thread until the block ends.

    Parameters
    ----------
    journal : its books, an SQLite file; what was invoiced before is still there
    port : where it listens on 127.0.0.1; 0 for a free one
    books : accounts and prices; for anybody, at Kuwait's prices, unless given
    """
    with loopback.listening(port) as listener:
        ledger = Ledger(journal, books)
        server = _server(ledger, _alive)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield Running(f"http://{loopback.HOST}:{listener.getsockname()[1]}", ledger)
        finally:
            server.should_exit = True
            thread.join(_STOP_SECONDS)
            ledger.close()


def _server(
    ledger: Ledger, at: Callable[[str], None], folder: Path | None = None
) -> uvicorn.Server:
    desk = application(ledger, at, folder)
    return uvicorn.Server(uvicorn.Config(desk, log_level="warning", lifespan="on", ws="none"))


def main() -> None:
    """Serve until interrupted; print one JSON line when ready."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.invoicing",
        description="A small invoicing system on 127.0.0.1 that takes exports of determinants.",
        epilog="Example: python -m simulators.invoicing --port 8071 --journal invoices.sqlite",
    )
    parser.add_argument("--port", type=int, default=0, help="0 (the default) for a free one")
    parser.add_argument(
        "--journal", type=Path, default=Path("invoices.sqlite"), help="its books, an SQLite file"
    )
    parser.add_argument(
        "--accounts", type=Path, help="CSV: usage_point, account, addressee_en, …; others rejected"
    )
    parser.add_argument(
        "--closed-until", type=date.fromisoformat, help="day before which no period is invoiced"
    )
    parser.add_argument(
        "--deferred", action="store_true", help="with prices that the law has put off"
    )
    parser.add_argument("--folder", type=Path, help="exports lie here, and are answered here, too")
    parser.add_argument("--die", choices=DEATHS, help="be killed at this moment")
    parser.add_argument("--die-at", type=int, default=1, help="the how many-th time it comes")
    chosen = parser.parse_args()
    books = Books(
        accounts=Accounts.read(chosen.accounts) if chosen.accounts else Accounts(),
        prices=invoicing_prices.kuwait(with_deferred=chosen.deferred),
        closed_until=chosen.closed_until,
    )
    with loopback.listening(chosen.port) as listener:
        ledger = Ledger(chosen.journal, books)
        url = f"http://{loopback.HOST}:{listener.getsockname()[1]}"
        sys.stdout.write(json.dumps({"ready": True, "url": url}) + "\n")
        sys.stdout.flush()
        at = death(chosen.die, chosen.die_at) if chosen.die else _alive
        _server(ledger, at, chosen.folder).run([listener])
        ledger.close()


if __name__ == "__main__":
    main()
