"""What the head-end's tests share: a database with the registry, and meters on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from schemas import database
from schemas.database import Connection
from tests.headend.line_meter import House


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection in autocommit mode: what a test arranges is there for everybody."""
    with database.connect(database_url, autocommit=True) as open_connection:
        yield open_connection


@pytest_asyncio.fixture
async def house() -> AsyncIterator[House]:
    """Meters that are served until the test ends."""
    async with House().serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
def master_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A master key of its own for each test."""
    file = tmp_path / "keys" / "master.key"
    monkeypatch.setenv("MIQYAS_MASTER_KEY_FILE", str(file))
    return file
