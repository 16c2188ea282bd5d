"""Tables of facts that stand as CSV files beside the code."""

from __future__ import annotations

import csv
from importlib import resources


def rows(name: str) -> list[dict[str, str]]:
    """Read a table of facts, one dict a row.

    Parameters
    ----------
    name : file name in ``schemas/``, such as ``reading_types.csv``
    """
    text = resources.files("schemas").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
