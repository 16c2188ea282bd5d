"""Migrations and facts on a real server."""

from collections import Counter

import psycopg
import pytest

from schemas import database, facts, statements


def test_migrating_again_runs_nothing(database_url: str) -> None:
    assert database.migrate(database_url) == []


def test_the_facts_in_the_database_are_those_of_the_files(database_url: str) -> None:
    with database.connect(database_url) as connection:
        for table, file in [("reading_type", "reading_types.csv"), ("sector", "sectors.csv")]:
            count = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            assert count == (len(facts.rows(file)),)


def test_two_migrations_at_once_wait_for_each_other(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    first = database.migrate(database_url)
    assert Counter(first) == Counter(dict.fromkeys(first, 1))
    with database.connect(database_url) as connection:
        assert list(database.about(connection).migrations) == sorted(first)


def test_a_final_block_must_have_one_quality_code_a_value(database_url: str) -> None:
    with (
        database.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute(
            "INSERT INTO interval_block VALUES"
            " (1, now(), 1, now(), 1, ARRAY[1, 2], ARRAY[0]::smallint[], NULL)"
        )


def test_statements_are_read_by_name() -> None:
    assert "usage_points" in statements.load("mdm", "usage_points.sql")


def test_a_file_without_named_statements_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        statements.load("schemas", "migrations/0001_assets.sql")


def test_another_connection_to_the_same_database_sees_what_is_committed(database_url: str) -> None:
    with database.connect(database_url, autocommit=True) as first:
        first.execute("CREATE TABLE told (number integer)")
        with database.again(first) as other:
            assert other.info.backend_pid != first.info.backend_pid
            assert other.info.dbname == first.info.dbname
            with first.transaction():
                first.execute("INSERT INTO told VALUES (1)")
                assert other.execute("SELECT count(*) FROM told").fetchone() == (0,)
            assert other.execute("SELECT count(*) FROM told").fetchone() == (1,)
            (zone,) = other.execute("SHOW timezone").fetchone() or ("",)
            assert zone == "UTC"
        assert other.closed
