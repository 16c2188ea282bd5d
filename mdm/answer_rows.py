"""Rows of the CSV files that receivers leave beside their exports; what is wrong has its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from mdm.delivery_files import DeliveryError

LARGEST: Final = 64 * 2**20
"""Bytes of the largest such file that is read."""

Row = Mapping[str, str]
_T = TypeVar("_T")


def read(
    name: str, content: bytes, columns: Sequence[str], made: Callable[[Row, int], _T]
) -> Iterator[_T]:
    """Make something of each row.

    Parameters
    ----------
    columns : that it must have; others may be there, too
    made : given a row and its line; raises KeyError, TypeError or ValueError if it is none

    Raises
    ------
    DeliveryError
        with the line that is wrong.
    """
    needs = f"needs {', '.join(columns)}"
    if len(content) > LARGEST:
        raise DeliveryError(f"{name} is larger than {LARGEST} bytes; cut it in parts")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DeliveryError(f"{name} is not a CSV file in UTF-8; {needs}") from problem
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if not set(columns) <= set(reader.fieldnames or ()):
            raise DeliveryError(f"{name}, line 1: the columns are not named; {needs}")
        for row in reader:
            # What is missing at a row's end is empty.
            yield made({key: cell or "" for key, cell in row.items()}, reader.line_num)
    except (KeyError, TypeError, ValueError, csv.Error) as problem:
        where = f"{name}, line {reader.line_num}"
        raise DeliveryError(f"{where}: {problem}; {needs}") from problem
