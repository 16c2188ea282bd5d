"""XML as text, written by hand so that the same content has the same bytes with any library."""

from __future__ import annotations

import re
from typing import Final
from xml.sax import saxutils

HEADING: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# XML 1.0, production 2: what no document may have, escaped or not.
_NEVER: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(name: str, *content: object) -> str:
    """Write an element of elements: its content is XML already."""
    return f"<{name}>{''.join(str(part) for part in content)}</{name}>"


def leaf(name: str, text: object) -> str:
    """Write an element of text."""
    return f"<{name}>{saxutils.escape(str(text))}</{name}>"


def empty(name: str, **attributes: str) -> str:
    """Write an element of attributes only."""
    written = "".join(f" {key}={quoted(value)}" for key, value in attributes.items())
    return f"<{name}{written}/>"


def quoted(text: str) -> str:
    """Write an attribute's value with its quotes."""
    # quoteattr would choose its quotes by the content.
    return f'"{saxutils.escape(text, {chr(34): "&quot;", chr(10): "&#10;", chr(9): "&#9;"})}"'


def refusal(*texts: str) -> str | None:
    """Say why texts cannot stand in XML, None if they can."""
    if any(_NEVER.search(text) for text in texts):
        return "a name of it has a control character, which XML cannot write"
    return None
