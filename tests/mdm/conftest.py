"""What the record's tests share: a connection, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schemas import database
from schemas.database import Connection


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A connection whose transaction ends with the test."""
    with database.connect(database_url) as open_connection:
        yield open_connection
