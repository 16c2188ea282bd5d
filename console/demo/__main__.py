"""``make demo``: from simulated meters to billed energy, with one command."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Final

import structlog

from console import show
from console.demo import run, summary
from schemas.cluster import ServerError
from simulators.broker import BrokerError
from simulators.control import FleetError

OUTPUT: Final = Path("demo")


def main() -> int:
    """Run the demonstration; 0 if the bills agree with the truth."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    began = time.monotonic()
    try:
        outcome = run.run(OUTPUT)
    except (BrokerError, FleetError, ServerError) as error:
        show.problem(str(error))
        return 1
    except KeyboardInterrupt:
        show.problem("Interrupted. Nothing of it runs any more; make demo begins anew.")
        return 130
    seconds = time.monotonic() - began
    summary.show_tables(outcome, seconds)
    summary.write(outcome, seconds, OUTPUT)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
