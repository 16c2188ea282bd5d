"""``spBv1.0/<group>/<type>/<node>[/<device>]``: Sparkplug B edge nodes and their devices.

A birth certificate names the metrics; data may then say only their aliases. ``follow`` keeps what
the certificates say and counts sequence numbers; ``decode`` reads one message with that, and a
mapping says which metrics are which readings.

References
----------
Eclipse Sparkplug 3.0, §4 (topics), §5 (birth, death, sequence), §6 (payloads).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from drivers.mqtt.formats.sparkplug_wire import Metric, Payload, Value, parse, typed
from drivers.mqtt.payload import Delivery, Malformed, Message, epoch
from drivers.mqtt.setting import Known, Setting
from schemas.reading import RegisterReading

_BIRTHS: Final = ("NBIRTH", "DBIRTH")
_DATA: Final = ("NDATA", "DDATA")
_DEATHS: Final = ("NDEATH", "DDEATH")
_SEQUENCE: Final = 256
_MOST_DEVICES: Final = 1000
_MOST_ALIASES: Final = 5000

MOST_NODES: Final = 10_000
"""Edge nodes that are followed at a time."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What is known of an edge node; ``aliases`` by device, the node's own under the empty name.

    ``seq`` is that of its last message; None where the next cannot be told. ``bd_seq`` numbers the
    session that its birth began.
    """

    seq: int | None = None
    bd_seq: Value | None = None
    aliases: Mapping[str, Mapping[int, Known]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a topic; ``device`` is empty for the node's own messages."""

    group: str
    kind: str
    node: str
    device: str

    @property
    def edge(self) -> str:
        """The edge node's name: group and node."""
        return f"{self.group}/{self.node}"

    @property
    def rebirth_topic(self) -> str:
        """Where the node takes commands."""
        return f"spBv1.0/{self.group}/NCMD/{self.node}"


def address(topic: str) -> Address | None:
    """Take a topic apart; None where it is none of birth, data, death of this convention."""
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != "spBv1.0" or not all(levels):
        return None
    kind, device = levels[2], levels[4] if len(levels) == 5 else ""
    if kind not in _BIRTHS + _DATA + _DEATHS or (kind[0] == "D") != bool(device):
        return None
    return Address(levels[1], kind, levels[3], device)


def follow(edge: Edge | None, where: Address, payload: bytes) -> tuple[Edge, bool]:
    """Take a message into account.

    Parameters
    ----------
    edge : as it was before; None where nothing is known

    Returns
    -------
    what is known now, and whether the node should be asked for its birth certificate: a message
    was missed, or there was none yet. What was missed may have been a birth, so aliases of before
    do not count any more.

    Raises
    ------
    Malformed
        if it is no payload; what is known stays.
    """
    said = parse(payload)
    if where.kind == "NBIRTH":
        return _born(Edge(said.seq, _bd_seq(said)), where, said), False
    if where.kind == "NDEATH":
        # A broker may tell of the death of the session before this one.
        of_before = edge is not None and None not in (edge.bd_seq, _bd_seq(said))
        same = edge is None or not of_before or edge.bd_seq == _bd_seq(said)
        return (Edge() if same or edge is None else edge), False
    if edge is None or edge.seq is None or said.seq != (edge.seq + 1) % _SEQUENCE:
        missed = Edge()
        # A device's birth certificate holds by itself, whatever was missed before.
        return (_born(missed, where, said) if where.kind == "DBIRTH" else missed), True
    known = replace(edge, seq=said.seq)
    if where.kind == "DBIRTH":
        return _born(known, where, said), False
    if where.kind == "DDEATH":
        rest = {name: of for name, of in known.aliases.items() if name != where.device}
        return replace(known, aliases=rest), False
    return known, False


def aliases_of(message: Message) -> tuple[int, ...]:
    """List the aliases that a message uses without saying their names."""
    where = address(message.topic)
    if where is None:
        return ()
    try:
        metrics = parse(message.payload).metrics
    except Malformed:
        return ()
    return tuple(one.alias for one in metrics if one.alias is not None and not one.name)


def decode(message: Message, setting: Setting) -> Delivery:
    """Decode a birth or data message; deaths, commands and states have nothing for anybody.

    Raises
    ------
    Malformed
        if it is no payload, or says aliases that no birth certificate names.
    """
    where = address(message.topic)
    if where is None or where.kind in _DEATHS:
        return Delivery("", "", ())
    said = parse(message.payload)
    if all(_is_control(metric) for metric in said.metrics):
        return Delivery("", "", ())
    identity = f"{where.edge}/{where.device}" if where.device else where.edge
    if setting.mapping is None:
        return Delivery(identity, "", (), unmapped=True)
    metrics = list(_named(said, setting.aliases))
    wanted = {path[0] for entry in setting.mapping.entries for path in entry.fields}
    chosen = [one for one in metrics if one.name in wanted and one.value is not None]
    return Delivery(identity, "", tuple(_readings(message, setting, said, chosen)))


def _readings(
    message: Message, setting: Setting, said: Payload, metrics: Sequence[Metric]
) -> Iterator[RegisterReading]:
    """Give the readings, those of one moment together: metrics have times of their own."""
    if setting.mapping is None:
        return
    times = dict.fromkeys(_time(metric, said) for metric in metrics)
    for time in times:
        at = message.received_at if time is None else epoch(Decimal(time) / 1000)
        fields = {one.name: one.value for one in metrics if _time(one, said) == time}
        yield from setting.mapping.readings(fields, at)


def _time(metric: Metric, said: Payload) -> int | None:
    return said.timestamp if metric.timestamp is None else metric.timestamp


def _named(said: Payload, aliases: Mapping[int, Known]) -> Iterator[Metric]:
    """Give every metric its name and its value by its data type."""
    for metric in said.metrics:
        known = aliases.get(metric.alias) if metric.alias is not None else None
        name = metric.name or (known[0] if known else "")
        if not name:
            raise Malformed(
                f"alias {metric.alias}: no birth certificate names it; the node was asked for one"
            )
        datatype = metric.datatype or (known[1] if known else 0)
        yield replace(metric, name=name, value=typed(metric, datatype))


def _is_control(metric: Metric) -> bool:
    """Tell whether a metric is the session's own (§6.4.24), as a gateway's birth has them."""
    return metric.name == "bdSeq" or metric.name.startswith(("Node Control/", "Device Control/"))


def _bd_seq(said: Payload) -> Value | None:
    return next((one.value for one in said.metrics if one.name == "bdSeq"), None)


def _aliases(said: Payload) -> dict[int, Known]:
    return {
        one.alias: (one.name, one.datatype)
        for one in said.metrics
        if one.alias is not None and one.name
    }


def _born(edge: Edge, where: Address, said: Payload) -> Edge:
    aliases = {**edge.aliases, where.device: _aliases(said)}
    if len(aliases) > _MOST_DEVICES or sum(map(len, aliases.values())) > _MOST_ALIASES:
        raise Malformed(f"more than {_MOST_DEVICES} devices or {_MOST_ALIASES} aliases of a node")
    return replace(edge, aliases=aliases)
