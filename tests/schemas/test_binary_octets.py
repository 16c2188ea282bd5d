"""Arrays as the server has them and as it sends them: the same matrices, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import binary_copy, binary_octets, database

LISTS = st.lists(
    st.tuples(
        st.integers(0, 2**31 - 1),
        st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
        st.one_of(st.none(), st.lists(st.integers(-(2**15), 2**15 - 1), max_size=3)),
    ),
    max_size=8,
)


def array(values: list[int], kind: str, form: str) -> bytes:
    """Write an array as a server of either order of octets has it, or as it is sent."""
    order, oid = "<" if form == "<" else ">", 23 if kind == "i4" else 21
    head = np.array([1, 0, oid, len(values), 1] if values else [0, 0, oid], f"{order}i4").tobytes()
    if form != "sent":
        return head + np.array(values, order + kind).tobytes()
    width = np.dtype(kind).itemsize
    return head + b"".join(
        width.to_bytes(4, "big") + np.array(each, f">{kind}").tobytes() for each in values
    )


def row(number: int, values: list[int], codes: list[int] | None, form: str) -> bytes:
    fields = [number.to_bytes(4, "big"), array(values, "i4", form)]
    written = b"".join(len(field).to_bytes(4, "big") + field for field in fields)
    last = array(codes, "i2", form) if codes is not None else None
    tail = b"\xff" * 4 if last is None else len(last).to_bytes(4, "big") + last
    return (3).to_bytes(2, "big") + written + tail


@given(rows=LISTS, form=st.sampled_from(["<", ">", "sent"]))
def test_rows_of_any_shape_come_in_their_order(
    rows: list[tuple[int, list[int], list[int] | None]], form: str
) -> None:
    found = binary_octets.decode([row(*each, form) for each in rows], (">i4",), ("i4", "i2"))
    assert found.scalars[0].tolist() == [number for number, *_ in rows]
    assert found.length.tolist() == [len(values) for _, values, _ in rows]
    for index, (_, values, codes) in enumerate(rows):
        for matrix, given_ in zip(found.arrays, (values, codes or []), strict=True):
            rest = [0] * (matrix.shape[1] - len(given_))
            assert matrix[index].tolist() == given_ + rest


@given(rows=LISTS.filter(bool), data=st.data())
def test_other_octets_are_refused_or_are_rows(
    rows: list[tuple[int, list[int], list[int] | None]], data: st.DataObject
) -> None:
    octets = bytearray(row(*rows[0], "<"))
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    for changed in (bytes(octets), bytes(octets[:at])):
        try:
            found = binary_octets.decode([changed], (">i4",), ("i4", "i2"))
        except ValueError:
            continue
        assert len(found.length) == 1


@pytest.mark.storage
def test_what_the_server_gives_is_what_it_holds(database_url: str) -> None:
    """As the private server's superuser, and as one who may only have arrays as they are sent."""
    query = (
        "SELECT n::integer, {0}(CASE n WHEN 3 THEN '{{}}' ELSE ARRAY[n, -n, 7] END::integer[]),"
        " {0}(CASE n WHEN 2 THEN NULL ELSE ARRAY[n, 9] END::smallint[])"
        " FROM generate_series(1, 3) AS n ORDER BY n"
    )
    with database.connect(database_url) as connection:
        for function in ("array_octets", "array_send"):
            rows = binary_copy.rows(connection, query.format(function), {})
            found = binary_octets.decode(rows, (">i4",), ("i4", "i2"))
            assert found.length.tolist() == [3, 3, 0]
            assert found.arrays[0].tolist() == [[1, -1, 7], [2, -2, 7], [0, 0, 0]]
            assert found.arrays[1].tolist() == [[1, 9, 0], [0, 0, 0], [3, 9, 0]]
