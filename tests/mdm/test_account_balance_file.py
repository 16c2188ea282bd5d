"""What accounts owe, from files that a receiver leaves beside its acknowledgements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from mdm import account_balance, account_balance_file, cycle, delivery, delivery_answers
from mdm.account_balance import Balance
from mdm.cycle import Cycle
from mdm.delivery_answers import Collected
from mdm.delivery_files import DeliveryError
from schemas import database, statements
from schemas.database import Connection
from simulators import invoicing_folder, invoicing_prices
from simulators.invoicing_accounts import Account, Accounts
from simulators.invoicing_balance import Payment
from simulators.invoicing_ledger import Books, Ledger
from tests.console.shell import Shell
from tests.mdm import record
from tests.mdm.billing import NOW, add_whole, june, later

HEAD = "account,balance,currency,as_of,usage_point\n"
ACCOUNTS = Accounts({f"UP-{n}": Account("A-1", "Owner", "المالك") for n in (1, 2)})


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with database.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    books = Ledger(tmp_path / "books.sqlite", Books(ACCOUNTS, invoicing_prices.kuwait()))
    yield books
    books.close()


@pytest.fixture
def sent(connection: Connection, tmp_path: Path) -> tuple[Cycle, Path]:
    """Two usage points of one account, delivered to a folder."""
    for name in ("UP-1", "UP-2"):
        add_whole(connection, name)
    this, folder = june(connection), tmp_path / "out"
    cycle.run(connection, this, now=NOW)
    delivery.deliver(connection, this, target=str(folder), file_format="csv", now=NOW)
    return this, folder


def leave(folder: Path, name: str, *rows: str) -> None:
    (folder / "acknowledgements").mkdir(exist_ok=True)
    lines = "".join(f"{row}\n" for row in rows)
    (folder / "acknowledgements" / name).write_text(f"{HEAD}{lines}")


def collect(connection: Connection, this: Cycle, hours: int = 1) -> Collected:
    return delivery_answers.collect(connection, this, now=later(hours))


def owed(connection: Connection) -> list[tuple[str, str, date, list[str]]]:
    found = account_balance.newest(connection, 10)
    return [(one.account, str(one.balance), one.as_of, one.usage_points) for one in found]


def test_the_loop_closes_in_a_folder(
    connection: Connection, sent: tuple[Cycle, Path], ledger: Ledger, miqyas: Shell
) -> None:
    this, folder = sent
    assert invoicing_folder.look(folder, ledger) == []
    found = collect(connection, this)
    assert (found.files, found.taken.new, found.balances, found.problems) == (2, 2, 1, [])
    # Twice 28.8 kWh at 2 fils.
    assert owed(connection) == [("A-1", "0.116", NOW.date(), ["UP-1", "UP-2"])]
    assert delivery.exports(connection, this)[0].state == "acknowledged"
    # All is acknowledged, and balances still come: somebody has paid.
    assert ledger.accounts.pay("A-1", Payment("R-1", NOW.date(), Decimal("0.1")))
    assert invoicing_folder.look(folder, ledger) == []
    said = miqyas("bill", "acknowledge", "A", "2026-06-01")
    assert "1 balance new" in said.out + said.err
    assert owed(connection) == [("A-1", "0.016", NOW.date(), ["UP-1", "UP-2"])]
    again = collect(connection, this, 3)
    assert (again.files, again.taken.new, again.balances) == (1, 0, 0)
    said = miqyas("bill", "balances", "A-1")
    assert [line.split("│")[2:4] for line in said.lines if "0.116" in line]


def test_by_itself_it_is_looked_for_a_week_after_a_delivery(
    connection: Connection, sent: tuple[Cycle, Path], ledger: Ledger
) -> None:
    this, folder = sent
    invoicing_folder.look(folder, ledger)
    assert collect(connection, this).taken.new == 2
    leave(folder, "balances-b.csv", "A-1,7,KWD,2026-06-05,")
    long_after = delivery_answers.collect(connection, this, now=later(2), since=later(1))
    assert (long_after.files, long_after.balances) == (0, 0)
    soon = delivery_answers.collect(connection, this, now=later(2), since=NOW)
    assert (soon.files, soon.balances) == (2, 1)


def test_what_lies_there_does_not_come_back_after_something_newer(
    connection: Connection, sent: tuple[Cycle, Path]
) -> None:
    this, folder = sent
    leave(folder, "balances-1.csv", "A-1,10,KWD,2026-06-05,UP-1")
    leave(folder, "balances-2.csv", "A-1,5,KWD,2026-06-05,UP-1")
    assert collect(connection, this).balances == 2
    assert owed(connection) == [("A-1", "5", date(2026, 6, 5), ["UP-1"])]
    # Both still lie there; one of an older day comes late.
    leave(folder, "balances-3.csv", "A-1,99,KWD,2026-06-04,UP-1")
    assert [collect(connection, this, hours).balances for hours in (2, 3)] == [1, 0]
    assert owed(connection) == [("A-1", "5", date(2026, 6, 5), ["UP-1"])]
    # The same file with other content is news, and so is what it said first when it says it again.
    for hours, amount in ((4, "8"), (5, "10")):
        leave(folder, "balances-1.csv", f"A-1,{amount},KWD,2026-06-05,UP-1")
        assert collect(connection, this, hours).balances == 1
        assert owed(connection)[0][1] == amount
    said = account_balance.of_account(connection, "A-1", 10)
    assert [str(one.balance) for one in said] == ["10", "8", "5", "10", "99"]
    with pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute("DELETE FROM account_balance_file")


def test_a_wrong_file_is_named_with_its_line_and_keeps_nobody_from_the_others(
    connection: Connection, sent: tuple[Cycle, Path]
) -> None:
    this, folder = sent
    leave(folder, "balances-1.csv", "A-1,1.5,KWD,2026-06-05,UP-1", "A-2,12 KD,KWD,2026-06-05,")
    leave(folder, "balances-2.csv", "A-3,2,KWD,2026-06-05,")
    (folder / "acknowledgements" / "balances.csv").mkdir()
    found = collect(connection, this)
    assert (found.files, found.balances) == (3, 1)
    assert owed(connection) == [("A-3", "2", date(2026, 6, 5), [])]
    first, second = sorted(found.problems)
    assert "balances-1.csv, line 3: account 'A-2' has no balance such as 12.500 KWD" in first
    assert "balances.csv cannot be read: Is a directory" in second
    # Mended, it is taken whole.
    leave(folder, "balances-1.csv", "A-1,1.5,KWD,2026-06-05,UP-1", "A-2,12,KWD,2026-06-05,")
    assert collect(connection, this, 2).balances == 2


def test_an_export_of_a_group_called_balances_is_acknowledged(
    connection: Connection, tmp_path: Path
) -> None:
    add_whole(connection, "UP-1", group="balances")
    this = june(connection, "balances")
    cycle.run(connection, this, now=NOW)
    done = delivery.deliver(connection, this, target=str(tmp_path), file_format="csv", now=NOW)
    name = f"{done.exports[0].name}.csv"
    assert account_balance_file.named(name)
    (tmp_path / "acknowledgements").mkdir()
    answer = "usage_point,version,outcome,reason\nUP-1,1,billed,\n"
    (tmp_path / "acknowledgements" / name).write_text(answer)
    found = collect(connection, this)
    assert (found.taken.new, found.balances, found.problems) == (1, 0, [])


def test_rows_of_an_account_make_one_balance() -> None:
    rows = "A-1,1.50,KWD,2026-06-05,UP-2\nA-1,2,USD,2026-06-01,\nA-1,1.5,KWD,2026-06-05,UP-1\n"
    found = account_balance_file.balances("b.csv", f"\ufeff{HEAD}{rows}".encode(), now=NOW)
    assert found == [
        Balance("A-1", "KWD", Decimal("1.50"), date(2026, 6, 5), ("UP-1", "UP-2")),
        Balance("A-1", "USD", Decimal(2), date(2026, 6, 1), ()),
    ]
    # The column of usage points may be left out, others may be there.
    more = b"as_of,note,currency,balance,account\n2026-06-05,x,KWD,-3,A\n"
    (one,) = account_balance_file.balances("b.csv", more, now=NOW)
    assert one == Balance("A", "KWD", Decimal(-3), date(2026, 6, 5), ())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A-1,1,KWD", "Invalid isoformat string: ''"),
        ("A-1,1,KWD,2026-06-05,UP-1,x", "has more cells than there are columns"),
        (",1,KWD,2026-06-05,", "has no balance such as 12.500 KWD"),
        ("A-1,NaN,KWD,2026-06-05,", "has no balance such as 12.500 KWD"),
        ("A-1,1,fils,2026-06-05,", "has no balance such as 12.500 KWD"),
        ("A-1,1,KWD,5 June,", "Invalid isoformat string: '5 June'"),
        ("A-1,1,KWD,2026-06-07,", "the day 2026-06-07 has not come yet"),
        ('"A\nB",1,KWD,2026-06-05,', "names are of one line"),
        ("A-0,4,KWD,2026-06-05,", "owes 4 KWD on 2026-06-05, and 3 on 2026-06-05 in line 2"),
        ("A-0,3,KWD,2026-06-04,", "owes 3 KWD on 2026-06-04, and 3 on 2026-06-05 in line 2"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(row: str, message: str) -> None:
    content = f"{HEAD}A-0,3,KWD,2026-06-05,\n{row}\n".encode()
    wanted = r"b\.csv, line [34]: .*(" + message + ").*; needs account, balance, currency, as_of"
    with pytest.raises(DeliveryError, match=wanted):
        account_balance_file.balances("b.csv", content, now=NOW)


def test_an_answer_that_is_given_again_is_no_news(connection: Connection) -> None:
    first, then = (
        Balance("A", "KWD", Decimal(amount), date(2026, 6, day), ("UP-1",))
        for amount, day in ((9, 1), (5, 2))
    )
    told = [account_balance.record(connection, "x", [one], now=NOW) for one in (first, then)]
    assert told == [1, 1]
    # By HTTP each file is answered as before when it comes again.
    again = [account_balance.record(connection, "x", [one], now=NOW) for one in (first, then)]
    assert again == [0, 0]


def test_every_statement_can_be_prepared(connection: Connection) -> None:
    for name, text in statements.load("mdm", "account_balance_file.sql").items():
        record.prepare(connection, name, text)
