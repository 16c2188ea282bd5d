"""Bills of random towns against an oracle that was written from the documents alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from schemas import database
from tests.mdm.oracle import bill, chain, fleet
from tests.mdm.oracle.fleet import Town, seeds


def expected(town: Town, mrid: str) -> bill.Lines:
    house = next(house for house in town.houses if house.mrid == mrid)

    def peaks(keys: Mapping[str, object]) -> Sequence[datetime]:
        of = bill.standing(town.tariffs, house.tariff, house.commodity, town.first)
        return bill.moments(town.houses, of, keys, town.first, town.until)

    return bill.lines(house, town.tariffs, town.first, town.until, peaks=peaks)


@pytest.mark.parametrize("seed", seeds(4))
def test_a_town_is_billed_as_the_documents_say(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    town = fleet.town(random)
    with database.connect(database_url, autocommit=True) as connection:
        made = chain.placed(connection, town)
        if random.random() < 0.5:
            chain.summed(made, made.over)
        rows = chain.billed(made, tmp_path, made.over, partition=random.choice((1, 3, 1000)))
    assert set(rows) == {house.mrid for house in town.houses}
    wrong = {
        mrid: found for mrid, row in sorted(rows.items())
        if (found := chain.differences(expected(town, mrid), row))
    }  # fmt: skip
    assert not wrong, "\n".join(f"{m}: {line}" for m, lines in wrong.items() for line in lines)
