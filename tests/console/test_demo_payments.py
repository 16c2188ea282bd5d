"""The demonstration's payments: who pays what, and what is owed then."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from console.demo import payments
from mdm import cycle, delivery
from schemas import database
from simulators import invoicing
from tests.console.shell import Shell
from tests.mdm.billing import NOW, add_whole, june


def test_one_pays_all_one_the_half_one_nothing(
    miqyas: Shell, database_url: str, tmp_path: Path
) -> None:
    with (
        invoicing.serving(tmp_path / "books.sqlite") as system,
        database.connect(database_url, autocommit=True) as connection,
    ):
        for mrid in ("UP-1", "UP-2", "UP-3"):
            add_whole(connection, mrid, sector="government")
        assert "No invoicing system has told a balance yet" in miqyas("bill", "balances").out
        this = june(connection)
        cycle.run(connection, this, now=NOW)
        delivery.deliver(connection, this, target=system.url, now=NOW)
        # 28.8 kWh at 25 fils are 0.720 KD; half of it is 0.360.
        paid = payments.pay(connection, system.ledger, now=NOW)
        assert (paid.accounts, paid.problems) == (3, ())
        sums = paid.posted_back, paid.invoiced, paid.paid, paid.balance
        assert [str(one) for one in sums] == ["2.160", "2.160", "1.080", "1.080"]
        assert paid.ages["31-60"] == Decimal("1.080")
        shown = miqyas("bill", "balances")
        assert "3 accounts: 3 owe 2.160 KWD, credit is 0 KWD, as of 2026-06-05" in shown.out
        assert "UP-1 0.720 KWD 2026-06-05 1" in " ".join(shown.out.split())
        assert "Account UP-2" in miqyas("bill", "balances", "UP-2").out
        assert "Account nobody: nothing" in miqyas("bill", "balances", "nobody").out
