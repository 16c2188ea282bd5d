"""Every SQL statement of the head-end is one that the database understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas import statements
from schemas.database import Connection

_ROOM = Path(__file__).parents[2] / "headend"
_FILES = sorted(file.name for file in _ROOM.glob("*.sql"))


def test_every_module_that_loads_statements_has_its_file() -> None:
    loaded = {
        name
        for file in _ROOM.glob("*.py")
        for name in re.findall(r'statements\.load\("headend", "(\w+\.sql)"\)', file.read_text())
    }
    assert loaded == set(_FILES)


@pytest.mark.parametrize("file", _FILES)
def test_every_statement_can_be_prepared(connection: Connection, file: str) -> None:
    found = statements.load("headend", file)
    for name, text in found.items():
        if name.startswith(("create_", "copy_")):
            connection.execute(text) if name.startswith("create_") else None
            continue
        numbers: dict[str, int] = {}

        def number(match: re.Match[str], numbers: dict[str, int] = numbers) -> str:
            return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

        body = re.sub(r"%\((\w+)\)s", number, text)
        connection.execute(f"PREPARE this AS {body}")  # type: ignore[arg-type]
        connection.execute("DEALLOCATE this")


@pytest.mark.parametrize("file", _FILES)
def test_every_statement_is_used(file: str) -> None:
    code = "\n".join(one.read_text() for one in _ROOM.glob("*.py"))
    for name in statements.load("headend", file):
        pattern = name.replace("block", "{what}").replace("register", "{what}")
        assert f'_SQL["{name}"]' in code or f'"{name}"' in code or f'_SQL[f"{pattern}"]' in code
