"""Reads many plain notifications at once: by layouts where they have one, else one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.dlms import push_layout
from drivers.dlms.push_content import Terms
from drivers.dlms.push_layout import Layout, Moments, Readings
from drivers.errors import RemoteProtocolError

# Makes of one length under the same terms; beyond that, and for what has no layout, tries are few.
_MOST_ALIKE: Final = 8
_MOST_TRIES: Final = 24
# Lengths and terms that are remembered; all are forgotten when there are more.
_MOST_KEYS: Final = 512
# A layout is not worth its making for less.
_FEWEST_ROWS: Final = 4

_Key = tuple[Terms, int]


class Layouts:
    """The layouts that were made so far, by terms and length; not for two threads at a time."""

    def __init__(self) -> None:
        self._made: defaultdict[_Key, list[Layout]] = defaultdict(list)
        self._tries: defaultdict[_Key, int] = defaultdict(int)

    def read(
        self, apdus: Sequence[bytes], terms: Sequence[Terms], received_at: Moments
    ) -> tuple[list[Readings], NDArray[np.intp]]:
        """Read plain notifications.

        Parameters
        ----------
        apdus, terms, received_at : of each notification; shape (n,) [µs since 1970-01-01 UTC]

        Returns
        -------
        what layouts read, and the numbers of the notifications that none could read
        """
        groups: defaultdict[_Key, list[int]] = defaultdict(list)
        for place, (apdu, term) in enumerate(zip(apdus, terms, strict=True)):
            groups[term, len(apdu)].append(place)
        found: list[Readings] = []
        left = np.ones(len(apdus), np.bool_)
        for key, places in groups.items():
            for readings in self._alike(key, [apdus[i] for i in places], places, received_at):
                left[readings.rows] = False
                found.append(readings)
        return found, left.nonzero()[0]

    def _alike(
        self, key: _Key, apdus: list[bytes], places: list[int], received_at: Moments
    ) -> list[Readings]:
        """Read notifications of one length under the same terms."""
        octets = np.frombuffer(b"".join(apdus), np.uint8).reshape(len(apdus), key[1])
        rows = np.array(places)
        waiting = np.ones(len(apdus), np.bool_)
        found = []
        for layout in self._layouts(key, apdus, waiting):
            chosen = (waiting & layout.matches(octets)).nonzero()[0]
            if len(chosen):
                waiting[chosen] = False
                picked = octets if len(chosen) == len(apdus) else octets[chosen]
                found.append(layout.read(picked, rows[chosen], received_at[rows[chosen]]))
        return found

    def _layouts(
        self, key: _Key, apdus: list[bytes], waiting: NDArray[np.bool_]
    ) -> Iterator[Layout]:
        """Give the layouts of a length, then new ones for what waits still."""
        if len(self._made) > _MOST_KEYS:
            self._made.clear()
            self._tries.clear()
        made = self._made[key]
        yield from tuple(made)
        tried = 0
        while len(made) < _MOST_ALIKE and self._tries[key] < _MOST_TRIES:
            left = waiting.nonzero()[0]
            if len(left) - tried < _FEWEST_ROWS:
                return
            self._tries[key] += 1
            layout = _compiled(apdus[left[tried]], key[0])
            if layout is None:
                tried += 1
            else:
                made.append(layout)
                yield layout


def _compiled(apdu: bytes, terms: Terms) -> Layout | None:
    try:
        return push_layout.compiled(apdu, terms)
    except RemoteProtocolError:
        return None
