"""Delivery to readers of the database: the views ``billing_export…`` show an export at once.

Nothing is copied: the export's sets stand in the database, and marking it delivered is what shows
them. Readers acknowledge with the SQL function ``acknowledge_bill``, at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mdm.acknowledgement import Acknowledgement
from mdm.delivery_access import Way
from mdm.delivery_files import Package
from mdm.delivery_folder import Answer

TARGET: Final = "database:"
"""The target's only name; the views look for it."""


def sent(
    _target: str, _export: str, _package: Package, _way: Way
) -> Iterator[Sequence[Acknowledgement]]:
    """Leave an export where it is; who reads it acknowledges later."""
    return iter(())


def answers(_target: str, _sought: object, _way: Way) -> list[Answer]:
    """Give no files: ``acknowledge_bill`` writes down what it is told."""
    return []
