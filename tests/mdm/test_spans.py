"""Limits of statements: what they find is what was asked for, as a range and as a list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mdm import spans
from schemas import binary_copy, database
from schemas.database import Connection

QUERY = (
    "SELECT n FROM generate_series(1, 400) AS n WHERE n BETWEEN %(low)s AND %(high)s"
    " AND (%(together)s OR n = ANY(ARRAY(SELECT unnest(%(numbers)s::integer[]))))"
)


@given(
    numbers=st.sets(st.integers(1, 5000), max_size=60),
    slack=st.sampled_from((spans.EXACTLY, spans.LONG_ROWS, spans.SHORT_ROWS)),
)
def test_rows_within_the_limits_that_were_not_wanted_are_told(
    numbers: set[int], slack: float
) -> None:
    wanted = np.array(sorted(numbers, reverse=True), np.int32)
    limits = spans.limits(wanted, slack)
    every = np.arange(1, 5001, dtype=np.int32)
    inside = every[(every >= int(str(limits["low"]))) & (every <= int(str(limits["high"])))]
    if not limits["together"]:
        listed = {int(n) for n in str(limits["numbers"]).strip("{}").split(",")}
        inside = inside[np.isin(inside, list(listed))]
    assert set(inside[spans.among(wanted, inside)].tolist()) == numbers
    if slack == spans.EXACTLY and limits["together"] and numbers:
        assert len(inside) == len(numbers)


@pytest.mark.parametrize("numbers", [[], [7], [3, 4, 5], [3, 5, 8], [1, 399], [10, 4000]])
def test_the_server_understands_them(module_database_url: str, numbers: list[int]) -> None:
    wanted = np.array(numbers, np.int32)
    with database.connect(module_database_url) as connection:
        got = _read(connection, wanted)
    assert sorted(got[spans.among(wanted, got)].tolist()) == [n for n in numbers if n <= 400]


def _read(connection: Connection, wanted: NDArray[np.int32]) -> NDArray[np.int32]:
    limits = spans.limits(wanted, spans.SHORT_ROWS)
    return binary_copy.read_together(connection, QUERY, limits, {"n": "int4"})[0]
