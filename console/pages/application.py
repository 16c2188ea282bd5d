"""The application that serves the pages: routes, languages, and what to say when all fails."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
import psycopg
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console import balance_words, store
from console.pages import (
    balance_page,
    billing_page,
    fleet_page,
    language,
    meter_page,
    reasons,
    showing,
    worklist_page,
)
from console.pages.headers import Guarded
from console.pages.recent import Recent
from console.pages.refusal import Refusal
from console.pages.showing import Reader
from schemas import database, statements
from schemas.database import Connection

# Counting the intervals of a large fleet takes long; what is a minute old is as good.
_RATE_SECONDS = 60
# What a page that finds no database asks the browser to wait before it tries again.
_RETRY_SECONDS = 15

_log = structlog.get_logger(__name__)
_SQL = statements.load("console.pages", "pages.sql")


def application(url: str, *, hosts: Collection[str] = ()) -> Guarded:
    """Make the pages of a database.

    Parameters
    ----------
    hosts : names in the Host header that are answered; empty for any
    """
    app = Starlette(
        routes=[
            Route("/", _fleet, name="fleet"),
            Route("/meters/{mrid:path}", _meter, name="meter"),
            Route("/usage-points/{mrid:path}", _usage_point, name="usage_point"),
            Route("/balance", _balance, name="balance"),
            Route("/worklist", _worklist, name="worklist"),
            Route("/worklist/{number:int}", _finding, name="finding"),
            Route("/billing", _billing, name="billing"),
            Route("/healthz", _health, name="health"),
            Mount("/static", StaticFiles(packages=[("console", "static")]), name="static"),
        ],
        exception_handlers={
            HTTPException: _refused,
            Refusal: _unanswered,
            psycopg.OperationalError: _no_database,
            Exception: _failed,
        },
    )
    app.state.url = url
    app.state.rates = Recent(_RATE_SECONDS)
    app.state.judged = Recent(0)
    app.state.statuses = Recent(0)
    return Guarded(app, hosts)


def _fleet(request: Request) -> Response:
    with _reading(request) as connection:
        reader, content = fleet_page.content(
            connection,
            request.query_params,
            language.of(request),
            request.app.state.rates,
            request.app.state.judged,
            request.app.state.statuses,
        )
    return _page(request, "fleet.html", reader, content)


def _meter(request: Request) -> Response:
    mrid = request.path_params["mrid"]
    with _reading(request) as connection:
        reader, content = meter_page.content(connection, mrid, language.of(request))
    return _page(request, "meter.html", reader, content)


def _usage_point(request: Request) -> Response:
    """Lead from a usage point to the meter that is there, or was there last."""
    mrid = request.path_params["mrid"]
    with _reading(request) as connection:
        device = meter_page.at_usage_point(connection, mrid)
    return RedirectResponse(f"/meters/{quote(device, safe='')}", status_code=303)


def _balance(request: Request) -> Response:
    with _reading(request) as connection:
        reader, content = balance_page.content(
            connection, request.query_params, language.of(request)
        )
    return _page(request, "balance.html", reader, content)


def _worklist(request: Request) -> Response:
    with _reading(request) as connection:
        reader, content = worklist_page.listing(
            connection, request.query_params, language.of(request)
        )
    return _page(request, "worklist.html", reader, content)


def _finding(request: Request) -> Response:
    number = request.path_params["number"]
    with _reading(request) as connection:
        reader, content = worklist_page.finding(
            connection, min(number, 2**62), language.of(request)
        )
    return _page(request, "finding.html", reader, content)


def _billing(request: Request) -> Response:
    with _reading(request) as connection:
        reader, content = billing_page.content(
            connection,
            request.query_params,
            language.of(request),
            request.app.state.statuses,
        )
    return _page(request, "billing.html", reader, content)


def _health(request: Request) -> Response:
    try:
        with _reading(request) as connection:
            (version,) = connection.execute(_SQL["server_version"])
            now = store.now(connection)
    except psycopg.OperationalError:
        return JSONResponse({"status": "no database"}, status_code=503)
    return JSONResponse({"status": "ok", "postgresql": version[0], "now": now.isoformat()})


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _message(request, status, "no_page" if status == 404 else "refused", request.url.path)


def _unanswered(request: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return _message(request, error.status, error.what, error.detail.replace("\0", ""))


def _no_database(request: Request, error: Exception) -> Response:
    _log.error("page.no_database", path=request.url.path, reason=str(error))
    response = _message(request, 503, "no_database", "miqyas doctor")
    response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return response


def _failed(request: Request, error: Exception) -> Response:
    _log.error("page.failed", path=request.url.path, reason=repr(error))
    return _message(request, 500, "failed", request.url.path)


@contextmanager
def _reading(request: Request) -> Iterator[Connection]:
    """Open a connection that sees one state of the database and can change nothing."""
    with database.connect(request.app.state.url) as connection:
        connection.execute(_SQL["only_read"])
        yield connection


def _page(request: Request, template: str, reader: Reader, content: Mapping[str, Any]) -> Response:
    return _rendered(
        request, template, 200, {"reader": reader, "query": request.query_params, **content}
    )


def _message(request: Request, status: int, what: str, detail: str) -> Response:
    content = {"reader": None, "status_code": status, "what": what, "detail": detail}
    return _rendered(request, "message.html", status, content)


def _rendered(request: Request, template: str, status: int, content: Mapping[str, Any]) -> Response:
    chosen = language.of(request)
    other = "en" if chosen == "ar" else "ar"
    words = {
        "w": language.words(chosen),
        "language": chosen,
        "other_language_url": _with(request, lang=other),
        "here": request.url.path,
        "link": lambda **changes: _with(request, **changes),
    }
    text = _templates().get_template(template).render(**words, **content)
    response = HTMLResponse(text, status_code=status)
    if language.asked(request):
        response.set_cookie(
            language.COOKIE, chosen, max_age=language.COOKIE_SECONDS, httponly=True, samesite="lax"
        )
    return response


def _with(request: Request, **changes: object) -> str:
    """Give this page's address with some of its query changed, without its server."""
    query = {**request.query_params, **changes}
    return f"{quote(request.scope['path'])}?{urlencode(query)}"


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("console", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["reason"] = reasons.said
    made.globals["point_url"] = lambda mrid: f"/usage-points/{quote(mrid, safe='')}"
    made.globals["meter_url"] = lambda mrid: f"/meters/{quote(mrid, safe='')}"
    made.filters["number"] = showing.number
    made.filters["percent"] = showing.percent
    made.filters["signed_percent"] = balance_words.percent
    made.filters["factor"] = showing.factor
    made.filters["last_day"] = showing.last_day
    return made
