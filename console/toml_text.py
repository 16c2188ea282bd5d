"""Writes plain values as TOML, for files that people edit and the command reads again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def written(values: Mapping[str, Any]) -> str:
    """Write a table: plain values first, then each list of tables under a heading of its own.

    What is None is left out, as TOML has no word for it.

    Raises
    ------
    TypeError
        if there is a value that TOML cannot hold.
    """
    plain = {key: value for key, value in values.items() if not _is_tables(value)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items() if value is not None]
    for key, value in values.items():
        for table in value if _is_tables(value) else ():
            lines += ["", f"[[{key}]]"]
            lines += [f"{name} = {_value(one)}" for name, one in table.items() if one is not None]
    return "\n".join(lines).lstrip("\n") + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(x, Mapping) for x in value)


def _value(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON text is a basic string of TOML, but for this one character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{key} = {_value(one)}" for key, one in value.items() if one is not None)
        return f"{{ {', '.join(pairs)} }}"
    raise TypeError(f"{value!r} cannot be written as TOML")
