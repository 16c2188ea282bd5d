"""Profiles that are no one map: what a meter says about itself tells which map is right. Pure.

A search yields what it wants to know as spans, is sent the words (None where the meter has no such
registers), and gives the map in the end, or None. The map's ``proof`` are words that must still be
there when it is used again: it is read with the values, and costs no search as long as it holds.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from drivers.modbus import decode, register_map
from drivers.modbus.register_map import RegisterMap, Span

Search = Generator[Span, Sequence[int] | None, RegisterMap | None]


def by_product(family: str) -> Search:
    """Choose among a family's maps by the name that the meter gives itself."""
    known = [register_map.named(name) for name in register_map.names()]
    fields: dict[Span, list[RegisterMap]] = {}
    for one in known:
        if one.product is not None and one.product.family == family:
            fields.setdefault(one.product.field.span, []).append(one)
    for span, candidates in fields.items():
        words = yield span
        if words is None:
            continue
        for one in candidates:
            if one.product is not None:
                said = decode.text(words, one.product.field).lower()
                if said.startswith(one.product.names):
                    return register_map.proven(one, {span: tuple(words)})
    return None


def words_at(memory: Mapping[tuple[int, int], int], span: Span) -> tuple[int, ...] | None:
    """Take a span's words out of what was read; None if one of them was not."""
    places = [(span.function, address) for address in range(span.address, span.end)]
    if any(place not in memory for place in places):
        return None
    return tuple(memory[place] for place in places)


def holds(found: RegisterMap, memory: Mapping[tuple[int, int], int]) -> bool:
    """Tell whether a map's proof is among what was read."""
    return all(words_at(memory, span) == words for span, words in found.proof.items())
