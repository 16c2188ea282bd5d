"""Columns written as PostgreSQL's arrays arrive as they were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from schemas import database, parameters


def test_columns_arrive_as_they_were(database_url: str) -> None:
    numbers = [0, -1, 2**63 - 1, -(2**63), None]
    reals = [0.1, -1e300, 5e-324, None, 3]
    flags = [True, False, None]
    at = datetime(2026, 6, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    moments = [at, None, datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)]
    names = [["clock", "events"], [], None, ["intervals"]]
    with database.connect(database_url) as connection:
        row = connection.execute(
            "SELECT %s::bigint[], %s::float8[], %s::boolean[], %s::timestamptz[],"
            " ARRAY(SELECT to_jsonb(string_to_array(n, ',')) FROM unnest(%s::text[]) AS n)",
            [
                parameters.numbers(numbers),
                parameters.numbers(reals),
                parameters.numbers(flags),
                parameters.moments(moments),
                parameters.names(names),
            ],
        ).fetchone()
        empty = connection.execute(
            "SELECT %s::integer[], %s::timestamptz[]",
            [parameters.numbers([]), parameters.moments([])],
        ).fetchone()
    assert row == (numbers, reals, flags, moments, names)
    assert empty == ([], [])
