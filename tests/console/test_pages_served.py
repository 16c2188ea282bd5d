"""How the pages are served: guarded, read-only, in two languages, until interrupted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from datetime import datetime

import httpx
import pytest

from console.pages import headers
from schemas import database, statements
from tests.console import town
from tests.mdm import record


@pytest.mark.parametrize(
    ("at", "status", "says"),
    [
        ("/meters/NOBODY", 404, "There is no meter of that name."),
        ("/meters/%00", 404, "There is no meter of that name."),
        ("/meters/%3Cscript%3E", 404, "There is no meter of that name."),
        ("/meters/", 404, "There is no meter of that name."),
        ("/nothing", 404, "There is no such page."),
        ("/static/..%2f..%2fcommand.py", 404, "There is no such page."),
    ],
)
def test_what_is_not_there_is_said_in_plain_words(
    client: httpx.Client, at: str, status: int, says: str
) -> None:
    page = client.get(at)
    assert page.status_code == status
    assert says in page.text
    assert "<script" not in page.text.replace(town.SCRIPT, "")


def test_a_page_cannot_be_posted_to(client: httpx.Client) -> None:
    page = client.post("/meters/M1")
    assert page.status_code == 405
    assert "cannot be asked for in that way" in page.text


@pytest.mark.parametrize("at", ["/", "/meters/M1", "/nothing", "/static/style.css", "/healthz"])
def test_every_answer_is_guarded(client: httpx.Client, at: str) -> None:
    got = client.get(at).headers
    assert got["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in got["content-security-policy"]
    assert got["x-content-type-options"] == "nosniff"
    assert got["x-frame-options"] == "DENY"
    assert "server" not in got


def test_other_names_for_this_machine_are_not_served(client: httpx.Client) -> None:
    assert client.get("/", headers={"host": "evil.example:80"}).status_code == 421
    assert client.get("/", headers={"host": "127.0.0.1:1"}).status_code == 200
    assert headers.host_name("[::1]:8000") == "::1"


def test_health(client: httpx.Client) -> None:
    answer = client.get("/healthz").json()
    assert answer["status"] == "ok"
    assert datetime.fromisoformat(answer["now"]) == town.NOW


def test_a_lost_database_is_said_so() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=2"
    with town.served(nowhere) as address:
        assert httpx.get(f"{address}/healthz", timeout=60).status_code == 503
        page = httpx.get(address, timeout=60)
    assert page.status_code == 503
    assert "The database does not answer." in page.text


def test_arabic_is_remembered_and_runs_from_right_to_left(client: httpx.Client) -> None:
    with httpx.Client(base_url=client.base_url) as asking:
        assert '<html lang="en" dir="ltr">' in asking.get("/").text
        assert '<html lang="ar" dir="rtl">' in asking.get("/?lang=ar").text
        page = asking.get("/meters/M2")
        assert '<html lang="ar" dir="rtl">' in page.text
        assert "العداد لا يقبل المفتاح" in page.text
        assert "سكن خاص" in page.text
        assert '<html lang="en" dir="ltr">' in asking.get("/?lang=en").text
        assert '<html lang="en" dir="ltr">' in asking.get("/meters/M2").text
    arabic = client.get("/", headers={"accept-language": "ar-KW,ar;q=0.9"})
    assert 'dir="rtl"' in arabic.text


def test_a_page_cannot_change_anything(module_database_url: str, client: httpx.Client) -> None:
    before = _rows(module_database_url)
    for at in ("/", "/meters/M1", "/meters/M2"):
        client.get(at)
    assert _rows(module_database_url) == before


def _rows(url: str) -> list[object]:
    tables = ("device_status", "collection_session", "arrival", "finding", "determinant_set")
    with database.connect(url) as connection:
        return [
            connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall()
            for table in tables
        ]


@pytest.mark.parametrize("file", ["places.sql", "bill.sql"])
def test_every_statement_can_be_prepared(database_url: str, file: str) -> None:
    with database.connect(database_url) as connection:
        for name, text in statements.load("mdm", file).items():
            record.prepare(connection, name, text)


def test_the_command_serves_until_it_is_interrupted(database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = _serve(database_url, "--port", str(port))
        _, said = refused.communicate(timeout=60)
        assert refused.returncode == 1
        assert f"Port {port} is taken by another program." in said
    for ending in (signal.SIGINT, signal.SIGTERM):
        running = _serve(database_url, "--port", "0")
        assert running.stdout
        try:
            address = running.stdout.readline().split()[3]
            assert httpx.get(f"{address}/healthz").json()["status"] == "ok"
        finally:
            running.send_signal(ending)
        out, err = running.communicate(timeout=60)
        assert (running.returncode, out, err) == (0, "Ended.\n", "")


def _serve(url: str, *options: str) -> subprocess.Popen[str]:
    program = "import typer; from console import serve; typer.run(serve.serve)"
    return subprocess.Popen(
        [sys.executable, "-c", program, *options],
        env={**os.environ, "MIQYAS_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
