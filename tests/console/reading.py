"""What a reader of a page sees."""

from __future__ import annotations

import re
from html import unescape

import httpx


def words(response: httpx.Response) -> str:
    """What a reader sees, white space reduced."""
    body = re.sub(r"<(style|svg).*?</\1>", " ", response.text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))
