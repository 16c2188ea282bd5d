"""Pages as they are stored: a row a determinant set, beside the heading that its lines share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mdm import readings_columns
from mdm.determinants.pages import Heading, Pages
from schemas import binary_copy, statements
from schemas.binary_fields import Column
from schemas.database import Connection

_SQL = statements.load("mdm", "cycle_pages.sql")
_COUNTS: Final = ("actual", "questionable", "missing", "estimated", "edited")


def write(connection: Connection, pages: Pages, rows: Sequence[int], sets: Sequence[int]) -> None:
    """COPY pages.

    Parameters
    ----------
    rows, sets : of the pages, and the determinant sets that they belong to
    """
    chosen, ids = np.array(rows, np.intp), np.array(sets, np.int64)
    columns = {
        "determinant_set_id": Column("int8", ids),
        "heading_id": Column("int4", np.full(len(ids), _heading(connection, pages.headings))),
        "units": Column("int8[]", pages.units[chosen]),
        "starts_at": _moments(pages.starts_at[chosen]),
        "ends_at": _moments(pages.ends_at[chosen]),
    }
    if pages.end_devices:
        names = [pages.end_devices[row].encode() for row in rows]
        columns["end_device"] = Column("text", np.array(names, "S"))
    for index, name in enumerate(_COUNTS):
        counts = pages.counts[chosen, :, index]
        columns[name] = Column("int4[]", counts, null=(counts == 0).all(axis=1))
    binary_copy.write(connection, "determinant_page", columns)


def _heading(connection: Connection, headings: Sequence[Heading]) -> int:
    """Give the id of a heading; it is kept if nobody has kept it yet."""
    text = json.dumps(headings, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    row = connection.execute(_SQL["heading"], {"digest": digest}).fetchone()
    if row is None:
        names, reading_types, parts, units, places, roundings, notes = (
            list(column) for column in zip(*headings, strict=True)
        )
        columns = {
            "names": names,
            "reading_types": reading_types,
            "parts": parts,
            "scales": [None if of is None else Decimal(1).scaleb(-of) for of in places],
            "units": units,
            "roundings": roundings,
            "notes": notes,
        }
        row = connection.execute(_SQL["add_heading"], {"digest": digest, **columns}).fetchone()
    assert row is not None  # noqa: S101  # RETURNING gives the row that was inserted
    return int(row[0])


def _moments(seconds: NDArray[np.int64]) -> Column:
    return Column("timestamptz[]", seconds * readings_columns.SECOND)
