"""Drafts of determinant sets: results with their holds, inputs and digests."""

from __future__ import annotations

from collections.abc import Mapping

from mdm import cycle_beside, cycle_digests, cycle_gates, cycle_inputs
from mdm.cycle_sets import Draft
from mdm.determinants import composition
from mdm.determinants.batch import Batch
from mdm.determinants.composition import Result
from schemas.database import Connection


def drafts(
    connection: Connection, batch: Batch, found: Mapping[int, Result], *, waits: bool
) -> list[Draft]:
    """Put results together with what they were computed from.

    Parameters
    ----------
    waits : whether what is held or incomplete waits for more data
    """
    beside = cycle_beside.beside(connection, batch)
    holds = {
        point: cycle_gates.holds(batch.tariff, result, beside[point])
        for point, result in found.items()
    }
    versions = cycle_digests.named_versions(batch)
    inputs = cycle_digests.digests(batch, versions)
    rule_sets = cycle_inputs.rule_sets(connection, batch)
    digests = composition.digests(found)
    return [
        Draft(
            usage_point_id=point,
            determinants=result.determinants,
            holds=holds[point],
            waits=waits and bool(holds[point] or not cycle_gates.complete(result, beside[point])),
            spans=batch.spans.get(point, ()),
            dials=batch.dials.get(point, {}),
            facts=batch.facts[point].text if point in batch.facts else "",
            blocks={c.id: versions[c.id] for c in batch.every_channel(point)},
            rule_sets=rule_sets[point],
            input_digest=inputs[point],
            digest=digests[point],
        )
        for point, result in found.items()
    ]
