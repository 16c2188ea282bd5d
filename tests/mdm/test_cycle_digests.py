"""The digest of a set's inputs is that of one JSON text, however it is put together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mdm import cycle_digests
from mdm.determinants.batch import Batch
from mdm.determinants.facts import Facts
from mdm.determinants.registers import Reading, Span, Stretch
from tests.mdm.test_determinants_pages import towns

READINGS = st.one_of(
    st.none(), st.builds(Reading, *(st.integers(0, 2**40) for _ in range(3)), st.just(0))
)
SPANS = st.builds(
    Span,
    st.builds(
        Stretch,
        installation_id=st.integers(1, 99),
        channel_id=st.one_of(st.none(), st.integers(1, 99)),
        end_device=st.text(),
        interval_seconds=st.integers(1, 3600),
        multiplier=st.decimals(Decimal("0.000001"), Decimal(99999), places=6),
        modulus=st.one_of(st.none(), st.integers(1, 10**12)),
        starts_at=st.integers(0, 2**40),
        ends_at=st.integers(0, 2**40),
    ),
    READINGS,
    READINGS,
)
DIALS = st.dictionaries(st.sampled_from(["a", "water €"]), st.lists(SPANS, max_size=2), max_size=2)


def described(span: Span) -> list[object]:
    stretch = span.stretch
    return [
        *(stretch.installation_id, stretch.channel_id, stretch.end_device),
        *(stretch.interval_seconds, f"{stretch.multiplier:.6f}", stretch.modulus),
        *(stretch.starts_at, stretch.ends_at),
        [(r.read_at, r.version) if r else None for r in (span.start, span.end)],
    ]


def expected(batch: Batch, point: int) -> str:
    """Give the digest as it is defined; sets of all years were stored with it."""
    versions = cycle_digests.named_versions(batch)
    channels = [
        [c.id, c.interval_seconds, versions[c.id][0].tolist(), versions[c.id][1].tolist()]
        for c in batch.every_channel(point)
    ]
    dials = sorted(batch.dials.get(point, {}).items())
    more = [[kind, *map(described, several)] for kind, several in dials]
    facts = batch.facts[point].text if point in batch.facts else ""
    named = [batch.tariff.digest, batch.calendar.digest, batch.zone.key, str(batch.period)]
    spans = [described(span) for span in batch.spans.get(point, ())]
    whole = [named, channels, spans, *([more] if more else []), *([facts] if facts else [])]
    return hashlib.sha256(json.dumps(whole, separators=(",", ":")).encode()).hexdigest()


@settings(max_examples=60)
@given(town=towns(), spans=st.lists(SPANS, max_size=2), dials=DIALS, fact=st.booleans())
def test_the_digest_is_that_of_the_text(
    town: Batch, spans: list[Span], dials: dict[str, list[Span]], fact: bool
) -> None:
    first = town.usage_points[0]
    facts = {first: Facts(peaks={'"k"': (5, 6)})} if fact else {}
    batch = replace(town, spans={first: spans}, dials={first: dials}, facts=facts)
    made = cycle_digests.digests(batch)
    assert made == {point: expected(batch, point) for point in batch.usage_points}
