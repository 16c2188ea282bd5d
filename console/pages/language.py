"""The words of the pages, in English and Arabic, and which of the two a reader wants."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final, Literal, cast

from starlette.requests import Request

Language = Literal["en", "ar"]

LANGUAGES: Final = ("en", "ar")
COOKIE: Final = "miqyas_lang"
COOKIE_SECONDS: Final = 365 * 86400


@cache
def words(language: Language) -> Mapping[str, str]:
    """Give the words of ``words.csv`` in a language, by key."""
    text = resources.files("console").joinpath("words.csv").read_text("utf-8")
    return {row["key"]: row[language] for row in csv.DictReader(text.splitlines())}


def asked(request: Request) -> Language | None:
    """Give the language that the address asks for; None if it asks for none that there is."""
    return _known(request.query_params.get("lang"))


def of(request: Request) -> Language:
    """Choose the language: the address's, else the cookie's, else the browser's first."""
    chosen = asked(request) or _known(request.cookies.get(COOKIE))
    return chosen or _known(request.headers.get("accept-language", "")[:2].lower()) or "en"


def _known(name: str | None) -> Language | None:
    return cast(Language, name) if name in LANGUAGES else None
