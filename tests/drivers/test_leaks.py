"""Failing sessions leave nothing open: what the benchmark does for thousands, for some hundreds."""

from __future__ import annotations

from benchmarks import leak


async def test_failing_sessions_leave_no_file_and_no_task() -> None:
    found = await leak.measured(300, warm_up=100)
    assert (found["files_left"], found["tasks_left"]) == (0, 0)
    failures = found["failures"]
    assert isinstance(failures, dict)
    assert sum(failures.values()) == 300
    told = {"HungUp", "Refused", "TimedOut", "RemoteProtocolError", "HalfAnswer", "Broken"}
    assert told <= failures.keys()
    # A meter that has another key says so, or says nothing that our key opens.
    assert failures.keys() & {"WrongKey", "AccessDenied", "MeterRefused"}
