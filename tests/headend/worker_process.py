"""A worker in a process of its own, for the tests that kill it: ``worker_process URL SILENCE``."""

from __future__ import annotations

import asyncio
import sys

from headend import jobs
from headend.capacity import Limits
from tests.headend.line_meter import LineDriver


def main(url: str, silence: float) -> None:
    pulse = jobs.Pulse(beat=silence / 4, silence=silence)
    limits = Limits(timeout=30, flush=5, flush_seconds=0.1, sessions=4)
    asyncio.run(jobs.run_worker(url, {"dlms": LineDriver()}, limits=limits, pulse=pulse))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
