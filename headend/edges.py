"""Sparkplug's edge nodes as a listener knows them: what their birth certificates say. Pure.

Nothing of this is kept: after a restart nodes are asked for their certificates, as the standard
has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from drivers.mqtt.formats import sparkplug
from drivers.mqtt.formats.sparkplug import Edge
from drivers.mqtt.payload import Malformed, Message
from drivers.mqtt.setting import Known

_NOTHING: Final[Mapping[int, Known]] = {}
_PATIENCE_SECONDS: Final = 60.0


class Edges:
    """What is known of edge nodes, and who should be asked for a birth certificate.

    Attributes
    ----------
    asked : topics that a rebirth should be asked at
    """

    def __init__(self, known: Mapping[str, Edge] | None = None) -> None:
        self._known = dict(known or {})
        self.asked: set[str] = set()

    def copy(self) -> Edges:
        """Give one that can be thrown away, if what it was told is told again."""
        return Edges(self._known)

    def hear(self, message: Message) -> Mapping[int, Known]:
        """Take a message into account; give the aliases that it may use."""
        where = sparkplug.address(message.topic)
        if where is None:
            return _NOTHING
        before = self._known.get(where.edge)
        if before is None and len(self._known) >= sparkplug.MOST_NODES:
            return _NOTHING
        try:
            now, missed = sparkplug.follow(before, where, message.payload)
        except Malformed:
            # The decoder says so, too, and it goes to the quarantine.
            return _NOTHING
        self._known[where.edge] = now
        if missed:
            self.asked.add(where.rebirth_topic)
        return now.aliases.get(where.device, _NOTHING)


def context(message: Message, aliases: Mapping[int, Known]) -> dict[str, object]:
    """Keep what a message needs to be read later, for the quarantine."""
    used = sparkplug.aliases_of(message) if aliases else ()
    names = {str(alias): list(aliases[alias]) for alias in used if alias in aliases}
    return {"aliases": names} if names else {}


def aliases(kept: Mapping[str, object]) -> dict[int, Known]:
    """Take the aliases out of what ``context`` kept."""
    names = kept.get("aliases")
    found = names.items() if isinstance(names, dict) else ()
    return {int(alias): (str(name), int(datatype)) for alias, (name, datatype) in found}


def unasked(topics: Iterable[str], asked_at: dict[str, float], now: float) -> list[str]:
    """Choose topics that were not asked at within the last minute, and note them.

    Parameters
    ----------
    asked_at : when each was asked at [s], changed here; what is old is forgotten
    now : [s] of the same clock
    """
    for old in [topic for topic, at in asked_at.items() if now - at > _PATIENCE_SECONDS]:
        del asked_at[old]
    chosen = [topic for topic in topics if topic not in asked_at]
    asked_at.update(dict.fromkeys(chosen, now))
    return chosen
