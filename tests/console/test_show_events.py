"""What libraries say while the database is away does not drown what we say of it."""

from __future__ import annotations

import logging

import psycopg
import pytest
from procrastinate.exceptions import ConnectorException

from console import show


def test_an_outage_is_not_told_by_each_library_each_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = logging._StderrHandler(logging.WARNING)  # type: ignore[attr-defined]
    monkeypatch.setattr(logging, "lastResort", handler)
    show.log_events()

    def say(name: str, level: int, error: BaseException | None = None) -> str:
        record = logging.LogRecord(
            name, level, __file__, 1, "said", None, (type(error), error, None) if error else None
        )
        logging.lastResort.handle(record)  # type: ignore[union-attr]
        return capsys.readouterr().err

    assert not say("psycopg.pool", logging.WARNING)
    assert not say("apscheduler.scheduler", logging.WARNING)
    assert not say("procrastinate.manager", logging.ERROR, ConnectorException("gone"))
    assert not say("asyncio", logging.ERROR, psycopg.OperationalError("gone"))
    assert "said" in say("psycopg.pool", logging.ERROR)
    assert "said" in say("asyncio", logging.ERROR, ValueError("a defect of ours"))
