"""Named SQL statements, kept in ``.sql`` files beside the module that speaks them."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z0-9_]+)\n", re.MULTILINE)


@cache
def load(package: str, file: str) -> dict[str, str]:
    """Read every statement of a file, by name.

    A statement begins with a line ``-- name: its_name`` and ends at the next one.

    Parameters
    ----------
    package : such as ``headend``
    file : such as ``landing.sql``

    Raises
    ------
    ValueError
        if the file has no named statement or a name twice.
    """
    text = resources.files(package).joinpath(file).read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    names, bodies = parts[::2], [body.strip() for body in parts[1::2]]
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{package}/{file}: every statement needs a name of its own")
    return dict(zip(names, bodies, strict=True))
