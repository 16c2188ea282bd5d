"""What tests of every room share: real database servers, a real broker, a browser, data.

A test that takes ``database_url`` runs on TimescaleDB where that is installed, else on the embedded
PostgreSQL. Marked ``@pytest.mark.storage`` it runs on both.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import hypothesis
import psycopg
import pytest
from psycopg import sql

from schemas import database, server
from schemas.cluster import ServerError
from simulators import broker as brokers
from tests.console.shell import Shell, shell

_KINDS: tuple[server.Private, ...] = ("timescaledb", "embedded")
# A test's data is thrown away: it need not survive a power cut, and cloning is twice as fast.
_FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "256MB"}
_TEMPLATE = "miqyas_template"
_TEMPLATE_LOCK = 7_105_022
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Name our marker, and keep the tests away from the server and the folder that people use."""
    # How long an example takes says how busy the machine is; time is what benchmarks look at.
    hypothesis.settings.register_profile("miqyas", deadline=None)
    hypothesis.settings.load_profile("miqyas")
    config.addinivalue_line("markers", "storage: run on TimescaleDB and on the embedded PostgreSQL")
    for name in ("MIQYAS_DATABASE_URL", "MIQYAS_HOME", "MIQYAS_MASTER_KEY_FILE"):
        os.environ.pop(name, None)
    for name in [name for name in os.environ if name.startswith("MIQYAS_BROKER_")]:
        del os.environ[name]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make one folder for the servers of all workers."""
    if not hasattr(session.config, "workerinput"):
        folder = Path(tempfile.mkdtemp(prefix="miqyas-tests-"))
        # As root the servers run as another account, which must get in.
        folder.chmod(0o711)
        os.environ["MIQYAS_TESTS_FOLDER"] = str(folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop the servers and remove the folder, once all workers have finished."""
    if not hasattr(session.config, "workerinput"):
        folder = Path(os.environ.pop("MIQYAS_TESTS_FOLDER"))
        server.stop_all(folder)
        shutil.rmtree(folder, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line each what could not be run here, and how many tests that were."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("could not be run here")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:4} {reason}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run storage tests on both servers, other tests of the database on the better one."""
    if "database_server" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("storage") is not None
        kinds = _KINDS if both or _can_run("timescaledb") else _KINDS[1:]
        metafunc.parametrize(
            "database_server", kinds if both else kinds[:1], indirect=True, scope="session"
        )


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> Iterator[server.Server]:
    """A running server, the same for all workers, with a migrated template database."""
    kind: server.Private = request.param
    if not _can_run(kind):
        _missing("TimescaleDB is not installed here (as root: make timescaledb)")
    with server.running(_folder(), kind, settings=_FAST) as running:
        _make_template(running.url)
        yield running


@pytest.fixture
def database_url(database_server: server.Server) -> Iterator[str]:
    """A fresh migrated database for one test."""
    with _clone(database_server.url) as url:
        yield url


@pytest.fixture
def miqyas(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Shell]:
    """The command, on a database and in a home folder of the test's own."""
    monkeypatch.setenv("MIQYAS_DATABASE_URL", database_url)
    monkeypatch.setenv("MIQYAS_HOME", str(tmp_path / "home"))
    with shell(monkeypatch, capsys) as run:
        yield run


@pytest.fixture(scope="module")
def module_database_url(database_server: server.Server) -> Iterator[str]:
    """A fresh migrated database for the tests of one module."""
    with _clone(database_server.url) as url:
        yield url


@pytest.fixture(scope="session")
def empty_database_url(database_server: server.Server) -> str:
    """The server's own database, without migrations; for asking about the server only."""
    return database_server.url


@pytest.fixture
def broker() -> Iterator[brokers.Broker]:
    """A broker of its own for one test: mosquitto, or amqtt where that is not installed."""
    with brokers.running() as running:
        yield running


@pytest.fixture
def keeping_broker() -> Iterator[brokers.Broker]:
    """A broker of its own that keeps messages for who is away, which amqtt does not reliably."""
    if "mosquitto" not in brokers.available():
        _missing("mosquitto is not installed here (as root: make services)")
    with brokers.running("mosquitto") as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that Playwright can drive."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        _missing("Chromium is not installed here (as root: make services)")
    return found


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data, beside the checkout unless MIQYAS_SHARED says where."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("MIQYAS_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("the folder of shared data is not here (set MIQYAS_SHARED)")
    return folder


def _folder() -> Path:
    return Path(os.environ["MIQYAS_TESTS_FOLDER"])


def _can_run(kind: server.Private) -> bool:
    try:
        server.locate(_folder(), kind)
    except ServerError:
        return False
    return True


def _missing(reason: str) -> NoReturn:
    """Skip a test for what this machine lacks; where everything must be there, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _make_template(url: str) -> None:
    """Migrate the template once, whichever worker comes first."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
        known = "SELECT FROM pg_database WHERE datname = %s"
        if admin.execute(known, [_TEMPLATE]).rowcount:
            return
        raw = f"{_TEMPLATE}_raw"
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(raw)))
        database.migrate(_sibling(url, raw))
        # TimescaleDB's scheduler enters every database that lets it, and one with guests cannot be
        # copied.
        for change in ("ALLOW_CONNECTIONS false", "IS_TEMPLATE true"):
            admin.execute(sql.SQL("ALTER DATABASE {} " + change).format(sql.Identifier(raw)))
        guests = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"
        admin.execute(guests, [raw])
        names = map(sql.Identifier, (raw, _TEMPLATE))
        admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))


@contextlib.contextmanager
def _clone(url: str) -> Iterator[str]:
    """Copy the template to a database of its own, and drop that at the end."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"test_{worker}_{next(_numbers)}"
    copy = "CREATE DATABASE {} TEMPLATE {}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL(copy).format(sql.Identifier(name), sql.Identifier(_TEMPLATE)))
    try:
        yield _sibling(url, name)
    finally:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _sibling(url: str, name: str) -> str:
    """Name another database on the same server; the path is the last part before the options."""
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}?{options}"
