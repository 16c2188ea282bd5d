"""What was measured and recorded, and then comes out otherwise: replaced, or kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from schemas import quality
from schemas.quality import QualityClass
from validation import delivery, views
from validation.condition import ALWAYS
from validation.matrix import Cube
from validation.ruleset import RuleSet
from validation.views import Changed, Views

_SURE: Final = (QualityClass.VALID, QualityClass.EDITED)


def kept(cube: Cube, seen: Views, rule_set: RuleSet) -> tuple[Cube, Views]:
    """Put the recorded value in the place of each that the set's rule does not let replace it.

    Parameters
    ----------
    cube : with the record's values in ``delivered``; it is not changed
    seen : its views
    rule_set : without the rule ``replacement`` nothing is kept

    Returns
    -------
    the cube, and its views with what was found changed
    """
    uses = [use for use in rule_set.rules if use.rule is delivery.replacement]
    if not uses:
        return cube, seen
    found = changed(cube)
    stays = np.zeros(len(found.cells), dtype=np.bool_)
    for use in uses:
        mine = use.when.of(cube, seen) if use.when != ALWAYS else cube.target
        wanted: dict[str, Any] = dict(use.parameters)
        hold = wanted.pop("beyond") == "hold"
        far = delivery.far(found, **wanted)
        stays |= mine.ravel()[found.cells // cube.shape[2]] & (found.worse | ~far | hold)
    cells = found.cells[stays]
    if not len(cells) or cube.delivered is None or cube.delivered.stored_quality is None:
        return cube, replace(seen, changed=found)
    values, codes = cube.values.copy(order="C"), cube.quality.copy(order="C")
    values.ravel()[cells] = found.stored[stays]
    codes.ravel()[cells] = cube.delivered.stored_quality.ravel()[cells]
    cube = replace(cube, values=values, quality=codes)
    return cube, replace(views.of(cube), changed=found)


def changed(cube: Cube) -> Changed:
    """Give the slots of target days that the record has measured, and that now differ from it.

    What a person edited ranks above what was measured: it is never among them.
    """
    told = cube.delivered
    if told is None or told.stored is None or told.stored_quality is None:
        return views.no_changes()
    classes = quality.class_table()
    days = cube.target[:, :, None] & cube.days.exists
    if cube.outside is not None:
        days = days & ~cube.outside
    measured = days & (classes[told.stored_quality] == QualityClass.VALID)
    came = classes[cube.quality]
    worse = ~np.isin(came, _SURE)
    differs = worse | ((cube.values != told.stored) & (came == QualityClass.VALID))
    cells = np.flatnonzero(measured & differs)
    return Changed(
        cells,
        cube.values.ravel()[cells].astype(np.int64),
        told.stored.ravel()[cells].astype(np.int64),
        worse.ravel()[cells],
    )
