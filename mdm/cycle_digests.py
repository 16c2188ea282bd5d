"""What a determinant set was computed from, in one number: the digest of its inputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from json import encoder
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mdm.determinants.batch import Batch
from mdm.determinants.registers import Span

Versions = Mapping[int, tuple[NDArray[np.int64], NDArray[np.int32]]]


def digests(batch: Batch, versions: Versions | None = None) -> dict[int, str]:
    """Give the SHA-256 of each usage point's inputs: definitions, versions, installations.

    Parameters
    ----------
    versions : ``named_versions`` of the batch, if the caller has them
    """
    named = [batch.tariff.digest, batch.calendar.digest, batch.zone.key, str(batch.period)]
    shared = _dumped(named)
    versions, written = versions or named_versions(batch), _Lists()
    found = {}
    for point in batch.usage_points:
        channels = ",".join(
            f"[{c.id},{c.interval_seconds},{written.of(starts)},{written.of(version)}]"
            for c in batch.every_channel(point)
            for starts, version in [versions[c.id]]
        )
        spans = ",".join(map(_written, batch.spans.get(point, ())))
        # What a set has none of is not in its digest: older sets have none of these.
        text = f"[{shared},[{channels}],[{spans}]"
        if dials := batch.dials.get(point):
            kinds = (
                ",".join([_dumped(kind), *map(_written, several)])
                for kind, several in sorted(dials.items())
            )
            text += f",[{','.join(f'[{kind}]' for kind in kinds)}]"
        if facts := batch.facts[point].text if point in batch.facts else "":
            text += f",{_dumped(facts)}"
        found[point] = hashlib.sha256(f"{text}]".encode()).hexdigest()
    return found


def _written(span: Span) -> str:
    """Write a span as canonical JSON."""
    stretch = span.stretch
    channel = "null" if stretch.channel_id is None else stretch.channel_id
    modulus = "null" if stretch.modulus is None else stretch.modulus
    device = encoder.encode_basestring_ascii(stretch.end_device)
    start, end = (f"[{r.read_at},{r.version}]" if r else "null" for r in (span.start, span.end))
    return (
        f"[{stretch.installation_id},{channel},{device},"
        f'{stretch.interval_seconds},"{_multiplier(stretch.multiplier)}",{modulus},'
        f"{stretch.starts_at},{stretch.ends_at},[{start},{end}]]"
    )


@lru_cache(maxsize=1024)
def _multiplier(value: Decimal) -> str:
    """Write a multiplier; a fleet's meters have a few."""
    return f"{value:.6f}"


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class _Lists(dict[tuple[str, bytes], str]):
    """Lists of numbers as JSON: nearly all channels have the same days in the same versions."""

    def of(self, column: NDArray[Any]) -> str:
        """Write a list, or give it as it was written."""
        key = column.dtype.str, column.tobytes()
        if (found := self.get(key)) is None:
            found = self[key] = _dumped(column.tolist())
        return found


def named_versions(batch: Batch) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int32]]]:
    """Give starts [s since 1970-01-01 UTC] and versions of every channel's blocks, in order."""
    blocks = batch.blocks
    channel, starts, version = blocks.channel_id, blocks.starts_at, blocks.version
    # No channel's number has more than 31 bits, no moment of this age more than 33.
    key = (channel.astype(np.int64) << 33) + starts if (starts >= 0).all() else None
    if key is None or not (key[1:] >= key[:-1]).all():
        order = np.lexsort((starts, channel)) if key is None else np.argsort(key, kind="stable")
        channel, starts, version = channel[order], starts[order], version[order]
    wanted = [item.id for point in batch.usage_points for item in batch.every_channel(point)]
    first = np.searchsorted(channel, wanted).tolist()
    end = np.searchsorted(channel, wanted, side="right").tolist()
    return {
        number: (starts[since:until], version[since:until])
        for number, since, until in zip(wanted, first, end, strict=True)
    }
